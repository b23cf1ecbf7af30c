//! Hibernated machines on disk.
//!
//! ```text
//!  hibernated/<sandbox>/        one machine
//!      memory                   the template's memory, the same file by another name
//!      pages                    the machine's own pages over it, with a checksum
//!      state                    the state of its devices
//!      scratch.ext4             its private disk
//!      manifest.json            what it was, and checksums of state and disk
//!  hibernated/.draft-<random>/  one being kept, or being removed; removed at start
//! ```
//!
//! The link keeps the template's memory when the template itself goes. A machine appears complete and synced or not at
//! all. When all of them together take too much, those hibernated first go.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use coracle_types::{SandboxId, StorageId};
use coracle_vmm::{HIBERNATED_PAGES, HIBERNATED_STATE};
use serde::{Deserialize, Serialize};

use super::checksum;
use super::draft::DraftFolder;
use super::template::seal;
use super::{MEMORY_FILE, SCRATCH_FILE};

const MANIFEST: &str = "manifest.json";

/// What a machine was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The key of the template it came from, which says all about agent and machine.
    pub(super) template: String,
    /// Its kernel arguments; a machine that goes on is given the same.
    pub(super) kernel_arguments: Vec<String>,
    /// What its session finds again, if it keeps anything; its disk stays where it is.
    #[serde(default)]
    pub(super) storage: Option<StorageId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    identity: Identity,
    state_sha256: String,
    scratch_sha256: String,
}

/// A machine that can be woken.
#[derive(Debug)]
pub(super) struct Hibernated {
    folder: PathBuf,
    pub(super) identity: Identity,
}

impl Hibernated {
    pub(super) fn memory(&self) -> PathBuf {
        self.folder.join(MEMORY_FILE)
    }

    pub(super) fn pages(&self) -> PathBuf {
        self.folder.join(HIBERNATED_PAGES)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join(HIBERNATED_STATE)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.folder.join(SCRATCH_FILE)
    }
}

/// All hibernated machines of a server. Every method blocks.
#[derive(Debug)]
pub(super) struct HibernationStore {
    folder: PathBuf,
    /// Most bytes that all of them may take on disk.
    limit: u64,
}

