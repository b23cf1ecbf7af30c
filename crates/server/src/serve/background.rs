//! What a server does besides answering.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Tasks that run until the server stops.
#[derive(Default)]
pub(super) struct Background {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Begins a task, which ends once the token that it is given is cancelled.
    pub(super) fn begin<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(tokio::spawn(task(self.stop.clone())));
    }

    /// Has all of them end.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // A task that panicked has said so already.
        futures::future::join_all(self.tasks).await;
    }
}
