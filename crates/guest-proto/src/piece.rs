//! Pieces: a byte for what it is, the length as a big-endian `u32`, and that many bytes. For streams that carry
//! somebody's output, which [`crate::frame`] would have to escape.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::frame::FrameError;

/// Most bytes in one piece.
pub const MAX_PIECE: usize = 32 * 1024;

/// Reads what kind the next piece is of, and what it holds.
///
/// # Errors
/// [`FrameError::Ended`] when the peer closed the stream between pieces, the others when it broke.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Vec<u8>), FrameError> {
    let mut kind = [0; 1];
    if stream.read(&mut kind).await.map_err(FrameError::Io)? == 0 {
        return Err(FrameError::Ended);
    }
    let length = stream.read_u32().await.map_err(FrameError::Io)? as usize;
    if length > MAX_PIECE {
        return Err(FrameError::TooLong(length));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(FrameError::Io)?;
    Ok((kind[0], bytes))
}

/// Writes one piece and flushes it.
///
/// # Errors
/// When it is longer than [`MAX_PIECE`] or the stream fails.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    bytes: &[u8],
) -> Result<(), FrameError> {
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= MAX_PIECE)
        .ok_or(FrameError::TooLong(bytes.len()))?;
    let mut piece = Vec::with_capacity(5 + bytes.len());
    piece.push(kind);
    piece.extend_from_slice(&length.to_be_bytes());
    piece.extend_from_slice(bytes);
    stream.write_all(&piece).await.map_err(FrameError::Io)?;
    stream.flush().await.map_err(FrameError::Io)
}

/// The error for a piece of a kind that its stream does not have.
pub(crate) fn unknown(kind: u8) -> FrameError {
    FrameError::Io(std::io::Error::other(format!(
        "a piece of the unknown kind {kind}"
    )))
}
