//! A running microVM, as the session that owns it sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coracle_egress::Egress;
use coracle_guest_proto::SNAPSHOT_READY;
use coracle_guest_proto::message::StorageSource;
use coracle_types::{SandboxId, StorageId};
use coracle_vmm::Vm;

use super::hibernation::{HibernationStore, Identity as MachineIdentity};
use super::storage::StorageDisks;
use super::{Cause, adoption, blocking};
use crate::driver::{HibernateError, Identity, Machine, MemoryUse, Note, PauseError, StorageError};

/// How long a guest may take to notice that its host has left. It takes milliseconds unless the host is overloaded.
const FAREWELL: Duration = Duration::from_secs(30);

/// A machine.
pub(super) struct Microvm {
    pub(super) vm: Vm,
    pub(super) storages: Arc<StorageDisks>,
    /// Its network, which ends with it.
    pub(super) egress: Egress,
    /// The machine's folder.
    pub(super) folder: PathBuf,
    /// Present when it can be hibernated.
    pub(super) keepsake: Option<Keepsake>,
}

/// What it takes to keep a machine that hibernates.
pub(super) struct Keepsake {
    pub(super) store: Arc<HibernationStore>,
    pub(super) sandbox: SandboxId,
    /// The machine's folder.
    pub(super) folder: PathBuf,
    pub(super) identity: MachineIdentity,
}

impl Microvm {
    async fn take_storage(&mut self, storage: StorageId) -> Result<StorageSource, Cause> {
        let source = self.storages.attach(&mut self.vm, &self.folder, storage).await?;
        if let Some(keepsake) = &mut self.keepsake {
            keepsake.identity.storage = Some(storage);
            // One that is not written down would be hibernated with the blank disk.
            adoption::keep_identity(&self.folder, &keepsake.identity)?;
        }
        Ok(source)
    }

    async fn keep(&mut self) -> Result<u64, Cause> {
        let Keepsake {
            store,
            sandbox,
            folder,
            identity,
        } = self
            .keepsake
            .take()
            .ok_or("it was not restored from a template")?;
        let (room, needed) = (Arc::clone(&store), self.vm.memory().private);
        if !blocking(move || room.has_room(needed)).await? {
            return Err("there is no room for it on the disk".into());
        }
        self.vm.console_said(SNAPSHOT_READY, FAREWELL).await?;
        self.vm.hibernate().await?;
        let kept = blocking(move || store.keep(sandbox, &folder, identity)).await;
        self.vm.destroy().await;
        Ok(kept?)
    }
}

#[async_trait]
impl Machine for Microvm {
    async fn ended(&mut self) -> String {
        self.vm.ended().await
    }

    async fn destroy(&mut self) {
        self.vm.destroy().await;
    }

    fn memory(&self) -> MemoryUse {
        let memory = self.vm.memory();
        MemoryUse {
            private: memory.private,
            shared: memory.shared,
        }
    }

    fn cpu_time(&self) -> Duration {
        self.vm.cpu_time()
    }

    async fn attach(&mut self, storage: StorageId) -> Result<StorageSource, StorageError> {
        self.take_storage(storage).await.map_err(StorageError)
    }

    fn identify(&mut self, identity: Arc<dyn Identity>) {
        self.egress.identify(identity);
    }

    fn note(&self, note: &Note) {
        if let Err(error) = adoption::keep_note(&self.folder, note) {
            tracing::debug!(%error, "what is known of a session could not be noted for later servers");
        }
    }

    fn leave(&mut self) -> bool {
        self.vm.leave();
        true
    }

    fn can_hibernate(&self) -> bool {
        self.keepsake.is_some()
    }

    async fn hibernate(&mut self) -> Result<u64, HibernateError> {
        self.keep().await.map_err(HibernateError)
    }

    async fn pause(&mut self) -> Result<(), PauseError> {
        self.vm.pause().await.map_err(|error| PauseError(error.into()))
    }

    async fn go_on(&mut self) -> Result<(), PauseError> {
        self.vm.go_on().await.map_err(|error| PauseError(error.into()))
    }
}
