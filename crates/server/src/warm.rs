//! Which endpoints have sandboxes standing ready, and how many.
//!
//! An endpoint's tag [`TAG`] says it, else its runtime's, else the operator for all. Where a share of the sessions begins
//! with another version, that one has the same share of the sandboxes. Whenever the control plane changes
//! anything, the whole list is made anew and given to the supervisor, which leaves alone what has not changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_store::{Endpoint, Runtime, Store, StoreError};
use coracle_supervisor::{PoolSize, PoolSpec, Supervisor};
use coracle_types::EndpointArn;
use tokio_util::sync::CancellationToken;

use crate::data::Routes;

/// The tag of a runtime or an endpoint; its value is a number, or minimum and maximum as in `1-4`.
pub const TAG: &str = "coracle:warm";
/// Wait before trying again when the database has failed.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps the supervisor told.
pub struct Warmer {
    /// Endpoints and tags.
    pub store: Store,
    /// What they serve.
    pub routes: Arc<Routes>,
    /// Has the sandboxes.
    pub supervisor: Supervisor,
    /// For endpoints that no tag speaks of.
    pub default: PoolSize,
}

impl Warmer {
    /// Works until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let working = async {
            loop {
                match self.wanted().await {
                    Ok(wanted) => self.supervisor.set_pools(wanted),
                    Err(error) => {
                        let error = crate::error_chain(&error);
                        tracing::error!(error, "warm pools could not be looked up; tried again");
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
                self.routes.changed().await;
            }
        };
        stop.run_until_cancelled(working).await;
    }

    async fn wanted(&self) -> Result<Vec<PoolSpec>, StoreError> {
        let tags = self.store.tagged(TAG).await?;
        if tags.is_empty() && self.default.max() == 0 {
            return Ok(Vec::new());
        }
        let mut wanted = Vec::new();
        for (runtime, endpoint) in self.store.serving_endpoints().await? {
            let size = size(&tags, &runtime, &endpoint, self.default);
            if size.max() == 0 {
                continue;
            }
            let found = self
                .routes
                .sessions_begin_with(&runtime.owner, &runtime.id, &endpoint.name);
            // One that has just gone, or is not ready, is looked at again after the next change.
            for (session, percent) in found.await.unwrap_or_default() {
                wanted.push(PoolSpec {
                    runtime: runtime.id.clone(),
                    endpoint: endpoint.name.clone(),
                    session,
                    size: size.share(percent),
                });
            }
        }
        Ok(wanted)
    }
}

/// The size of an endpoint's pool. A tag that says nothing sensible counts for nothing.
fn size(
    tags: &BTreeMap<String, String>,
    runtime: &Runtime,
    endpoint: &Endpoint,
    default: PoolSize,
) -> PoolSize {
    let arn = runtime.arn();
    let endpoint = EndpointArn {
        runtime: arn.clone(),
        endpoint: endpoint.name.clone(),
    };
    [endpoint.to_string(), arn.to_string()]
        .into_iter()
        .filter_map(|arn| {
            let value = tags.get(&arn)?;
            let size = value.parse();
            size.inspect_err(|error| tracing::warn!(arn, %error, "the tag {TAG} is ignored"))
                .ok()
        })
        .next()
        .unwrap_or(default)
}
