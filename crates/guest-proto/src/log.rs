//! The `Logs` stream: what the agent wrote to its standard output and error, in order.
//!
//! One record is a byte for the output (1 or 2), the time in Unix milliseconds as a big-endian `u64`, the
//! length as a big-endian `u32`, and the bytes. Records are pieces, not lines.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::frame::FrameError;

/// Largest piece of output in one record, in bytes.
pub const MAX_PIECE: usize = 64 * 1024;

/// Where the agent wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it was written to.
    pub output: Output,
    /// When the guest read it, in Unix milliseconds by the guest's clock.
    pub unix_millis: u64,
    /// The bytes, at most [`MAX_PIECE`].
    pub bytes: Bytes,
}

/// Reads one record.
///
/// # Errors
/// [`FrameError::Ended`] when the guest closed the stream between records, the others when it broke.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<LogRecord, FrameError> {
    let mut output = [0; 1];
    if stream.read(&mut output).await.map_err(FrameError::Io)? == 0 {
        return Err(FrameError::Ended);
    }
    let output = match output[0] {
        1 => Output::Stdout,
        2 => Output::Stderr,
        other => {
            let message = format!("a log record names output {other}");
            return Err(FrameError::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                message,
            )));
        }
    };
    let unix_millis = stream.read_u64().await.map_err(FrameError::Io)?;
    let length = stream.read_u32().await.map_err(FrameError::Io)? as usize;
    if length > MAX_PIECE {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(FrameError::Io)?;
    Ok(LogRecord {
        output,
        unix_millis,
        bytes: bytes.into(),
    })
}

/// Writes one record and flushes it.
///
/// # Errors
/// When the piece is too long or the stream fails.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), record: &LogRecord) -> Result<(), FrameError> {
    let length = record.bytes.len();
    let too_long = FrameError::TooLong(length);
    if length > MAX_PIECE {
        return Err(too_long);
    }
    let mut head = Vec::with_capacity(13 + length);
    head.push(match record.output {
        Output::Stdout => 1,
        Output::Stderr => 2,
    });
    head.extend_from_slice(&record.unix_millis.to_be_bytes());
    head.extend_from_slice(&u32::try_from(length).map_err(|_| too_long)?.to_be_bytes());
    head.extend_from_slice(&record.bytes);
    stream.write_all(&head).await.map_err(FrameError::Io)?;
    stream.flush().await.map_err(FrameError::Io)
}
