//! The data folder of a server, which is its own as long as it runs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::ServeError;

/// A folder that no other server uses.
pub(super) struct DataFolder {
    path: PathBuf,
    /// Held as long as the server runs; the kernel lets go of it even if the server dies.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is missing, and takes it.
    pub(super) fn open(path: &Path) -> Result<Self, ServeError> {
        let failed = |source| unusable(path, source);
        let path = prepare(path).map_err(failed)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An empty folder in it; what an earlier server left there is of no use to anybody.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf, ServeError> {
        let folder = self.path.join(name);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.unusable(error)),
            _ => std::fs::create_dir(&folder).map_err(|error| self.unusable(error))?,
        }
        Ok(folder)
    }

    /// Writes a small file that others wait for, so that they never see half of it.
    pub(super) fn publish(&self, name: &str, text: &str) -> Result<(), ServeError> {
        let file = self.path.join(name);
        let draft = file.with_extension("new");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, &file))
            .map_err(|error| self.unusable(error))
    }

    /// Removes a file that was published, if it was.
    pub(super) fn withdraw(&self, name: &str) {
        let file = self.path.join(name);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %file.display(), "a file that others read could not be removed");
            }
            _ => {}
        }
    }

    /// Says that something in it failed.
    pub(super) fn unusable(&self, source: io::Error) -> ServeError {
        unusable(&self.path, source)
    }
}

fn unusable(folder: &Path, source: io::Error) -> ServeError {
    ServeError::Folder {
        folder: folder.to_owned(),
        source,
    }
}

fn prepare(folder: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    folder.canonicalize()
}

fn lock(folder: &Path) -> Result<File, ServeError> {
    let file = File::create(folder.join("lock")).map_err(|source| unusable(folder, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServeError::InUse(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(folder, error)),
    }
}
