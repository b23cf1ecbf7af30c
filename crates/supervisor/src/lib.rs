//! Sessions: placed, started, kept while they are used, ended when they are not.
//!
//! ```text
//!  data plane ── acquire, stop, drain ──▶ Supervisor ── one task each ──▶ session ──▶ Driver: a sandbox
//!       ▲                                                                   │ ├──▶ Directory: who owns it
//!       └──────────────── Lease: streams to the agent ◀─────────────────────┘ └──▶ LogSink: what it prints
//! ```
//!
//! `session` has the life of one session; [`driver`] how sandboxes are made; [`Directory`] who owns a session
//! across restarts and machines; [`LogFiles`] what agents print, kept and read back.

mod clock;
mod connection;
mod directory;
pub mod driver;
mod guest;
mod lease;
mod logs;
mod memory;
mod pool;
mod probe;
mod role;
mod session;
mod shell;
mod supervisor;
#[cfg(any(test, feature = "test-support"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use connection::{AgentConnection, ConnectError};
pub use directory::{Claim, Claimed, Directory, DirectoryError, Hibernated, Kept, Left};
pub use guest::GuestError;
pub use lease::{Lease, RunningCommand};
pub use logs::{LogBudget, LogEntry, LogFiles, LogFilesConfig, LogLine, LogQuery, LogSink};
pub use memory::available_memory;
pub use pool::{PoolInfo, PoolSize, PoolSizeError, PoolSpec, PoolTotals};
pub use role::Role;
pub use session::{
    AcquireError, Cap, CapOf, CapReached, Caps, EndReason, Hibernation, HibernationTotals, HostFailure,
    Orphan, SessionEnd, SessionInfo, SessionSpec, SessionState, StartPhases,
};
pub use shell::{AttachedShell, Keyboard, Screen, ShellError};
pub use supervisor::{Killed, StopError, Supervisor, SupervisorConfig};
