//! The task that owns a session: it does what [`Life`] decides and answers commands meanwhile.

mod ending;
mod sandbox;

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_guest_proto::message::StartAgent;
use coracle_types::{Consumption, Generation, SandboxId, SessionKey};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::life::{Admission, Life, Next, Probe, Rules, Verdict};
use super::{
    AcquireError, AcquireReply, Command, Context, EndReason, HostFailure, Orphan, QUEUE, Reached, SessionEnd,
    SessionHandle, SessionSpec, Shared, StartPhases, start,
};
use crate::directory::{Claim, Claimed, DirectoryError};
use crate::driver::Machine;
use crate::guest::Guest;
use crate::lease::{Lease, Usage};
use crate::logs::SessionLog;
use crate::probe;
use crate::session::meter::Meter;
use ending::{NEWS_TIMEOUT, power_off_timeout, shut_down, why_closed};

/// How often what a sandbox has used is looked at.
const MEASURED: Duration = Duration::from_secs(5);
/// How often, if it may not use more than so much.
const MEASURED_WITH_CAPS: Duration = Duration::from_secs(1);

/// Everything a session's task owns but for the sandbox itself.
pub(crate) struct SessionTask {
    context: Arc<Context>,
    shared: Arc<Shared>,
    spec: Arc<SessionSpec>,
    life: Life,
    commands: mpsc::Receiver<Command>,
    /// A few messages for each lease, and one a second while it is quiet: leases are bounded.
    usages: mpsc::UnboundedReceiver<Usage>,
    usage: mpsc::UnboundedSender<Usage>,
    /// Those who wait for the session to be ready.
    waiting: Vec<AcquireReply>,
    phases: StartPhases,
    /// What earlier sandboxes of this session used.
    used_before: Consumption,
    meter: Meter,
    /// The session that it takes over.
    orphan: Option<Orphan>,
    /// Whether that one's agent was busy by its own word when it was last heard of.
    was_busy: bool,
}

/// What a running session needs to be served.
struct Running<'a> {
    machine: &'a mut dyn Machine,
    guest: &'a Arc<Guest>,
    generation: Generation,
    agent_started: Instant,
}

impl SessionTask {
    /// A session that has not begun, with the request that it begins for, and the handle to it.
    pub(crate) fn new(
        context: Arc<Context>,
        key: SessionKey,
        spec: Arc<SessionSpec>,
        first: AcquireReply,
    ) -> (Self, SessionHandle) {
        let (mut task, handle) = Self::of_sandbox(context, key, spec, SandboxId::new(), Duration::ZERO);
        task.life.request_began(Instant::now());
        task.waiting.push(first);
        (task, handle)
    }

    /// A session that takes over where an earlier server's was, and the handle to it.
    pub(crate) fn adopting(context: Arc<Context>, orphan: Orphan) -> (Self, SessionHandle) {
        let (key, spec) = (orphan.key.clone(), Arc::clone(&orphan.spec));
        let (mut task, handle) = Self::of_sandbox(context, key, spec, orphan.sandbox, orphan.age);
        task.used_before = orphan.used;
        task.orphan = Some(orphan);
        (task, handle)
    }

    fn of_sandbox(
        context: Arc<Context>,
        key: SessionKey,
        spec: Arc<SessionSpec>,
        sandbox: SandboxId,
        age: Duration,
    ) -> (Self, SessionHandle) {
        let rules = Rules {
            idle_timeout: spec.idle_timeout,
            max_lifetime: spec.max_lifetime,
            init_timeout: spec.init_timeout,
            hibernate_after: spec.hibernation.map(|hibernation| hibernation.after),
        };
        let shared = Arc::new(Shared::new(key, &spec, sandbox, age));
        let (sender, commands) = mpsc::channel(QUEUE);
        let (usage, usages) = mpsc::unbounded_channel();
        let handle = SessionHandle {
            shared: Arc::clone(&shared),
            commands: sender,
        };
        let now = Instant::now();
        let task = Self {
            context,
            shared,
            spec,
            life: Life::new(rules, now),
            commands,
            usages,
            usage,
            waiting: Vec::new(),
            phases: StartPhases::default(),
            used_before: Consumption::default(),
            meter: Meter::new(now),
            orphan: None,
            was_busy: false,
        };
        (task, handle)
    }

