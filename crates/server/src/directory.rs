//! The supervisor's session directory, in the store.

use async_trait::async_trait;
use coracle_store::{Claim, NewSession, Store, StoreError, UnixMicros};
use coracle_supervisor::{Directory, DirectoryError, EndReason};
use coracle_types::{Generation, SandboxId, SessionKey, VersionNumber};

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
    async fn claim(
        &self,
        session: &SessionKey,
        version: VersionNumber,
        sandbox: SandboxId,
    ) -> Result<Generation, DirectoryError> {
        let new = NewSession {
            key: session.clone(),
            version,
            sandbox,
        };
        loop {
            let now = UnixMicros::now();
            match self.0.claim(&new, now).await.map_err(failed)? {
                Claim::Granted(generation) => return Ok(generation),
                Claim::AlreadyOwned(held) if held.incarnation == self.0.incarnation() => {
                    self.0
                        .end(session, held.generation, "replaced", now)
                        .await
                        .map_err(failed)?;
                }
                Claim::AlreadyOwned(_) => return Err(DirectoryError::OwnedByAnother),
            }
        }
    }

    async fn ready(&self, session: &SessionKey, generation: Generation) -> Result<(), DirectoryError> {
        if self.0.mark_ready(session, generation).await.map_err(failed)? {
            Ok(())
        } else {
            Err(DirectoryError::OwnedByAnother)
        }
    }

    async fn end(
        &self,
        session: &SessionKey,
        generation: Generation,
        reason: &EndReason,
    ) -> Result<(), DirectoryError> {
        // A generation that is no longer current has been ended by whoever raised it.
        self.0
            .end(session, generation, reason.kind(), UnixMicros::now())
            .await
            .map(drop)
            .map_err(failed)
    }
}
