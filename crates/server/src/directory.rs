//! The supervisor's session directory, in the store.

use async_trait::async_trait;
use coracle_store::{End, NewSession, Store, StoreError, UnixMicros};
use coracle_supervisor::{
    Claim, Claimed, Directory, DirectoryError, Hibernated, Kept, Left, SessionEnd, SessionInfo,
};
use coracle_types::{Consumption, Generation, SandboxId, SessionKey, StorageId};

use crate::control::timestamp;
use crate::report::Report;

/// Sessions owned through the store.
pub struct StoreDirectory(
    /// The store.
    pub Store,
);

fn failed(error: StoreError) -> DirectoryError {
    DirectoryError::Failed(Box::new(error))
}

#[async_trait]
impl Directory for StoreDirectory {
    async fn claim(&self, claim: Claim<'_>) -> Result<Claimed, DirectoryError> {
        let new = NewSession {
            key: claim.session.clone(),
            version: claim.version,
            sandbox: claim.sandbox,
            wants_storage: claim.wants_storage,
        };
        loop {
            let now = UnixMicros::now();
            let claim = self.0.claim(&new, now).await.map_err(|error| match error {
                StoreError::NotFound(_) => DirectoryError::Gone,
                error => failed(error),
            })?;
            match claim {
                coracle_store::Claim::Granted(granted) => {
                    return Ok(Claimed {
                        generation: granted.generation,
                        began: timestamp(granted.began),
                        left: granted.left.map(|left| Left {
                            sandbox: left.sandbox,
                            age: now.since(left.started_at),
                            used: left.used,
                            usable: left.usable,
                        }),
                        storage: granted.storage,
                    });
                }
                coracle_store::Claim::AlreadyOwned(held) if held.incarnation == self.0.incarnation() => {
                    self.0
                        .end(&new.key, held.generation, End::plain("replaced"), now)
                        .await
                        .map_err(failed)?;
                }
                coracle_store::Claim::AlreadyOwned(_) => return Err(DirectoryError::OwnedByAnother),
            }
        }
    }

    async fn storages(&self) -> Result<Vec<StorageId>, DirectoryError> {
        let storages = self.0.session_storages(UnixMicros::now()).await;
        storages.map_err(failed)
    }

    async fn ready(
        &self,
        session: &SessionKey,
        generation: Generation,
        sandbox: SandboxId,
    ) -> Result<(), DirectoryError> {
        let recorded = self.0.mark_ready(session, generation, sandbox).await;
        if recorded.map_err(failed)? {
            Ok(())
        } else {
            Err(DirectoryError::OwnedByAnother)
        }
    }

    async fn end(
        &self,
        session: &SessionKey,
        generation: Generation,
        end: &SessionEnd,
        used: Consumption,
        info: &SessionInfo,
    ) -> Result<(), DirectoryError> {
        let report = serde_json::to_string(&Report::of(end, info)).ok();
        let end = End {
            reason: end.reason.kind(),
            used,
            report: report.as_deref(),
        };
        // A generation that is no longer current has been ended by whoever raised it.
        self.0
            .end(session, generation, end, UnixMicros::now())
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn hibernate(
        &self,
        session: &SessionKey,
        generation: Generation,
        kept: Kept,
    ) -> Result<(), DirectoryError> {
        let expires_at = UnixMicros::now().after(kept.time);
        if self
            .0
            .hibernate(session, generation, kept.sandbox, expires_at, kept.used)
            .await
            .map_err(failed)?
        {
            Ok(())
        } else {
            Err(DirectoryError::OwnedByAnother)
        }
    }

    async fn forget(&self, which: Hibernated<'_>) -> Result<Vec<SandboxId>, DirectoryError> {
        let (which, reason) = match which {
            Hibernated::Session(key) => (coracle_store::Hibernated::Session(key), "stopped"),
            Hibernated::Runtime(runtime, endpoint) => {
                (coracle_store::Hibernated::Runtime(runtime, endpoint), "deleted")
            }
            Hibernated::Expired => (coracle_store::Hibernated::Expired, "expired"),
        };
        self.0
            .end_hibernated(which, reason, UnixMicros::now())
            .await
            .map_err(failed)
    }
}
