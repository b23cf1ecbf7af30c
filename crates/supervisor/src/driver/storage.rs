//! Folders of session storages on this machine.
//!
//! ```text
//!  storage/<id>/                one storage; what is in it is its driver's business
//!  storage/.removed-<random>/   one that is being removed; removed at start
//! ```
//!
//! A folder may go only when no session has it any more, which the directory of sessions knows. Methods that are not
//! asynchronous block.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use coracle_types::StorageId;

const REMOVED_PREFIX: &str = ".removed-";
const OWNER_ONLY: u32 = 0o700;

/// What session storages take on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageUse {
    /// How many there are.
    pub count: usize,
    /// What they take on the disk, in bytes.
    pub bytes: u64,
}

/// All storages of a server.
#[derive(Debug, Clone)]
pub(super) struct StorageFolders(PathBuf);

impl StorageFolders {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("storage"))
    }

    /// The folder of a storage, which is made if it is not there.
    pub(super) fn open(&self, id: StorageId) -> io::Result<PathBuf> {
        let folder = self.place(id);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(OWNER_ONLY)
            .create(&folder)?;
        Ok(folder)
    }

    pub(super) fn place(&self, id: StorageId) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Every storage there is.
    pub(super) fn all(&self) -> io::Result<Vec<StorageId>> {
        let names = self.entries()?.into_iter().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Removes a storage. There may be none.
    pub(super) fn remove(&self, id: StorageId) -> io::Result<()> {
        // Renamed first, so that no half of it is ever found.
        let grave = self.0.join(format!(
            "{REMOVED_PREFIX}{}",
            hex::encode(rand::random::<[u8; 8]>())
        ));
        match fs::rename(self.place(id), &grave) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| fs::remove_dir_all(grave)),
        }
    }

    /// Removes what a killed server was removing. Returns how many there were.
    pub(super) fn sweep(&self) -> io::Result<usize> {
        let mut removed = 0;
        for entry in self.entries()? {
            if entry.file_name().to_string_lossy().starts_with(REMOVED_PREFIX) {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// What all of them take. Of a storage that is a tree of files only the top is counted.
    pub(super) fn used(&self) -> io::Result<StorageUse> {
        let mut used = StorageUse::default();
        for id in self.all()? {
            // One that has just been removed takes nothing.
            if let Ok(entries) = fs::read_dir(self.place(id)) {
                used.count += 1;
                let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
                used.bytes += sizes.map(|found| found.blocks() * 512).sum::<u64>();
            }
        }
        Ok(used)
    }

    /// As [`Self::all`], on a thread that may block.
    pub(super) async fn all_async(&self) -> io::Result<Vec<StorageId>> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.all()).await?
    }

    /// As [`Self::used`], on a thread that may block.
    pub(super) async fn used_async(&self) -> io::Result<StorageUse> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.used()).await?
    }

    /// As [`Self::remove`], on a thread that may block. What cannot be removed now is tried again later.
    pub(super) async fn remove_async(&self, id: StorageId) {
        let this = self.clone();
        let removed = tokio::task::spawn_blocking(move || this.remove(id)).await;
        if let Err(error) = removed.map_err(io::Error::from).flatten() {
            tracing::warn!(storage = %id, %error, "a session's storage could not be removed");
        }
    }

    fn entries(&self) -> io::Result<Vec<fs::DirEntry>> {
        match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_is_there_until_it_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let folders = StorageFolders::new(data.path());
        assert_eq!(
            (folders.all().unwrap(), folders.used().unwrap()),
            (vec![], StorageUse::default())
        );
        let (one, other) = (StorageId::new(), StorageId::new());
        let folder = folders.open(one).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, OWNER_ONLY);
        fs::write(folder.join("file"), vec![7; 100_000]).unwrap();
        assert_eq!(folders.open(one).unwrap(), folder);
        folders.open(other).unwrap();
        let mut all = folders.all().unwrap();
        all.sort();
        assert_eq!(all, [one, other]);
        let used = folders.used().unwrap();
        assert!((used.count, used.bytes >= 100_000) == (2, true), "{used:?}");
        folders.remove(one).unwrap();
        folders.remove(one).unwrap();
        assert_eq!(folders.all().unwrap(), [other]);
        assert!(!folder.exists());
    }

    #[test]
    fn a_removal_that_was_cut_off_is_finished_at_start() {
        let data = tempfile::tempdir().unwrap();
        let folders = StorageFolders::new(data.path());
        let kept = StorageId::new();
        folders.open(kept).unwrap();
        fs::create_dir(data.path().join("storage/.removed-1")).unwrap();
        assert_eq!(folders.sweep().unwrap(), 1);
        assert_eq!(fs::read_dir(data.path().join("storage")).unwrap().count(), 1);
        assert_eq!(folders.all().unwrap(), [kept]);
    }
}
