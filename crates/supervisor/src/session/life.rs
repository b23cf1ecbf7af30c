//! When a session is probed, handed out and ended: the decisions of its task, without clock or I/O.
//!
//! The task tells what happened and when, and asks [`Life::next`] what to do. The states and rules are
//! drawn in [the parent module](super).

use std::time::Duration;

use tokio::time::Instant;

use super::caps::CapReached;
use crate::lease::Usage;

/// Pause after the first failed probe of a starting agent.
const FIRST_START_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between probes of a starting agent.
const LONGEST_START_PAUSE: Duration = Duration::from_millis(250);
/// Pause between probes of a ready agent.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// How long an agent that has no request may take to answer a probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Consecutive failed probes that end a ready session.
pub(crate) const FAILURES_UNTIL_DEAD: u32 = 3;
/// Stands for "no timer".
const NO_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// The times a session keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Unused for this long, it ends.
    pub(crate) idle_timeout: Duration,
    /// Ends this long after its creation, used or not.
    pub(crate) max_lifetime: Duration,
    /// Its agent must be healthy this long after the agent's start.
    pub(crate) init_timeout: Duration,
    /// Unused for this long, it is hibernated.
    pub(crate) hibernate_after: Option<Duration>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The agent works.
    Healthy {
        /// It said `HealthyBusy`.
        busy: bool,
        /// Its `time_of_last_update`, in Unix seconds.
        time_of_last_update: Option<i64>,
    },
    /// It does not, in words.
    Failed(String),
}

/// Why a session ends although its sandbox could go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Somebody asked.
    Asked,
    /// Its endpoint serves another version.
    Outdated,
    /// The operator wants it gone at once.
    Killed,
    /// It has used as much as it may.
    CapReached(CapReached),
    /// The server is going down.
    Drained,
    /// The server is going down, and its sandbox stays for the next one.
    Left,
    /// Unused for so long that it is hibernated.
    Hibernated,
    /// Unused for the idle timeout.
    Idle,
    /// Its maximum lifetime is over.
    LifetimeOver,
    /// Not healthy in time after the start; what the last probe said.
    NeverHealthy(Option<String>),
    /// Too many failed probes in a row; what the last one said.
    Unhealthy(String),
}

/// What the task does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until this moment or until something happens.
    WaitUntil(Instant),
    /// Begin a probe.
    Probe,
    /// Give up the probe that is under way and report it as failed.
    AbandonProbe,
    /// End the session. Said once; the session is stopping from then on.
    End(Verdict),
}

/// What becomes of a request that wants the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is served.
    Now,
    /// It waits until the session is ready.
    Wait,
    /// The session is ending.
    Refuse,
}

/// What probes have said about an agent that has been healthy.
#[derive(Debug)]
struct Health {
    busy: bool,
    reported_update: Option<i64>,
    last_update: Instant,
    failures: u32,
    last_failure: String,
    next_probe: Instant,
    /// When the last probe ended.
    probed: Instant,
    /// When the last one that found the agent healthy did.
    healthy: Instant,
}

#[derive(Debug)]
enum Phase {
    /// The sandbox boots; there is no agent to probe.
    Booting,
    /// The agent runs but has not been healthy yet.
    Warming {
        agent_started: Instant,
        pause: Duration,
        next_probe: Instant,
        last_failure: Option<String>,
    },
    /// The agent has been healthy.
    Ready(Health),
    /// On its way out.
    Stopping,
}

/// The life of one session.
#[derive(Debug)]
pub(crate) struct Life {
    rules: Rules,
    created: Instant,
    phase: Phase,
    /// Requests admitted or waiting.
    requests: usize,
    /// Those of them that hold the idle timer off only when they are used.
    quiet: usize,
    last_request: Instant,
    probe_began: Option<Instant>,
    asked_to_stop: Option<Verdict>,
    drain_until: Option<Instant>,
    /// Whether its sandbox stays when it is drained.
    stays: bool,
    /// Whether its agent was busy by its own word when the end began.
    was_busy: bool,
    /// When an adopted session was last used under an earlier server.
    used_before: Option<Instant>,
}

impl Life {
    /// A session whose sandbox is about to boot.
    pub(crate) fn new(rules: Rules, created: Instant) -> Self {
        Self {
            rules,
            created,
            phase: Phase::Booting,
            requests: 0,
            quiet: 0,
            last_request: created,
            probe_began: None,
            asked_to_stop: None,
            drain_until: None,
            stays: false,
            was_busy: false,
            used_before: None,
        }
    }

    /// What a request gets now.
    pub(crate) fn admission(&self) -> Admission {
        match self.phase {
            _ if self.asked_to_stop.is_some() => Admission::Refuse,
            Phase::Booting | Phase::Warming { .. } => Admission::Wait,
            Phase::Ready(_) => Admission::Now,
            Phase::Stopping => Admission::Refuse,
        }
    }

    /// Requests admitted or waiting.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// When a request last began or ended.
    pub(crate) fn last_request(&self) -> Instant {
        self.last_request
    }

    /// Whether the agent has been healthy and nothing has ended the session since.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }

