//! What a sandbox's log is told of its network: each refusal, at a bounded rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

/// Notices waiting to be taken; more are dropped.
const QUEUE: usize = 64;
/// The same notice is not given again within this time.
const REPEAT: Duration = Duration::from_secs(10);
/// Most different notices remembered for that.
const REMEMBERED: usize = 32;

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Notices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<String>,
    recent: Mutex<Vec<(Instant, String)>>,
}

/// Somewhere to put notices, and where they come out. What nobody takes is dropped.
pub fn notices() -> (Notices, mpsc::Receiver<String>) {
    let (queue, taken) = mpsc::channel(QUEUE);
    let inner = Inner {
        queue,
        recent: Mutex::default(),
    };
    (Notices(Arc::new(inner)), taken)
}

impl Notices {
    /// Gives one, unless it is a repetition or too many are waiting.
    pub fn give(&self, notice: String) {
        let now = Instant::now();
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(given, _)| now.duration_since(*given) < REPEAT);
        if recent.len() >= REMEMBERED || recent.iter().any(|(_, text)| *text == notice) {
            return;
        }
        recent.push((now, notice.clone()));
        // A full queue means that nobody reads so fast; the rest of a flood is no news.
        self.0.queue.try_send(notice).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_once_in_a_while() {
        let (notices, mut taken) = notices();
        for _ in 0..1000 {
            notices.give("refused".to_owned());
        }
        for port in 0..1000 {
            notices.give(format!("refused {port}"));
        }
        let mut given = 0;
        while taken.try_recv().is_ok() {
            given += 1;
        }
        assert_eq!(given, REMEMBERED);
        tokio::time::advance(REPEAT).await;
        notices.give("refused".to_owned());
        assert_eq!(taken.try_recv().unwrap(), "refused");
    }
}
