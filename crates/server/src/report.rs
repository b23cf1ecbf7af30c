//! What is told of a session that has ended, beside what the store knows of it. Written when it ends, read by operators.

use coracle_supervisor::{EndReason, SessionEnd, SessionInfo, StartPhases};
use coracle_types::SandboxId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The report of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Its last sandbox.
    pub(crate) sandbox: SandboxId,
    /// When a request last began or ended.
    pub(crate) last_used: Timestamp,
    /// Why it ended, in words.
    pub(crate) why: String,
    /// The agent's exit code, when it exited by itself.
    pub(crate) exit_code: Option<i32>,
    /// The signal that ended the agent.
    pub(crate) signal: Option<i32>,
    /// The agent was killed because memory ran out.
    pub(crate) out_of_memory: bool,
    /// The last lines of its output, oldest first.
    pub(crate) last_lines: Vec<String>,
    /// Where the time of its start went.
    pub(crate) phases: Phases,
}

/// Where the time of a start went, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Phases {
    origin: String,
    queue_millis: u64,
    disks_millis: u64,
    machine_millis: u64,
    kernel_millis: u64,
    agent_millis: u64,
}

impl Report {
    pub(crate) fn of(end: &SessionEnd, info: &SessionInfo) -> Self {
        let exit = end.exit.as_ref();
        Self {
            sandbox: info.sandbox,
            last_used: info.last_used,
            why: match &end.reason {
                // Operators are told the causes, too.
                EndReason::HostFailed(failure) => crate::error_chain(failure.as_ref()),
                reason => reason.to_string(),
            },
            exit_code: exit.and_then(|exit| exit.code),
            signal: exit.and_then(|exit| exit.signal),
            out_of_memory: exit.is_some_and(|exit| exit.out_of_memory),
            last_lines: end.last_log_lines.clone(),
            phases: info.phases.into(),
        }
    }
}

impl From<StartPhases> for Phases {
    fn from(phases: StartPhases) -> Self {
        let millis = |phase: std::time::Duration| u64::try_from(phase.as_millis()).unwrap_or(u64::MAX);
        Self {
            origin: phases.origin.as_str().to_owned(),
            queue_millis: millis(phases.queue),
            disks_millis: millis(phases.disks),
            machine_millis: millis(phases.machine),
            kernel_millis: millis(phases.kernel),
            agent_millis: millis(phases.agent),
        }
    }
}