impl HibernationStore {
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit }
    }

    /// Whether there is room on the disk for so many bytes, and some to spare.
    pub(super) fn has_room(&self, bytes: u64) -> io::Result<bool> {
        fs::create_dir_all(&self.folder)?;
        let disk = rustix::fs::statvfs(&self.folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok(bytes <= self.limit && bytes.saturating_mul(2) <= free)
    }

    /// Keeps what a hibernated machine has left in its folder. Returns the bytes it takes.
    pub(super) fn keep(&self, sandbox: SandboxId, machine: &Path, identity: Identity) -> io::Result<u64> {
        let draft = DraftFolder::create(&self.folder)?;
        for file in [MEMORY_FILE, HIBERNATED_PAGES, HIBERNATED_STATE, SCRATCH_FILE] {
            fs::rename(machine.join(file), draft.path().join(file))?;
        }
        let manifest = Manifest {
            identity,
            state_sha256: seal(&draft.path().join(HIBERNATED_STATE))?,
            scratch_sha256: seal(&draft.path().join(SCRATCH_FILE))?,
        };
        seal(&draft.path().join(HIBERNATED_PAGES))?;
        draft.finish(MANIFEST, &manifest)?;
        fs::rename(draft.path(), self.place(sandbox))?;
        File::open(&self.folder)?.sync_all()?;
        self.make_room(sandbox)?;
        size_of(&self.place(sandbox))
    }

    /// A machine, if it is there and undamaged. Its pages are checked when they are loaded.
    pub(super) fn find(&self, sandbox: SandboxId) -> io::Result<Hibernated> {
        let folder = self.place(sandbox);
        let manifest: Manifest = serde_json::from_slice(&fs::read(folder.join(MANIFEST))?)?;
        for (file, expected) in [
            (HIBERNATED_STATE, &manifest.state_sha256),
            (SCRATCH_FILE, &manifest.scratch_sha256),
        ] {
            if checksum::of(&File::open(folder.join(file))?)? != *expected {
                let text = format!("{file} of a hibernated sandbox is damaged");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(Hibernated {
            folder,
            identity: manifest.identity,
        })
    }

    /// Removes a machine. There may be none.
    pub(super) fn remove(&self, sandbox: SandboxId) -> io::Result<()> {
        // Renamed first, so that no half of it is ever found.
        let grave = DraftFolder::create(&self.folder)?;
        match fs::rename(self.place(sandbox), grave.path().join("removed")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes everything but these machines. Returns how many went.
    pub(super) fn keep_only(&self, kept: &[SandboxId]) -> io::Result<usize> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if !kept.iter().any(|sandbox| name == sandbox.to_string().as_str()) {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes those hibernated first until the others fit, but never this one.
    fn make_room(&self, kept: SandboxId) -> io::Result<()> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(manifest) = fs::metadata(entry.path().join(MANIFEST)) else {
                continue;
            };
            all.push((manifest.modified()?, size_of(&entry.path())?, entry.file_name()));
        }
        all.sort();
        let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
        for (_, size, name) in all {
            let Ok(sandbox) = name.to_string_lossy().parse::<SandboxId>() else {
                continue;
            };
            if total <= self.limit || sandbox == kept {
                continue;
            }
            tracing::warn!(%sandbox, bytes = size, "the session hibernated first makes room; it will begin afresh");
            self.remove(sandbox)?;
            total -= size;
        }
        Ok(())
    }

    fn place(&self, sandbox: SandboxId) -> PathBuf {
        self.folder.join(sandbox.to_string())
    }
}

/// What a machine takes on disk; the memory it shares with its template is not its own.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != MEMORY_FILE {
            size += entry.metadata()?.blocks() * 512;
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64 * 1024;

    fn keep(store: &HibernationStore, folder: &Path) -> SandboxId {
        let sandbox = SandboxId::new();
        let machine = folder.join("machine");
        fs::create_dir_all(&machine).unwrap();
        for file in [MEMORY_FILE, HIBERNATED_PAGES, HIBERNATED_STATE, SCRATCH_FILE] {
            fs::write(machine.join(file), vec![7; SIZE]).unwrap();
        }
        store.keep(sandbox, &machine, identity()).unwrap();
        sandbox
    }

    fn identity() -> Identity {
        Identity {
            template: "key".to_owned(),
            kernel_arguments: vec!["quiet".to_owned()],
            storage: "00000000000000000000000000000001".parse().ok(),
        }
    }

    fn store(folder: &Path, limit: u64) -> HibernationStore {
        HibernationStore::new(folder.join("hibernated"), limit)
    }

    #[test]
    fn a_machine_is_found_by_later_servers_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = keep(&store(folder.path(), u64::MAX), folder.path());
        let later = store(folder.path(), u64::MAX);
        assert_eq!(later.keep_only(&[sandbox]).unwrap(), 0);
        assert_eq!(later.find(sandbox).unwrap().identity, identity());
        later.remove(sandbox).unwrap();
        assert!(later.find(sandbox).is_err());
        assert_eq!(fs::read_dir(folder.path().join("hibernated")).unwrap().count(), 0);
        later.remove(sandbox).unwrap();
    }

    #[test]
    fn what_nobody_knows_is_removed_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), u64::MAX);
        let (known, unknown) = (keep(&store, folder.path()), keep(&store, folder.path()));
        fs::create_dir(folder.path().join("hibernated/.draft-1")).unwrap();
        assert_eq!(store.keep_only(&[known]).unwrap(), 2);
        assert!(store.find(known).is_ok());
        assert!(store.find(unknown).is_err());
    }

    #[test]
    fn a_flipped_byte_is_noticed() {
        for file in [HIBERNATED_STATE, SCRATCH_FILE] {
            let folder = tempfile::tempdir().unwrap();
            let store = store(folder.path(), u64::MAX);
            let sandbox = keep(&store, folder.path());
            let mut content = vec![7; SIZE];
            content[SIZE - 1] = 6;
            fs::write(store.place(sandbox).join(file), content).unwrap();
            assert!(store.find(sandbox).is_err(), "{file}");
        }
    }

    #[test]
    fn those_hibernated_first_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let roomy = store(folder.path(), u64::MAX);
        let (first, second) = (keep(&roomy, folder.path()), keep(&roomy, folder.path()));
        let size = size_of(&roomy.place(first)).unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
        File::open(roomy.place(first).join(MANIFEST))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let narrow = store(folder.path(), 2 * size);
        let third = keep(&narrow, folder.path());
        assert!(narrow.find(first).is_err());
        assert!(narrow.find(second).is_ok() && narrow.find(third).is_ok());
    }
}
