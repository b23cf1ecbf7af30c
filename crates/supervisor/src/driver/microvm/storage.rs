//! The disks of session storages.
//!
//! ```text
//!  storage/<id>/disk.ext4          the disk; a machine that has it knows it by another name in its own folder
//!  storage/<id>/disk.ext4.draft    one being made; written over by the next attempt
//! ```
//!
//! Machines of versions with storage begin with a blank disk in its place, so that neither a template nor a pool holds
//! anybody's. It is replaced when a session gets the machine, before the guest mounts it. A disk appears complete and
//! synced or not at all; QEMU locks it, so that no two machines ever have the same.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_artifact::scratch::{Lasting, ScratchTemplate};
use coracle_guest_proto::message::StorageSource;
use coracle_types::StorageId;
use coracle_types::limits::SESSION_STORAGE;
use coracle_vmm::{Access, Disk, Vm};

use super::draft::OWNER_ONLY_FILE;
use super::{Cause, blocking};
use crate::driver::storage::StorageFolders;

const DISK_FILE: &str = "disk.ext4";
const DRAFT_FILE: &str = "disk.ext4.draft";
/// A machine's storage in its folder.
const LINKED_FILE: &str = "storage.ext4";
/// What is in its place before.
const BLANK_FILE: &str = "storage.blank";
const SERIAL: &str = "storage";
const MIB: u64 = 1024 * 1024;

/// All storages of a server.
#[derive(Debug)]
pub(super) struct StorageDisks {
    pub(super) folders: StorageFolders,
    /// Where the empty file system is that they begin as.
    templates: PathBuf,
}

impl StorageDisks {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            folders: StorageFolders::new(data_dir),
            templates: data_dir.join("scratch"),
        }
    }

    /// Replaces a machine's blank disk by this storage, which is made if need be. Says where the guest finds it.
    pub(super) async fn attach(
        self: &Arc<Self>,
        vm: &mut Vm,
        machine: &Path,
        storage: StorageId,
    ) -> Result<StorageSource, Cause> {
        let (this, folder) = (Arc::clone(self), machine.to_owned());
        let disk = blocking(move || {
            this.ensure(storage)?;
            this.link(storage, &folder)
        })
        .await?;
        vm.replace_disk(&disk).await?;
        Ok(StorageSource::Disk {
            serial: SERIAL.to_owned(),
        })
    }

    /// The disk of a storage that is there, for the machine in this folder. Blocks.
    pub(super) fn link(&self, storage: StorageId, machine: &Path) -> Result<Disk, Cause> {
        let link = machine.join(LINKED_FILE);
        fs::hard_link(self.folders.place(storage).join(DISK_FILE), &link)?;
        Ok(disk(link))
    }

    /// Makes the disk of a storage unless it is there.
    fn ensure(&self, storage: StorageId) -> Result<(), Cause> {
        let folder = self.folders.open(storage)?;
        let (disk, draft) = (folder.join(DISK_FILE), folder.join(DRAFT_FILE));
        if disk.is_file() {
            return Ok(());
        }
        let size_mib = u32::try_from(SESSION_STORAGE / MIB)?;
        let template = ScratchTemplate::open(&self.templates, size_mib, Lasting::BeyondCrashes)?;
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => template.copy_to(&draft)?,
        }
        let made = File::open(&draft)?;
        made.set_permissions(fs::Permissions::from_mode(OWNER_ONLY_FILE))?;
        made.sync_all()?;
        fs::rename(draft, disk)?;
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}

/// A disk of the same size with nothing on it, for the machine in this folder. Blocks.
pub(super) fn blank(machine: &Path) -> io::Result<Disk> {
    let path = machine.join(BLANK_FILE);
    File::create_new(&path)?.set_len(SESSION_STORAGE)?;
    Ok(disk(path))
}

fn disk(path: PathBuf) -> Disk {
    Disk {
        serial: SERIAL.to_owned(),
        path,
        access: Access::Lasting,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_disk_is_made_once_and_known_by_two_names() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("scratch")).unwrap();
        let disks = StorageDisks::new(data.path());
        let storage = StorageId::new();
        assert!(disks.link(storage, data.path()).is_err(), "there is none yet");
        disks.ensure(storage).unwrap();
        let made = disks.link(storage, data.path()).unwrap();
        let found = fs::metadata(&made.path).unwrap();
        assert_eq!(
            (found.len(), found.mode() & 0o777),
            (SESSION_STORAGE, OWNER_ONLY_FILE)
        );
        assert!(found.blocks() * 512 < 8 * MIB, "it is sparse");
        assert_eq!(blank(data.path()).unwrap().serial, made.serial);
        disks.ensure(storage).unwrap();
        let again = fs::metadata(disks.folders.place(storage).join(DISK_FILE)).unwrap();
        assert_eq!((again.ino(), again.nlink()), (found.ino(), 2));
    }

    #[test]
    fn what_was_being_made_is_made_anew() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("scratch")).unwrap();
        let disks = StorageDisks::new(data.path());
        let storage = StorageId::new();
        fs::write(disks.folders.open(storage).unwrap().join(DRAFT_FILE), "half").unwrap();
        disks.ensure(storage).unwrap();
        let folder = disks.folders.place(storage);
        assert!(!folder.join(DRAFT_FILE).exists());
        assert_eq!(
            fs::metadata(folder.join(DISK_FILE)).unwrap().len(),
            SESSION_STORAGE
        );
    }
}
