//! The `Shell` stream: a terminal in the sandbox, and somebody at it.
//!
//! ```text
//!  host                                     guest
//!   │ ◀── attached, or refused ──────────── │
//!   │ ◀── output ─────────────────────────▶ │  input, resize, hang up
//!   │ ◀── ended, or replaced by another ─── │
//! ```
//!
//! Kinds of [pieces](crate::piece) from the host: 1 input, 2 resize (JSON), 3 hang up. From the guest: 1 attached
//! (JSON), 2 output, 3 ended (JSON), 4 replaced, 5 refused (text). A host that goes away leaves the shell running, to be
//! attached to again under the same id.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::command::CommandEnd;
use crate::frame::FrameError;
use crate::piece;
pub use crate::piece::MAX_PIECE;

const INPUT: u8 = 1;
const RESIZE: u8 = 2;
const HANG_UP: u8 = 3;

const ATTACHED: u8 = 1;
const OUTPUT: u8 = 2;
const ENDED: u8 = 3;
const REPLACED: u8 = 4;
const REFUSED: u8 = 5;

/// Most shells in a sandbox.
pub const MAX_SHELLS: usize = 10;
/// Most output that is kept for whoever attaches next, in bytes.
pub const MAX_KEPT: usize = 256 * 1024;

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A shell to begin or to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachShell {
    /// Its name in its sandbox.
    pub id: String,
}

/// What the host sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToShell {
    /// Keys pressed.
    Input(Bytes),
    /// The terminal is that large from now on.
    Resize(TerminalSize),
    /// The shell is to end.
    HangUp,
}

/// What the guest sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromShell {
    /// The first event, unless it is refused.
    Attached(Attached),
    /// What the shell and its programs wrote.
    Output(Bytes),
    /// The shell is over.
    Ended(CommandEnd),
    /// Somebody else attached to it.
    Replaced,
    /// There will be no shell.
    Refused(String),
}

/// How a shell was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Whether it had been begun before.
    pub reconnected: bool,
    /// Output that was written while nobody was there and did not fit [`MAX_KEPT`], in bytes.
    pub bytes_dropped: u64,
}

impl ToShell {
    /// Reads the next one.
    ///
    /// # Errors
    /// [`FrameError::Ended`] when the host closed the stream between pieces, the others when it broke.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, FrameError> {
        match piece::read(stream).await? {
            (INPUT, bytes) => Ok(Self::Input(bytes.into())),
            (RESIZE, bytes) => parsed(&bytes).map(Self::Resize),
            (HANG_UP, _) => Ok(Self::HangUp),
            (other, _) => Err(piece::unknown(other)),
        }
    }

    /// Writes it and flushes it; input of any length.
    ///
    /// # Errors
    /// When the stream fails.
    pub async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        match self {
            Self::Input(bytes) => {
                for bytes in bytes.chunks(MAX_PIECE) {
                    piece::write(stream, INPUT, bytes).await?;
                }
                Ok(())
            }
            Self::Resize(size) => piece::write(stream, RESIZE, &json(size)?).await,
            Self::HangUp => piece::write(stream, HANG_UP, &[]).await,
        }
    }
}

impl FromShell {
    /// Reads the next one.
    ///
    /// # Errors
    /// [`FrameError::Ended`] when the guest closed the stream between pieces, the others when it broke.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, FrameError> {
        match piece::read(stream).await? {
            (ATTACHED, bytes) => parsed(&bytes).map(Self::Attached),
            (OUTPUT, bytes) => Ok(Self::Output(bytes.into())),
            (ENDED, bytes) => parsed(&bytes).map(Self::Ended),
            (REPLACED, _) => Ok(Self::Replaced),
            (REFUSED, bytes) => Ok(Self::Refused(String::from_utf8_lossy(&bytes).into_owned())),
            (other, _) => Err(piece::unknown(other)),
        }
    }

    /// Writes it and flushes it.
    ///
    /// # Errors
    /// When it is longer than [`MAX_PIECE`] or the stream fails.
    pub async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        match self {
            Self::Attached(how) => piece::write(stream, ATTACHED, &json(how)?).await,
            Self::Output(bytes) => piece::write(stream, OUTPUT, bytes).await,
            Self::Ended(end) => piece::write(stream, ENDED, &json(end)?).await,
            Self::Replaced => piece::write(stream, REPLACED, &[]).await,
            Self::Refused(reason) => piece::write(stream, REFUSED, reason.as_bytes()).await,
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, FrameError> {
    serde_json::from_slice(bytes).map_err(FrameError::Parse)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    serde_json::to_vec(value).map_err(FrameError::Parse)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn both_directions_survive_a_round_trip() {
        let size = TerminalSize {
            columns: 220,
            rows: 50,
        };
        let mut written = Vec::new();
        let sent = [
            ToShell::Input("ls\n".into()),
            ToShell::Resize(size),
            ToShell::HangUp,
        ];
        for message in &sent {
            message.write(&mut written).await.unwrap();
        }
        let mut left = &written[..];
        for message in &sent {
            assert_eq!(ToShell::read(&mut left).await.unwrap(), *message);
        }
        assert!(matches!(ToShell::read(&mut left).await, Err(FrameError::Ended)));

        let mut written = Vec::new();
        let sent = [
            FromShell::Attached(Attached {
                reconnected: true,
                bytes_dropped: 7,
            }),
            FromShell::Output(Bytes::from(vec![0xff; MAX_PIECE])),
            FromShell::Ended(CommandEnd::Killed { signal: 9 }),
            FromShell::Replaced,
            FromShell::Refused("no".to_owned()),
        ];
        for event in &sent {
            event.write(&mut written).await.unwrap();
        }
        let mut left = &written[..];
        for event in &sent {
            assert_eq!(FromShell::read(&mut left).await.unwrap(), *event);
        }
    }

    #[tokio::test]
    async fn long_input_comes_in_pieces() {
        let mut written = Vec::new();
        let pasted = Bytes::from(vec![b'x'; 2 * MAX_PIECE + 1]);
        ToShell::Input(pasted.clone()).write(&mut written).await.unwrap();
        let (mut left, mut read) = (&written[..], Vec::new());
        while let Ok(ToShell::Input(bytes)) = ToShell::read(&mut left).await {
            read.extend_from_slice(&bytes);
        }
        assert_eq!(read, pasted);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut left = &bytes[..];
                while FromShell::read(&mut left).await.is_ok() {}
                let mut left = &bytes[..];
                while ToShell::read(&mut left).await.is_ok() {}
            });
        }
    }
}
