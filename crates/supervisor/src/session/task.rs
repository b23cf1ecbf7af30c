//! The task that owns a session: it does what [`Life`] decides and answers commands meanwhile.

mod sandbox;

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_guest_proto::message::{Request, StartAgent};
use coracle_types::{Generation, SandboxId, SessionKey};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::life::{Admission, Life, Next, Probe, Rules};
use super::{
    AcquireError, AcquireReply, Command, Context, EndReason, HostFailure, QUEUE, Reached, SessionEnd,
    SessionHandle, SessionSpec, SessionState, Shared, StartPhases, start,
};
use crate::directory::{Claimed, DirectoryError, Left};
use crate::driver::Machine;
use crate::guest::Guest;
use crate::lease::{Lease, Usage};
use crate::logs::SessionLog;
use crate::pool::Taken;
use crate::probe;

/// How long the guest has to confirm a request to shut down.
const SHUTDOWN_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the guest has beyond the agent's grace to power off.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a broken channel waits for the news of why it broke.
const NEWS_TIMEOUT: Duration = Duration::from_millis(500);

/// What is known of an agent that was healthy when its sandbox was paused.
const HEALTHY: Probe = Probe::Healthy {
    busy: false,
    time_of_last_update: None,
};

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
    /// A sandbox from a pool.
    taken: Option<Taken>,
}

/// What a running session needs to be served.
struct Running<'a> {
    machine: &'a mut dyn Machine,
    guest: &'a Arc<Guest>,
    generation: Generation,
    agent_started: Instant,
}

impl SessionTask {
    /// A session that has not begun, with the request that it begins for and perhaps a sandbox from a pool, and the
    /// handle to it.
    pub(crate) fn new(
        context: Arc<Context>,
        key: SessionKey,
        spec: Arc<SessionSpec>,
        first: AcquireReply,
        taken: Option<Taken>,
    ) -> (Self, SessionHandle) {
        let rules = Rules {
            idle_timeout: spec.idle_timeout,
            max_lifetime: spec.max_lifetime,
            init_timeout: spec.init_timeout,
            hibernate_after: spec.hibernation.map(|hibernation| hibernation.after),
        };
        let sandbox = taken.as_ref().map_or_else(SandboxId::new, |taken| taken.sandbox);
        let shared = Arc::new(Shared::new(key, &spec, sandbox));
        let (sender, commands) = mpsc::channel(QUEUE);
        let (usage, usages) = mpsc::unbounded_channel();
        let handle = SessionHandle {
            shared: Arc::clone(&shared),
            commands: sender,
        };
        let now = Instant::now();
        let mut life = Life::new(rules, now);
        life.request_began(now);
        let (waiting, phases) = (vec![first], StartPhases::default());
        let task = Self {
            context,
            shared,
            spec,
            life,
            commands,
            usages,
            usage,
            waiting,
            phases,
            taken,
        };
        (task, handle)
    }

