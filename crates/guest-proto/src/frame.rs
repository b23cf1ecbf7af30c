//! Length-prefixed JSON frames: a big-endian `u32` length, then that many bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame either side accepts, in bytes. Environment variables are what comes nearest to it.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended between frames.
    #[error("the stream ended")]
    Ended,
    /// The stream failed, or ended inside a frame.
    #[error("the stream failed")]
    Io(#[source] std::io::Error),
    /// The frame is longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is over the limit")]
    TooLong(usize),
    /// The frame is not what was expected there.
    #[error("the frame does not parse")]
    Parse(#[source] serde_json::Error),
}

/// Reads one frame.
///
/// # Errors
/// [`FrameError::Ended`] when the peer closed the stream between frames, the others when it broke.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let mut length = [0; 4];
    let first = stream.read(&mut length).await.map_err(FrameError::Io)?;
    if first == 0 {
        return Err(FrameError::Ended);
    }
    stream
        .read_exact(&mut length[first..])
        .await
        .map_err(FrameError::Io)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(FrameError::Io)?;
    serde_json::from_slice(&body).map_err(FrameError::Parse)
}

/// Writes one frame and flushes it.
///
/// # Errors
/// When the value does not fit a frame or the stream fails.
pub async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> Result<(), FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value).map_err(FrameError::Parse)?;
    let body = frame.len() - 4;
    let length = u32::try_from(body)
        .ok()
        .filter(|_| body <= MAX_FRAME)
        .ok_or(FrameError::TooLong(body))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&frame).await.map_err(FrameError::Io)?;
    stream.flush().await.map_err(FrameError::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused_before_it_is_allocated() {
        let bytes = u32::MAX.to_be_bytes();
        let error = read::<String>(&mut bytes.as_slice()).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong(_)), "{error}");
    }

    #[tokio::test]
    async fn frames_survive_a_round_trip_and_then_end() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello").await.unwrap();
        let mut stream = bytes.as_slice();
        assert_eq!(read::<String>(&mut stream).await.unwrap(), "hello");
        assert!(matches!(
            read::<String>(&mut stream).await,
            Err(FrameError::Ended)
        ));
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_an_error_and_nothing_worse(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(read::<crate::message::Request>(&mut bytes.as_slice())).ok();
        }
    }
}
