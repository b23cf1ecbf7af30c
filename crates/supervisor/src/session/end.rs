//! How sessions end and why they do not start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coracle_guest_proto::MuxError;
use coracle_guest_proto::message::AgentExit;

use super::caps::CapReached;
use super::life::Verdict;
use crate::directory::DirectoryError;
use crate::driver::{BootError, HibernateError, StorageError};
use crate::guest::GuestError;

/// How a session ended.
#[derive(Debug, Clone)]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// How the agent exited, if it did before the session ended.
    pub exit: Option<AgentExit>,
    /// The last lines of its output, oldest first.
    pub last_log_lines: Vec<String>,
}

impl SessionEnd {
    /// An end of which nothing but its reason is known.
    pub(crate) fn plain(reason: &EndReason) -> Self {
        Self {
            reason: reason.clone(),
            exit: None,
            last_log_lines: Vec::new(),
        }
    }
}

/// Why a session ended. Its `Display` is for people, [`EndReason::kind`] for metrics and records.
#[derive(Debug, Clone)]
pub enum EndReason {
    /// A caller or the operator stopped it, or its runtime was deleted.
    Stopped,
    /// It ran a version that its endpoint has moved on from, and nobody used it.
    Outdated,
    /// The operator ended it at once.
    Killed,
    /// It, or all sessions of its runtime together, had used as much as they may.
    CapReached(CapReached),
    /// The server is going down.
    Drained,
    /// The server is going down; the session goes on under the next one.
    Left,
    /// It was not used for so long that it was hibernated. It goes on when it is used again.
    Hibernated,
    /// It was not used for its idle timeout.
    Idle,
    /// Its maximum lifetime was over.
    LifetimeOver,
    /// The agent's process ended.
    AgentExited(AgentExit),
    /// The agent was not healthy in time after its start.
    NeverHealthy {
        /// The time it had.
        timeout: Duration,
        /// What the last probe found.
        last_failure: Option<String>,
    },
    /// The agent failed its health checks.
    Unhealthy {
        /// What the last probe found.
        last_failure: String,
    },
    /// The guest could not start the agent's process, in the guest's words.
    NotStarted(String),
    /// The host's side failed.
    HostFailed(Arc<HostFailure>),
}

