//! How a session's end is found out, made known, and carried through.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use coracle_guest_proto::message::Request;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Running, SessionTask};
use crate::driver::{AgentSpec, Machine, MemoryUse, Note};
use crate::guest::Guest;
use crate::session::life::Verdict;
use crate::session::{AcquireError, CapOf, CapReached, EndReason, HostFailure, SessionEnd, SessionState};

/// How long the guest has to confirm a request to shut down.
const SHUTDOWN_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the guest has beyond the agent's grace to power off.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(2);
/// How long, if it has to write through what the session is to find again.
const WRITE_THROUGH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a broken channel waits for the news of why it broke.
pub(super) const NEWS_TIMEOUT: Duration = Duration::from_millis(500);

impl SessionTask {
    /// Looks at what the sandbox has used. One that has used all it may is to end.
    pub(super) fn measure(&mut self, machine: &dyn Machine) {
        let memory = machine.memory();
        self.meter.sample(Instant::now(), machine.cpu_time(), memory);
        let used = self.used_before + self.meter.used();
        {
            let mut published = self.shared.published();
            published.used = used;
            // Of one that has ended, what it had before is of more interest.
            if memory != MemoryUse::default() {
                published.memory = memory;
            }
        }
        self.note(machine);
        if let Some(cap) = self.spec.caps.reached_by(&used) {
            let of = CapOf::Session;
            self.life.ask_to_stop(Verdict::CapReached(CapReached { of, cap }));
        }
    }

    /// Tells later servers where the session is.
    fn note(&self, machine: &dyn Machine) {
        let of_sandbox = self.meter.used();
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let unused = millis(self.life.last_request().elapsed());
        machine.note(&Note {
            last_used_unix_millis: Timestamp::now().as_millisecond().saturating_sub(unused),
            is_busy: self.life.is_busy(),
            run_millis: u64::try_from(of_sandbox.time.as_millis()).unwrap_or(u64::MAX),
            memory_mib_seconds: of_sandbox.memory_mib_seconds,
        });
    }

    pub(super) fn turn_away(&mut self, error: &AcquireError) {
        for waiting in self.waiting.drain(..) {
            // A caller who has gone needs no answer.
            waiting.send(Err(error.clone())).ok();
        }
    }

    /// Makes the end known: to those who wait, to those whose request broke, and to the operator.
    pub(super) fn conclude(&mut self, reason: EndReason, last_log_lines: Vec<String>) -> EndReason {
        self.life.ended();
        self.publish();
        let exit = match &reason {
            EndReason::AgentExited(exit) => Some(exit.clone()),
            _ => None,
        };
        if let EndReason::HostFailed(failure) = &reason {
            let error: &dyn Error = failure.as_ref();
            tracing::error!(session = %self.shared.key, sandbox = %self.shared.sandbox(), error, "session failed");
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

    pub(super) fn publish(&self) {
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

/// Why the channel closed: the agent's exit or the sandbox's end may be known a moment later.
pub(super) async fn why_closed(running: &mut Running<'_>) -> EndReason {
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

/// How long the guest of this agent has beyond the agent's grace to power off.
pub(super) fn power_off_timeout(agent: &AgentSpec) -> Duration {
    match agent.storage {
        Some(_) => WRITE_THROUGH_TIMEOUT,
        None => POWER_OFF_TIMEOUT,
    }
}

/// Asks the agent to end and waits until the sandbox has powered off, so long after the agent's grace at most.
pub(super) async fn shut_down(guest: &Guest, machine: &mut dyn Machine, grace: Duration, patience: Duration) {
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
    tokio::time::timeout(grace + patience, off).await.ok();
}
