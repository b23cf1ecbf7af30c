//! The `Command` stream: what a command in the sandbox wrote, as it writes it, and how it ended.
//!
//! The kinds of [pieces](crate::piece) are 1 standard output, 2 standard error, 3 the end, which is JSON. The end comes
//! last and once. A host that goes away ends the command.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::frame::FrameError;
use crate::piece;
pub use crate::piece::MAX_PIECE;

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const END: u8 = 3;

/// A command to run beside the agent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCommand {
    /// For a shell.
    pub command: String,
    /// After so many seconds it is killed.
    pub timeout_secs: u32,
}

/// Shows no command: it may hold secrets.
impl std::fmt::Debug for RunCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunCommand")
            .field("timeout_secs", &self.timeout_secs)
            .finish_non_exhaustive()
    }
}

/// What happens to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEvent {
    /// It wrote to its standard output.
    Stdout(Bytes),
    /// It wrote to its standard error.
    Stderr(Bytes),
    /// It ended.
    Ended(CommandEnd),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum CommandEnd {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It took longer than it may, and was killed.
    TimedOut,
    /// It never began.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// Reads what happens next.
///
/// # Errors
/// [`FrameError::Ended`] when the guest closed the stream between pieces, the others when it broke.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<CommandEvent, FrameError> {
    match piece::read(stream).await? {
        (STDOUT, bytes) => Ok(CommandEvent::Stdout(bytes.into())),
        (STDERR, bytes) => Ok(CommandEvent::Stderr(bytes.into())),
        (END, bytes) => serde_json::from_slice(&bytes)
            .map(CommandEvent::Ended)
            .map_err(FrameError::Parse),
        (other, _) => Err(piece::unknown(other)),
    }
}

/// Writes one event and flushes it.
///
/// # Errors
/// When it is longer than [`MAX_PIECE`] or the stream fails.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), event: &CommandEvent) -> Result<(), FrameError> {
    match event {
        CommandEvent::Stdout(bytes) => piece::write(stream, STDOUT, bytes).await,
        CommandEvent::Stderr(bytes) => piece::write(stream, STDERR, bytes).await,
        CommandEvent::Ended(how) => {
            let end = serde_json::to_vec(how).map_err(FrameError::Parse)?;
            piece::write(stream, END, &end).await
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn events_survive_a_round_trip_and_then_end() {
        let events = [
            CommandEvent::Stdout(Bytes::from_static(b"out")),
            CommandEvent::Stderr(Bytes::from(vec![0xff; MAX_PIECE])),
            CommandEvent::Ended(CommandEnd::Exited { code: 3 }),
        ];
        let mut written = Vec::new();
        for event in &events {
            write(&mut written, event).await.unwrap();
        }
        let mut left = &written[..];
        for event in &events {
            assert_eq!(read(&mut left).await.unwrap(), *event);
        }
        assert!(matches!(read(&mut left).await, Err(FrameError::Ended)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut left = &bytes[..];
                while read(&mut left).await.is_ok() {}
            });
        }
    }
}
