//! What the agent writes, kept until a host takes it.
//!
//! Two readers fill one bounded buffer from the agent's standard output and error; the log stream of the
//! moment empties it. While the buffer is full nothing is read, the pipes fill, and the agent waits in its
//! write: nothing is dropped. A record leaves the buffer only after the channel has taken it, so a log stream
//! that breaks may have it delivered twice.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::log::{self, LogRecord, MAX_PIECE, Output};
use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// How much output is kept while no host takes it, in bytes.
const CAPACITY: usize = 1024 * 1024;
/// What a record costs beside its bytes: an agent that writes single bytes fills the buffer, too.
const RECORD_COST: usize = 64;

/// The buffer between the agent and the log stream.
#[derive(Debug)]
pub(crate) struct OutputBuffer {
    kept: Mutex<Kept>,
    /// Sent to at each change.
    changed: watch::Sender<()>,
    /// How many pipes are still being read.
    readers: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<LogRecord>,
    cost: usize,
}

impl OutputBuffer {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
            readers: watch::Sender::new(0),
        })
    }

    /// Starts reading a pipe of the agent.
    pub(crate) fn collect(self: &Arc<Self>, output: Output, pipe: OwnedFd) -> io::Result<()> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        self.readers.send_modify(|readers| *readers += 1);
        let buffer = Arc::clone(self);
        tokio::spawn(async move {
            buffer.read_to_end(output, pipe).await;
            buffer.readers.send_modify(|readers| *readers -= 1);
        });
        Ok(())
    }

    /// Waits until all the agent wrote is in the buffer, but not longer than `limit`: a full buffer that
    /// no host empties must not hold up the news of the agent's end.
    pub(crate) async fn collected(&self, limit: Duration) {
        let mut readers = self.readers.subscribe();
        tokio::time::timeout(limit, readers.wait_for(|readers| *readers == 0))
            .await
            .ok();
    }

    /// Writes records to a host until the stream fails.
    pub(crate) async fn deliver(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        loop {
            let record = self.next().await;
            log::write(stream, &record).await?;
            self.remove_first();
        }
    }

    async fn read_to_end(&self, output: Output, mut pipe: pipe::Receiver) {
        let mut piece = BytesMut::new();
        loop {
            self.room().await;
            piece.reserve(MAX_PIECE);
            let mut limited = (&mut pipe).take(MAX_PIECE as u64);
            // A pipe that fails is a pipe that ends.
            if !matches!(limited.read_buf(&mut piece).await, Ok(1..)) {
                return;
            }
            // Copied, because a short piece would hold on to the whole of its buffer.
            self.push(LogRecord {
                output,
                unix_millis: now(),
                bytes: Bytes::copy_from_slice(&piece),
            });
            piece.clear();
        }
    }

    async fn room(&self) {
        let mut changed = self.changed.subscribe();
        while self.kept().cost >= CAPACITY {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    async fn next(&self) -> LogRecord {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(record) = self.kept().records.front() {
                return record.clone();
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn push(&self, record: LogRecord) {
        let mut kept = self.kept();
        kept.cost += record.bytes.len() + RECORD_COST;
        kept.records.push_back(record);
        drop(kept);
        self.changed.send_replace(());
    }

    fn remove_first(&self) {
        let mut kept = self.kept();
        if let Some(record) = kept.records.pop_front() {
            kept.cost -= record.bytes.len() + RECORD_COST;
        }
        drop(kept);
        self.changed.send_replace(());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_full_buffer_blocks_the_writer_and_loses_nothing() {
        const WRITTEN: usize = 4 * CAPACITY;
        let (read, write) = io::pipe().unwrap();
        let buffer = OutputBuffer::new();
        buffer.collect(Output::Stdout, read.into()).unwrap();
        let writer = std::thread::spawn(move || {
            let mut write = write;
            write.write_all(&vec![b'x'; WRITTEN]).unwrap();
        });
        buffer.collected(Duration::from_millis(200)).await;
        assert!(
            buffer.kept().cost < 2 * CAPACITY,
            "the buffer grew beyond its bound"
        );
        assert!(!writer.is_finished(), "the writer should be waiting");

        let (mut sender, mut receiver) = tokio::io::duplex(64 * 1024);
        let delivering = Arc::clone(&buffer);
        tokio::spawn(async move { delivering.deliver(&mut sender).await });
        let mut received = 0;
        while received < WRITTEN {
            received += log::read(&mut receiver).await.unwrap().bytes.len();
        }
        assert_eq!(received, WRITTEN);
    }

    #[tokio::test]
    async fn a_record_whose_delivery_failed_is_delivered_to_the_next_host() {
        let buffer = OutputBuffer::new();
        buffer.push(LogRecord {
            output: Output::Stderr,
            unix_millis: 1,
            bytes: "kept".into(),
        });
        let (mut sender, gone) = tokio::io::duplex(4);
        drop(gone);
        buffer.deliver(&mut sender).await.unwrap_err();

        let (mut sender, mut receiver) = tokio::io::duplex(1024);
        let delivering = Arc::clone(&buffer);
        tokio::spawn(async move { delivering.deliver(&mut sender).await });
        assert_eq!(log::read(&mut receiver).await.unwrap().bytes, "kept");
    }
}