    /// The whole life of the session. When this returns, nothing of it is left but commands without an answer.
    pub(crate) async fn run(&mut self) {
        tracing::debug!(session = %self.shared.key, sandbox = %self.shared.sandbox(), "session begins");
        let (context, shared, spec) = (
            Arc::clone(&self.context),
            Arc::clone(&self.shared),
            Arc::clone(&self.spec),
        );
        let orphan = self.orphan.as_ref();
        let owned = orphan.map(|orphan| (orphan.generation, orphan.began));
        let claim = async {
            let directory = &context.directory;
            match owned {
                Some((generation, began)) => Ok(Claimed {
                    generation,
                    began,
                    left: None,
                    storage: None,
                }),
                None => {
                    let wants_storage = spec.agent.storage.is_some();
                    let claim = Claim {
                        session: &shared.key,
                        version: shared.version,
                        sandbox: shared.sandbox(),
                        wants_storage,
                    };
                    directory.claim(claim).await
                }
            }
        };
        let claimed = match self.attend(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.conclude(EndReason::host(HostFailure::Directory(error)), Vec::new());
                return;
            }
        };
        let generation = claimed.generation;
        let reason = self.start_and_serve(claimed).await;
        let end = SessionEnd {
            reason: reason.clone(),
            ..self
                .shared
                .known_end()
                .unwrap_or_else(|| SessionEnd::plain(&reason))
        };
        if matches!(reason, EndReason::Left) {
            tracing::debug!(session = %shared.key, sandbox = %shared.sandbox(), "session is left to the next server");
            return;
        }
        if let Err(error) = self.give_back(generation, &end).await {
            let error: &dyn Error = &error;
            tracing::warn!(session = %shared.key, error, "the end of a session could not be recorded");
        }
        tracing::debug!(session = %shared.key, sandbox = %shared.sandbox(), %reason, "session is gone");
    }

    /// From the claim to the point where nothing but the claim is left.
    async fn start_and_serve(&mut self, claimed: Claimed) -> EndReason {
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        let Reached {
            mut machine,
            guest,
            output,
            notices,
            begin,
            phases,
        } = match self.sandbox(claimed).await {
            Ok(reached) => reached,
            Err(reason) => return self.conclude(reason, Vec::new()),
        };
        self.phases = phases;
        self.shared.published().phases = phases;
        if self.orphan.is_none() {
            self.meter = Meter::new(Instant::now());
        }
        let log = SessionLog::collect(
            shared.key.clone(),
            output,
            notices,
            Arc::clone(&context.logs),
            context.config.log_budget,
        );
        let guest = Arc::new(guest);
        let reason = self
            .with_guest(&mut *machine, &guest, &log, begin, claimed.generation)
            .await;
        // The guest is to notice before it is hibernated.
        drop(guest);
        let reason = match reason {
            EndReason::Hibernated => self.hibernate(&mut *machine).await,
            reason => reason,
        };
        if self.shared.kill.is_cancelled() && matches!(reason, EndReason::Hibernated) {
            self.attend(context.driver.forget(shared.sandbox())).await;
            return EndReason::Killed;
        }
        if !matches!(reason, EndReason::Left) {
            self.attend(start::destroy(&mut *machine, shared.sandbox())).await;
        }
        drop(machine);
        self.attend(log.finish()).await;
        reason
    }

    /// From the connected guest to the end of the agent.
    async fn with_guest(
        &mut self,
        machine: &mut dyn Machine,
        guest: &Arc<Guest>,
        log: &SessionLog,
        begin: Option<Box<StartAgent>>,
        generation: Generation,
    ) -> EndReason {
        // Commands may have come while the sandbox booted.
        if let Next::End(verdict) = self.life.next(Instant::now()) {
            return self.conclude(EndReason::of_verdict(verdict, self.spec.init_timeout), Vec::new());
        }
        let running = Running {
            machine,
            guest,
            generation,
            agent_started: Instant::now(),
        };
        let mut reason = self.start_agent_and_serve(running, begin).await;
        if matches!(reason, EndReason::Left) && !machine.leave() {
            reason = EndReason::Drained;
        }
        self.life.ended();
        self.measure(machine);
        self.publish();
        if matches!(reason, EndReason::AgentExited(_) | EndReason::NotStarted(_)) {
            self.attend(log.settle()).await;
        }
        let reason = self.conclude(reason, log.last_lines());
        if matches!(reason, EndReason::Hibernated) {
            // One that is not told is found out when it cannot be hibernated.
            self.attend(guest.announce_snapshot()).await.ok();
        } else if !matches!(
            reason,
            EndReason::AgentExited(_) | EndReason::NotStarted(_) | EndReason::HostFailed(_) | EndReason::Left
        ) {
            let (grace, kill) = (self.context.config.stop_grace, self.shared.kill.clone());
            let patience = power_off_timeout(&self.spec.agent);
            let shut_down = shut_down(guest, machine, grace, patience);
            self.attend(kill.run_until_cancelled(shut_down)).await;
        }
        reason
    }

    async fn start_agent_and_serve(
        &mut self,
        mut running: Running<'_>,
        begin: Option<Box<StartAgent>>,
    ) -> EndReason {
        let is_healthy = begin.is_none();
        if let Some(begin) = begin
            && let Err(reason) = self.attend(start::start_agent(running.guest, *begin)).await
        {
            return reason;
        }
        if !running.machine.can_hibernate() {
            self.life.stay_awake();
        }
        self.life.agent_started(Instant::now());
        // What is known of an agent that was healthy when it was last heard of.
        let healthy = Probe::Healthy {
            busy: self.was_busy,
            time_of_last_update: None,
        };
        if is_healthy && let Err(reason) = self.learn(healthy, &running).await {
            return reason;
        }
        self.serve(&mut running).await
    }

    /// Probes the agent and answers commands until the session is to end.
    async fn serve(&mut self, running: &mut Running<'_>) -> EndReason {
        let mut probe: Option<BoxFuture<'static, Probe>> = None;
        let pause = self.pause_between_measurements();
        let mut measured = Instant::now();
        loop {
            let now = Instant::now();
            if now >= measured + pause {
                self.measure(running.machine);
                measured = now;
            }
            let wake = match self.life.next(now) {
                Next::WaitUntil(moment) => moment,
                Next::Probe => {
                    probe = Some(self.begin_probe(running.guest));
                    continue;
                }
                Next::AbandonProbe => {
                    probe = None;
                    self.life.probe_ended(
                        now,
                        unix_now(),
                        Probe::Failed("GET /ping had no answer".to_owned()),
                    );
                    continue;
                }
                Next::End(verdict) => return EndReason::of_verdict(verdict, self.spec.init_timeout),
            };
            tokio::select! {
                exit = running.guest.exited() => return EndReason::AgentExited(exit),
                () = running.guest.closed() => return why_closed(running).await,
                how = running.machine.ended() => {
                    return match tokio::time::timeout(NEWS_TIMEOUT, running.guest.exited()).await {
                        Ok(exit) => EndReason::AgentExited(exit),
                        Err(_) => EndReason::host(HostFailure::SandboxEnded(how)),
                    };
                }
                Some(command) = self.commands.recv() => self.answer(command, Some(running.guest)),
                Some(usage) = self.usages.recv() => self.life.learn_usage(usage, Instant::now()),
                outcome = finished(&mut probe) => {
                    probe = None;
                    if let Err(reason) = self.learn(outcome, running).await {
                        return reason;
                    }
                }
                () = tokio::time::sleep_until(wake.min(measured + pause)) => {}
            }
            self.publish();
        }
    }

    fn pause_between_measurements(&self) -> Duration {
        if self.spec.caps.is_any() {
            MEASURED_WITH_CAPS
        } else {
            MEASURED
        }
    }

    fn begin_probe(&self, guest: &Arc<Guest>) -> BoxFuture<'static, Probe> {
        let (guest, port, protocol) = (Arc::clone(guest), self.spec.agent.port, self.spec.agent.protocol);
        async move { probe::ping(&guest, port, protocol).await }.boxed()
    }

    /// Takes in what a probe found. The first healthy one makes the session ready.
    async fn learn(&mut self, outcome: Probe, running: &Running<'_>) -> Result<(), EndReason> {
        let was_ready = self.life.is_ready();
        self.life.probe_ended(Instant::now(), unix_now(), outcome);
        if was_ready || !self.life.is_ready() {
            return Ok(());
        }
        self.phases.agent = running.agent_started.elapsed();
        self.shared.published().phases = self.phases;
        self.measure(running.machine);
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        match self
            .attend(
                context
                    .directory
                    .ready(&shared.key, running.generation, shared.sandbox()),
            )
            .await
        {
            Ok(()) => {}
            Err(error @ DirectoryError::OwnedByAnother) => {
                return Err(EndReason::host(HostFailure::Directory(error)));
            }
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(session = %shared.key, error, "a ready session could not be recorded");
            }
        }
        for waiting in std::mem::take(&mut self.waiting) {
            // A caller who has gone meanwhile returns the lease by dropping it.
            waiting.send(Ok(self.lease(running.guest, true))).ok();
        }
        Ok(())
    }

    /// Runs `work` to its end and answers commands meanwhile.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                output = &mut work => return output,
                Some(command) = self.commands.recv() => self.answer(command, None),
                Some(usage) = self.usages.recv() => self.life.learn_usage(usage, Instant::now()),
            }
            self.publish();
        }
    }

    /// Runs `work` and answers commands meanwhile; gives it up when the session is to end.
    async fn unless_ended<T>(&mut self, work: impl Future<Output = T>) -> Result<T, EndReason> {
        let mut work = pin!(work);
        loop {
            let wake = match self.life.next(Instant::now()) {
                Next::End(verdict) => return Err(EndReason::of_verdict(verdict, self.spec.init_timeout)),
                Next::WaitUntil(moment) => moment,
                // There is no agent to probe yet.
                Next::Probe | Next::AbandonProbe => continue,
            };
            tokio::select! {
                output = &mut work => return Ok(output),
                Some(command) = self.commands.recv() => self.answer(command, None),
                Some(usage) = self.usages.recv() => self.life.learn_usage(usage, Instant::now()),
                () = tokio::time::sleep_until(wake) => {}
            }
            self.publish();
        }
    }

    /// Answers a command. Without a guest to serve from, requests wait.
    fn answer(&mut self, command: Command, guest: Option<&Arc<Guest>>) {
        match command {
            Command::Acquire(reply) => self.admit(reply, guest),
            Command::Stop(why, reply) => {
                let error = match &why {
                    Verdict::CapReached(reached) => AcquireError::CapReached(*reached),
                    _ => AcquireError::InProgress,
                };
                let first = self.life.ask_to_stop(why);
                if first {
                    self.turn_away(&error);
                }
                reply.send(first).ok();
            }
            Command::Retire(reply) => {
                let unused = self.life.is_ready() && self.life.requests() == 0 && !self.life.is_busy();
                reply
                    .send(unused && self.life.ask_to_stop(Verdict::Outdated))
                    .ok();
            }
            Command::Drain { deadline, stays } => self.life.drain(deadline, stays),
        }
    }

    fn admit(&mut self, reply: AcquireReply, guest: Option<&Arc<Guest>>) {
        let limit = self.context.config.max_requests_per_session;
        let (admission, now) = (self.life.admission(), Instant::now());
        // A caller who has gone is as good as one who was answered; its lease comes back at once.
        match (admission, guest) {
            // Unanswered, the caller waits for this session's end.
            (Admission::Refuse, _) => drop(reply),
            _ if self.life.requests() >= limit => {
                reply.send(Err(AcquireError::TooManyRequests { limit })).ok();
            }
            (Admission::Now, Some(guest)) => {
                self.life.request_began(now);
                reply.send(Ok(self.lease(guest, false))).ok();
            }
            (Admission::Wait | Admission::Now, _) => {
                self.life.request_began(now);
                self.waiting.push(reply);
            }
        }
    }

    fn lease(&self, guest: &Arc<Guest>, started_now: bool) -> Lease {
        Lease::new(
            Arc::clone(&self.shared),
            Arc::clone(guest),
            self.usage.clone(),
            started_now,
            self.phases,
        )
    }
}

/// The outcome of the probe under way; for ever pending without one.
async fn finished(probe: &mut Option<BoxFuture<'static, Probe>>) -> Probe {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// The wall clock in Unix seconds.
fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