    /// The whole life of the session. When this returns, nothing of it is left but commands without an answer.
    pub(crate) async fn run(&mut self) {
        tracing::debug!(session = %self.shared.key, sandbox = %self.shared.sandbox, "session begins");
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        let claim = context
            .directory
            .claim(&shared.key, shared.version, shared.sandbox);
        let Claimed { generation, left } = match self.attend(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.conclude(EndReason::host(HostFailure::Directory(error)), Vec::new());
                return;
            }
        };
        let reason = self.start_and_serve(generation, left).await;
        if let Err(error) = self.give_back(generation, &reason).await {
            let error: &dyn Error = &error;
            tracing::warn!(session = %shared.key, error, "the end of a session could not be recorded");
        }
        tracing::debug!(session = %shared.key, sandbox = %shared.sandbox, %reason, "session is gone");
    }

    /// From the claim to the point where nothing but the claim is left.
    async fn start_and_serve(&mut self, generation: Generation, left: Option<Left>) -> EndReason {
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        let Reached {
            mut machine,
            guest,
            output,
            begin,
            phases,
        } = match self.sandbox(left).await {
            Ok(reached) => reached,
            Err(reason) => return self.conclude(reason, Vec::new()),
        };
        self.phases = phases;
        let log = SessionLog::collect(
            shared.key.clone(),
            output,
            Arc::clone(&context.logs),
            context.config.log_budget,
        );
        let guest = Arc::new(guest);
        let reason = self
            .with_guest(&mut *machine, &guest, &log, begin, generation)
            .await;
        // The guest is to notice before it is hibernated.
        drop(guest);
        let reason = match reason {
            EndReason::Hibernated => self.hibernate(&mut *machine).await,
            reason => reason,
        };
        self.attend(start::destroy(&mut *machine, shared.sandbox)).await;
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
        let reason = self.start_agent_and_serve(running, begin).await;
        self.life.ended();
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
            EndReason::AgentExited(_) | EndReason::NotStarted(_) | EndReason::HostFailed(_)
        ) {
            let grace = self.context.config.stop_grace;
            self.attend(shut_down(guest, machine, grace)).await;
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
        if is_healthy && let Err(reason) = self.learn(HEALTHY, &running).await {
            return reason;
        }
        self.serve(&mut running).await
    }

    /// Probes the agent and answers commands until the session is to end.
    async fn serve(&mut self, running: &mut Running<'_>) -> EndReason {
        let mut probe: Option<BoxFuture<'static, Probe>> = None;
        loop {
            let now = Instant::now();
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
                () = tokio::time::sleep_until(wake) => {}
            }
            self.publish();
        }
    }

    fn begin_probe(&self, guest: &Arc<Guest>) -> BoxFuture<'static, Probe> {
        let (guest, port, protocol) = (Arc::clone(guest), self.spec.agent.port, self.spec.agent.protocol);
        async move { probe::ping(&guest, port, protocol).await }.boxed()
    }

    /// Takes in what a probe found. The first healthy one makes the session ready.
    async fn learn(&mut self, outcome: Probe, running: &Running<'_>) -> Result<(), EndReason> {
        self.shared.published().memory = running.machine.memory();
        let was_ready = self.life.is_ready();
        self.life.probe_ended(Instant::now(), unix_now(), outcome);
        if was_ready || !self.life.is_ready() {
            return Ok(());
        }
        self.phases.agent = running.agent_started.elapsed();
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        match self
            .attend(context.directory.ready(&shared.key, running.generation))
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
            Command::Stop(reply) => {
                let first = self.life.ask_to_stop();
                if first {
                    self.turn_away(&AcquireError::InProgress);
                }
                reply.send(first).ok();
            }
            Command::Drain(deadline) => self.life.drain(deadline),
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

    fn turn_away(&mut self, error: &AcquireError) {
        for waiting in self.waiting.drain(..) {
            // A caller who has gone needs no answer.
            waiting.send(Err(error.clone())).ok();
        }
    }

    /// Makes the end known: to those who wait, to those whose request broke, and to the operator.
    fn conclude(&mut self, reason: EndReason, last_log_lines: Vec<String>) -> EndReason {
        self.life.ended();
        self.publish();
        let exit = match &reason {
            EndReason::AgentExited(exit) => Some(exit.clone()),
            _ => None,
        };
        if let EndReason::HostFailed(failure) = &reason {
            let error: &dyn Error = failure.as_ref();
            tracing::error!(session = %self.shared.key, sandbox = %self.shared.sandbox, error, "session failed");
        }
        let end = SessionEnd {
            reason: reason.clone(),
            exit,
            last_log_lines,
        };
        self.turn_away(&AcquireError::from(&end));
        self.shared.ended.send_replace(Some(Arc::new(end)));
        reason
    }

    fn publish(&self) {
        let mut published = self.shared.published();
        published.state = match (
            self.life.is_stopping(),
            self.life.is_ready(),
            self.life.is_in_use(),
        ) {
            (true, ..) => SessionState::Stopping,
            (_, false, _) => SessionState::Starting,
            (_, true, true) => SessionState::Active,
            (_, true, false) => SessionState::Idle,
        };
        published.requests = self.life.requests();
        published.last_request = self.life.last_request();
    }
}

/// The outcome of the probe under way; for ever pending without one.
async fn finished(probe: &mut Option<BoxFuture<'static, Probe>>) -> Probe {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// Why the channel closed: the agent's exit or the sandbox's end may be known a moment later.
async fn why_closed(running: &mut Running<'_>) -> EndReason {
    let (guest, machine) = (running.guest, &mut *running.machine);
    let news = async {
        tokio::select! {
            biased;
            exit = guest.exited() => EndReason::AgentExited(exit),
            how = machine.ended() => EndReason::host(HostFailure::SandboxEnded(how)),
        }
    };
    tokio::time::timeout(NEWS_TIMEOUT, news)
        .await
        .unwrap_or_else(|_| EndReason::host(HostFailure::ChannelClosed))
}

/// Asks the agent to end and waits until the sandbox has powered off, as long as it may take.
async fn shut_down(guest: &Guest, machine: &mut dyn Machine, grace: Duration) {
    let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let asked = guest
        .request(Request::Shutdown { grace_millis }, SHUTDOWN_ANSWER_TIMEOUT)
        .await;
    if let Err(error) = asked {
        let error: &dyn Error = &error;
        tracing::debug!(error, "a guest was not asked to shut down");
    }
    let off = async {
        tokio::select! {
            () = guest.closed() => {}
            _ = machine.ended() => {}
        }
    };
    // What has not ended by then is destroyed.
    tokio::time::timeout(grace + POWER_OFF_TIMEOUT, off).await.ok();
}

/// The wall clock in Unix seconds.
fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
