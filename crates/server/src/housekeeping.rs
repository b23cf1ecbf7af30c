//! Removes what has become old: records of what is over, hibernated sessions whose time is over, storages of sessions
//! that are not used any more, and container images that no version runs.

use std::collections::HashSet;
use std::time::Duration;

use coracle_artifact::oci::{OciError, OciStore};
use coracle_store::{Store, StoreError, UnixMicros};
use coracle_supervisor::{Hibernated, Supervisor};
use tokio_util::sync::CancellationToken;

use crate::data::Resolution;

const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How long the records of ended sessions are kept.
const ENDED_SESSIONS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is kept tidy.
#[derive(Clone)]
pub(crate) struct Housekeeping {
    pub(crate) store: Store,
    pub(crate) supervisor: Supervisor,
    pub(crate) containers: OciStore,
    /// How long an image is kept that no version runs.
    pub(crate) keep_unused: Duration,
}

/// Why something old is still there.
#[derive(Debug, thiserror::Error)]
enum TidyError {
    #[error("old records could not be removed")]
    Records(#[from] StoreError),
    #[error("unused container images could not be removed")]
    Images(#[from] OciError),
    #[error("the removal was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Housekeeping {
    /// Tidies up now and then until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let tidy = async {
            loop {
                self.supervisor.forget_hibernated(Hibernated::Expired).await;
                let storages = self.supervisor.remove_unused_storages().await;
                if storages > 0 {
                    tracing::info!(storages, "unused storages of sessions removed");
                }
                for tidied in [self.records().await, self.images().await] {
                    if let Err(error) = tidied {
                        tracing::warn!(error = crate::error_chain(&error), "something old stays for now");
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        stop.run_until_cancelled(tidy).await;
    }

    async fn records(&self) -> Result<(), TidyError> {
        let now = UnixMicros::now();
        self.store.purge_idempotency(now).await?;
        self.store
            .purge_ended_sessions(now.before(ENDED_SESSIONS_KEPT))
            .await?;
        Ok(())
    }

    async fn images(&self) -> Result<(), TidyError> {
        let resolutions = self.store.resolutions().await?;
        let in_use: HashSet<String> = resolutions
            .iter()
            .filter_map(|text| match serde_json::from_str(text) {
                Ok(Resolution::Image { image_digest }) => Some(image_digest),
                Ok(Resolution::Code { .. }) | Err(_) => None,
            })
            .collect();
        let (containers, keep_unused) = (self.containers.clone(), self.keep_unused);
        let collecting = tokio::task::spawn_blocking(move || containers.collect(&in_use, keep_unused));
        let collected = collecting.await??;
        if collected.images + collected.layers > 0 {
            tracing::info!(
                images = collected.images,
                layers = collected.layers,
                "unused container images removed"
            );
        }
        Ok(())
    }
}
