//! Output on its way to whoever is attached.
//!
//! While somebody is, nothing is lost: a full backlog makes the programs wait. While nobody is, they go on and the oldest
//! output is dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coracle_guest_proto::shell::{MAX_KEPT, MAX_PIECE};
use tokio::sync::watch;

/// What has been written and not yet delivered.
#[derive(Debug)]
pub(super) struct Backlog {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    dropped: u64,
    has_listener: bool,
    finished: bool,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Waits until more may be pushed.
    pub(super) async fn room(&self) {
        self.until(|kept| (!kept.has_listener || kept.bytes.len() < MAX_KEPT).then_some(()))
            .await;
    }

    pub(super) fn push(&self, bytes: &[u8]) {
        self.change(|kept| {
            kept.bytes.extend(bytes);
            kept.trim();
        });
    }

    /// Nothing more will be pushed.
    pub(super) fn finish(&self) {
        self.change(|kept| kept.finished = true);
    }

    /// Somebody listens from now on: how much was dropped since somebody last did, in bytes.
    pub(super) fn attach(&self) -> u64 {
        self.change(|kept| {
            kept.has_listener = true;
            std::mem::take(&mut kept.dropped)
        })
    }

    /// Nobody listens from now on.
    pub(super) fn detach(&self) {
        self.change(|kept| {
            kept.has_listener = false;
            kept.trim();
        });
    }

    /// Waits until somebody listens, or nobody does.
    pub(super) async fn listening(&self, wanted: bool) {
        self.until(|kept| (kept.has_listener == wanted).then_some(()))
            .await;
    }

    /// The oldest output, which stays until it is [delivered](Self::delivered); `None` at its end.
    pub(super) async fn next(&self) -> Option<Bytes> {
        self.until(|kept| {
            let length = kept.bytes.len().min(MAX_PIECE);
            if length > 0 {
                Some(Some(kept.bytes.range(..length).copied().collect()))
            } else {
                kept.finished.then_some(None)
            }
        })
        .await
    }

    /// So much of the oldest output has been delivered. Nothing else is dropped while somebody listens.
    pub(super) fn delivered(&self, length: usize) {
        self.change(|kept| drop(kept.bytes.drain(..length)));
    }

    async fn until<T>(&self, found: impl Fn(&Kept) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = found(&self.kept()) {
                return found;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let changed = change(&mut self.kept());
        self.changed.send_replace(());
        changed
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn trim(&mut self) {
        if !self.has_listener {
            let over = self.bytes.len().saturating_sub(MAX_KEPT);
            self.bytes.drain(..over);
            self.dropped += over as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn everything(backlog: &Backlog) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(piece) = backlog.next().await {
            backlog.delivered(piece.len());
            read.extend_from_slice(&piece);
        }
        read
    }

    #[tokio::test]
    async fn what_nobody_reads_is_kept_up_to_its_bound() {
        let backlog = Backlog::new();
        backlog.push(b"lost");
        backlog.push(&vec![b'x'; MAX_KEPT]);
        assert_eq!(backlog.attach(), 4);
        backlog.finish();
        assert_eq!(everything(&backlog).await, vec![b'x'; MAX_KEPT]);
        assert_eq!(backlog.attach(), 0, "what was dropped is told once");
    }

    #[tokio::test]
    async fn nothing_is_dropped_while_somebody_listens() {
        let backlog = Backlog::new();
        backlog.attach();
        backlog.push(&vec![b'x'; MAX_KEPT + 1]);
        let full = tokio::time::timeout(Duration::from_millis(20), backlog.room()).await;
        assert!(full.is_err(), "the programs have to wait");
        backlog.delivered(2);
        backlog.room().await;
        backlog.push(b"yz");
        backlog.detach();
        assert_eq!(backlog.attach(), 1);
    }
}