    /// Whether the session is on its way out.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping) || self.asked_to_stop.is_some()
    }

    /// Whether the agent is busy by its own word, or was when its end began.
    pub(crate) fn is_busy(&self) -> bool {
        match &self.phase {
            Phase::Ready(health) => health.busy,
            Phase::Stopping => self.was_busy,
            Phase::Booting | Phase::Warming { .. } => false,
        }
    }

    /// Whether anything holds the idle timer off.
    pub(crate) fn is_in_use(&self) -> bool {
        self.requests > self.quiet || self.is_busy()
    }

    /// A request was admitted or waits.
    pub(crate) fn request_began(&mut self, now: Instant) {
        self.requests += 1;
        self.last_request = now;
    }

    /// A request ended, however it did, or was used.
    pub(crate) fn learn_usage(&mut self, usage: Usage, now: Instant) {
        match usage {
            Usage::Quiet => self.quiet += 1,
            Usage::Used => {}
            Usage::Ended { quiet } => {
                self.requests = self.requests.saturating_sub(1);
                self.quiet = self.quiet.saturating_sub(usize::from(quiet));
            }
        }
        self.last_request = now;
    }

    /// The agent's process is about to start.
    pub(crate) fn agent_started(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Booting) {
            self.phase = Phase::Warming {
                agent_started: now,
                pause: FIRST_START_PAUSE,
                next_probe: now,
                last_failure: None,
            };
        }
    }

    /// It goes on after it was hibernated, so long after its first beginning. One that is older than its lifetime may
    /// live as long again.
    pub(crate) fn has_lived(&mut self, age: Duration) {
        if let Some(left) = self.rules.max_lifetime.checked_sub(age)
            && !left.is_zero()
        {
            self.rules.max_lifetime = left;
        }
    }

    /// It was begun so long ago under an earlier server, and was last used so long ago.
    pub(crate) fn is_adopted(&mut self, now: Instant, age: Duration, unused: Duration) {
        self.rules.max_lifetime = self.rules.max_lifetime.saturating_sub(age);
        self.last_request = now.checked_sub(unused).unwrap_or(now);
        self.used_before = Some(self.last_request);
    }

    /// It is never to be hibernated.
    pub(crate) fn stay_awake(&mut self) {
        self.rules.hibernate_after = None;
    }

    /// How much is left of its lifetime.
    pub(crate) fn lifetime_left(&self, now: Instant) -> Duration {
        (self.created + self.rules.max_lifetime).saturating_duration_since(now)
    }

    /// Somebody wants the session to end, and says why. Returns whether they are the first.
    pub(crate) fn ask_to_stop(&mut self, why: Verdict) -> bool {
        let first = !self.is_stopping();
        self.asked_to_stop.get_or_insert(why);
        first
    }

    /// The session ends as soon as it is unused, at the latest at `deadline`. Its sandbox may stay.
    pub(crate) fn drain(&mut self, deadline: Instant, stays: bool) {
        self.drain_until = Some(deadline);
        self.stays = stays;
    }

    /// The sandbox or the agent ended by itself.
    pub(crate) fn ended(&mut self) {
        self.was_busy = self.is_busy();
        self.phase = Phase::Stopping;
    }

    /// The probe asked for by [`Next::Probe`] ended. `unix_now` is the wall clock in Unix seconds.
    pub(crate) fn probe_ended(&mut self, now: Instant, unix_now: i64, probe: Probe) {
        self.probe_began = None;
        match (&mut self.phase, probe) {
            (Phase::Booting | Phase::Stopping, _) => {}
            (
                Phase::Warming { .. },
                Probe::Healthy {
                    busy,
                    time_of_last_update,
                },
            ) => {
                self.phase = Phase::Ready(Health {
                    busy,
                    reported_update: time_of_last_update,
                    last_update: self.used_before.unwrap_or(now),
                    failures: 0,
                    last_failure: String::new(),
                    next_probe: now + PROBE_INTERVAL,
                    probed: now,
                    healthy: now,
                });
            }
            (
                Phase::Warming {
                    pause,
                    next_probe,
                    last_failure,
                    ..
                },
                Probe::Failed(reason),
            ) => {
                *last_failure = Some(reason);
                *next_probe = now + *pause;
                *pause = (*pause * 3 / 2).min(LONGEST_START_PAUSE);
            }
            (Phase::Ready(health), probe) => health.learn(now, unix_now, probe),
        }
    }

    /// What to do now. Time must not go backwards between calls.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if matches!(self.phase, Phase::Stopping) {
            return Next::WaitUntil(now + NO_TIMER);
        }
        if let Some(verdict) = self.verdict(now) {
            self.ended();
            return Next::End(verdict);
        }
        if self.probe_began.is_none() && self.must_be_probed_to_hibernate(now) {
            self.probe_began = Some(now);
            return Next::Probe;
        }
        let probe_timer = match (self.probe_began, &self.phase) {
            (Some(_), _) => self.probe_deadline(),
            (None, Phase::Warming { next_probe, .. } | Phase::Ready(Health { next_probe, .. })) => {
                Some(*next_probe)
            }
            (None, Phase::Booting | Phase::Stopping) => None,
        };
        match probe_timer {
            Some(due) if due <= now && self.probe_began.is_some() => Next::AbandonProbe,
            Some(due) if due <= now => {
                self.probe_began = Some(now);
                Next::Probe
            }
            due => Next::WaitUntil(
                self.ends_at()
                    .into_iter()
                    .chain(self.hibernate_at().filter(|moment| *moment > now))
                    .chain(due)
                    .min()
                    .unwrap_or(now + NO_TIMER),
            ),
        }
    }

    /// Why the session ends now, if it does.
    fn verdict(&self, now: Instant) -> Option<Verdict> {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if self.asked_to_stop.is_some() {
            return self.asked_to_stop.clone();
        }
        if due(Some(self.created + self.rules.max_lifetime)) {
            return Some(Verdict::LifetimeOver);
        }
        let stays = self.stays && self.is_ready();
        // An agent that is busy by its own word goes on with it.
        let is_in_use = if stays {
            self.requests > self.quiet
        } else {
            self.is_in_use()
        };
        if due(self.drain_until) || (self.drain_until.is_some() && !is_in_use) {
            return Some(if stays { Verdict::Left } else { Verdict::Drained });
        }
        match &self.phase {
            Phase::Warming { last_failure, .. } if due(self.init_deadline()) => {
                Some(Verdict::NeverHealthy(last_failure.clone()))
            }
            Phase::Ready(health) if health.failures >= FAILURES_UNTIL_DEAD => {
                Some(Verdict::Unhealthy(health.last_failure.clone()))
            }
            // What it was before its last probe says nothing: an agent may have become busy since.
            Phase::Ready(health) if self.hibernate_at().is_some_and(|moment| health.healthy >= moment) => {
                Some(Verdict::Hibernated)
            }
            Phase::Ready(_) if due(self.idle_deadline()) => Some(Verdict::Idle),
            _ => None,
        }
    }

    /// The moments at which a verdict may fall if nothing happens before.
    fn ends_at(&self) -> [Instant; 4] {
        let lifetime = self.created + self.rules.max_lifetime;
        [
            lifetime,
            self.drain_until.unwrap_or(lifetime),
            self.init_deadline().unwrap_or(lifetime),
            self.idle_deadline().unwrap_or(lifetime),
        ]
    }

    fn init_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Warming { agent_started, .. } => Some(*agent_started + self.rules.init_timeout),
            _ => None,
        }
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let grace = match self.rules.hibernate_after {
            // The probe that comes first may take its time.
            Some(_) => PROBE_INTERVAL + PROBE_TIMEOUT,
            None => Duration::ZERO,
        };
        Some(self.unused_since()? + self.rules.idle_timeout + grace)
    }

    /// When the session is to be hibernated, if its agent is found healthy then.
    fn hibernate_at(&self) -> Option<Instant> {
        let after = self.rules.hibernate_after?.min(self.rules.idle_timeout);
        Some(self.unused_since()? + after)
    }

    fn must_be_probed_to_hibernate(&self, now: Instant) -> bool {
        match (&self.phase, self.hibernate_at()) {
            (Phase::Ready(health), Some(moment)) => moment <= now && health.probed < moment,
            _ => false,
        }
    }

    /// Since when nothing has held the idle timer off.
    fn unused_since(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Ready(health) if !self.is_in_use() => Some(self.last_request.max(health.last_update)),
            _ => None,
        }
    }

    /// When the probe under way has taken too long. An agent that answers requests with its only thread
    /// cannot answer a probe meanwhile: the probe then waits as long as they do.
    fn probe_deadline(&self) -> Option<Instant> {
        let began = self.probe_began?;
        match &self.phase {
            Phase::Ready(_) if self.requests > 0 => None,
            Phase::Ready(_) => Some(began.max(self.last_request) + PROBE_TIMEOUT),
            _ => Some(began + PROBE_TIMEOUT),
        }
    }
}

impl Health {
    fn learn(&mut self, now: Instant, unix_now: i64, probe: Probe) {
        self.next_probe = now + PROBE_INTERVAL;
        self.probed = now;
        match probe {
            Probe::Failed(reason) => {
                self.failures += 1;
                self.last_failure = reason;
            }
            Probe::Healthy {
                busy,
                time_of_last_update,
            } => {
                self.failures = 0;
                self.healthy = now;
                let updated = match time_of_last_update {
                    // Only a new value counts: one that lies in the future must not hold the session for ever.
                    Some(reported) if self.reported_update != Some(reported) => {
                        let age = u64::try_from(unix_now.saturating_sub(reported)).unwrap_or(0);
                        now.checked_sub(Duration::from_secs(age))
                    }
                    None if self.busy != busy => Some(now),
                    _ => None,
                };
                self.last_update = self.last_update.max(updated.unwrap_or(self.last_update));
                self.reported_update = time_of_last_update;
                self.busy = busy;
            }
        }
    }
}

#[cfg(test)]
mod tests;