/// A failure that is neither the caller's nor the agent's. For the operator; callers see an internal error.
#[derive(Debug, thiserror::Error)]
pub enum HostFailure {
    /// The session could not be claimed.
    #[error("the session could not be claimed")]
    Directory(#[source] DirectoryError),
    /// The sandbox did not boot.
    #[error("the session has no sandbox")]
    Boot(#[source] BootError),
    /// The sandbox did not boot in time.
    #[error("the sandbox did not boot within {0:?}")]
    BootTimeout(Duration),
    /// There is no storage for it.
    #[error("the session does not find again what it keeps")]
    Storage(#[source] StorageError),
    /// The channel to the guest did not come up.
    #[error("the guest could not be reached")]
    Channel(#[source] MuxError),
    /// The guest did not do its part.
    #[error("the guest could not be told to start the agent")]
    Guest(#[source] GuestError),
    /// The restored guest did not do its part.
    #[error("the restored sandbox did not become one of its own")]
    Resume(#[source] GuestError),
    /// A restored agent did not take the news.
    #[error("the restored agent's hook failed: {0}")]
    RestoreHook(String),
    /// The sandbox could not be hibernated.
    #[error("the session is lost")]
    Hibernate(#[source] HibernateError),
    /// The sandbox ended by itself, in the driver's words.
    #[error("the sandbox ended: {0}")]
    SandboxEnded(String),
    /// The guest broke its channel off.
    #[error("the guest closed its channel")]
    ChannelClosed,
}

impl EndReason {
    /// One word for metrics and records.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Outdated => "outdated",
            Self::Killed => "killed",
            Self::CapReached(_) => "cap_reached",
            Self::Drained => "drained",
            Self::Left => "left",
            Self::Hibernated => "hibernated",
            Self::Idle => "idle",
            Self::LifetimeOver => "lifetime",
            Self::AgentExited(_) => "agent_exited",
            Self::NeverHealthy { .. } => "never_healthy",
            Self::Unhealthy { .. } => "unhealthy",
            Self::NotStarted(_) => "not_started",
            Self::HostFailed(_) => "host_failed",
        }
    }

    pub(super) fn of_verdict(verdict: Verdict, init_timeout: Duration) -> Self {
        match verdict {
            Verdict::Asked => Self::Stopped,
            Verdict::Outdated => Self::Outdated,
            Verdict::Killed => Self::Killed,
            Verdict::CapReached(reached) => Self::CapReached(reached),
            Verdict::Drained => Self::Drained,
            Verdict::Left => Self::Left,
            Verdict::Hibernated => Self::Hibernated,
            Verdict::Idle => Self::Idle,
            Verdict::LifetimeOver => Self::LifetimeOver,
            Verdict::NeverHealthy(last_failure) => Self::NeverHealthy {
                timeout: init_timeout,
                last_failure,
            },
            Verdict::Unhealthy(last_failure) => Self::Unhealthy { last_failure },
        }
    }

    pub(crate) fn host(failure: HostFailure) -> Self {
        Self::HostFailed(Arc::new(failure))
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the session was stopped"),
            Self::Outdated => f.write_str("the session was idle, and new ones begin with another version"),
            Self::Killed => f.write_str("the operator killed the session"),
            Self::CapReached(reached) => reached.fmt(f),
            Self::Drained => f.write_str("the server is shutting down"),
            Self::Left => f.write_str("the server is being restarted, and the session goes on then"),
            Self::Hibernated => f.write_str("the session was idle and is hibernated"),
            Self::Idle => f.write_str("the session was idle for too long"),
            Self::LifetimeOver => f.write_str("the session's maximum lifetime was over"),
            Self::AgentExited(exit) => write!(f, "the agent {exit}"),
            Self::NeverHealthy {
                timeout,
                last_failure,
            } => {
                write!(f, "the agent was not healthy within {timeout:?}")?;
                last_failure
                    .as_ref()
                    .map_or(Ok(()), |failure| write!(f, ": {failure}"))
            }
            Self::Unhealthy { last_failure } => {
                write!(f, "the agent failed its health checks: {last_failure}")
            }
            Self::NotStarted(reason) => write!(f, "the agent could not be started: {reason}"),
            Self::HostFailed(failure) => failure.fmt(f),
        }
    }
}

/// Why a request did not get its session. What the caller is told differs for each.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcquireError {
    /// The agent's process ended before it was healthy.
    #[error("the agent {exit} while starting")]
    AgentExited {
        /// How it exited.
        exit: AgentExit,
        /// The last lines of its output, oldest first.
        last_log_lines: Vec<String>,
    },
    /// The agent's process could not be started at all.
    #[error("the agent could not be started: {reason}")]
    NotStarted {
        /// What the guest's system said.
        reason: String,
    },
    /// The agent was not healthy in time.
    #[error("the agent was not healthy within {timeout:?}")]
    NeverHealthy {
        /// The time it had.
        timeout: Duration,
        /// What the last probe found.
        last_failure: Option<String>,
        /// The last lines of its output, oldest first.
        last_log_lines: Vec<String>,
    },
    /// This host failed. The chain is for the operator, not for the caller.
    #[error("the session could not be started")]
    Host(#[source] Arc<HostFailure>),
    /// The session is being stopped, or another server has it: try again.
    #[error("a session operation is in progress")]
    InProgress,
    /// What it would run is gone, or going.
    #[error("the runtime or endpoint of the session is gone")]
    Gone,
    /// What the session, or all sessions of its runtime, may use is used up.
    #[error("{0}")]
    CapReached(CapReached),
    /// There are as many sessions as this server allows.
    #[error("the maximum of {limit} sessions is reached")]
    TooManySessions {
        /// The maximum.
        limit: usize,
    },
    /// The host has too little memory for another session.
    #[error("the host has only {available} bytes of memory left")]
    OutOfMemory {
        /// What it has left, in bytes.
        available: u64,
    },
    /// The session has as many requests at once as it may have.
    #[error("the maximum of {limit} concurrent requests of one session is reached")]
    TooManyRequests {
        /// The maximum.
        limit: usize,
    },
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl From<&SessionEnd> for AcquireError {
    /// What those who waited for the start are told when it came to this end.
    fn from(end: &SessionEnd) -> Self {
        let last_log_lines = end.last_log_lines.clone();
        match end.reason.clone() {
            EndReason::AgentExited(exit) => Self::AgentExited { exit, last_log_lines },
            EndReason::NotStarted(reason) => Self::NotStarted { reason },
            EndReason::NeverHealthy {
                timeout,
                last_failure,
            } => Self::NeverHealthy {
                timeout,
                last_failure,
                last_log_lines,
            },
            EndReason::HostFailed(failure) => match *failure {
                HostFailure::Directory(DirectoryError::OwnedByAnother) => Self::InProgress,
                HostFailure::Directory(DirectoryError::Gone) => Self::Gone,
                _ => Self::Host(failure),
            },
            EndReason::Drained | EndReason::Left => Self::ShuttingDown,
            EndReason::CapReached(reached) => Self::CapReached(reached),
            EndReason::Hibernated
            | EndReason::Stopped
            | EndReason::Outdated
            | EndReason::Killed
            | EndReason::Idle
            | EndReason::LifetimeOver
            | EndReason::Unhealthy { .. } => Self::InProgress,
        }
    }
}
