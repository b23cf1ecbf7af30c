//! What agents print: from pieces on the guest's `Logs` stream to lines in a [`LogSink`].
//!
//! ```text
//!  guest ── pieces ──▶ lines ──▶ budget ──▶ LogSink (files)
//!                        └─────▶ tail: the last lines, for error texts
//! ```
//!
//! An agent decides how much it prints, so everything is bounded per session: the length of a line, the bytes
//! kept per second and over the session's life, the bytes waiting for a slow sink, and how fast output over
//! the budget is read only to be thrown away. What is dropped is counted, and a line says so.

mod budget;
mod collect;
mod files;
mod lines;
mod tail;

use async_trait::async_trait;
use coracle_guest_proto::log::Output;
use coracle_types::SessionKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use budget::LogBudget;
pub(crate) use collect::SessionLog;
pub use files::{LogEntry, LogFiles, LogFilesConfig, LogQuery};

/// One line of an agent's output, or a piece of a line that is too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// Where it was written to.
    pub output: Output,
    /// The text without its line break; bytes that are not UTF-8 are replaced.
    pub line: String,
    /// The line goes on in the next one of this output.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// Where the lines of all sessions go.
#[async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Keeps lines of one session, oldest first. Waiting here slows the session's agent down once its
    /// buffers are full, and nobody else. Failures are the sink's to report: there is nobody to tell.
    async fn write(&self, session: &SessionKey, lines: Vec<LogLine>);
}
