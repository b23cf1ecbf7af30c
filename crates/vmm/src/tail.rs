//! The last of what a hostile writer writes: everything is read, so that nobody blocks, and little is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;

/// How much is kept, in bytes.
const KEPT: usize = 16 * 1024;

/// The last of a stream, collected by a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// Reads the stream to its end.
    pub(crate) fn collect(&self, mut stream: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<()> {
        let tail = self.clone();
        tokio::spawn(async move {
            let mut piece = vec![0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                tail.append(&piece[..length]);
            }
        })
    }

    /// The last lines, safe to print, the oldest first.
    pub(crate) fn lines(&self, most: usize) -> Vec<String> {
        let bytes: Vec<u8> = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text
            .lines()
            .map(|line| {
                line.chars()
                    .filter(|character| !character.is_control())
                    .collect::<String>()
            })
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }

    fn append(&self, piece: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(piece);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_is_kept_and_it_is_printable() {
        let tail = Tail::default();
        let mut flood = b"x".repeat(10 * KEPT);
        flood.extend_from_slice(b"\r\nlast \x1b[31mbut one\r\n\nlast\xff\n");
        tail.collect(std::io::Cursor::new(flood)).await.unwrap();
        assert!(tail.0.lock().unwrap().len() <= KEPT);
        assert_eq!(tail.lines(2), ["last [31mbut one", "last\u{fffd}"]);
    }
}
