//! Crash-only files: a file appears under its name complete and synced, or not at all.
//!
//! A file is written as a *draft* beside its target, synced and renamed. What a crash leaves behind are drafts,
//! which [`sweep_drafts`] removes once they are too old to belong to anyone.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

const DRAFT_PREFIX: &str = ".draft-";
/// No draft takes this long to write.
const DRAFT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const COPY_BUFFER: usize = 128 * 1024;

/// Writes `target` through `fill` so that it is seen complete or not at all, replacing what was there.
pub(crate) fn write_atomically<T, E: From<io::Error>>(
    target: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let mut draft = draft_file(parent(target)?)?;
    let value = fill(draft.as_file_mut())?;
    publish(draft, target)?;
    Ok(value)
}

/// A file to be filled and then [published](publish); removed when dropped before that.
pub(crate) fn draft_file(folder: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder)?;
    tempfile::Builder::new().prefix(DRAFT_PREFIX).tempfile_in(folder)
}

/// Syncs a draft and gives it its name.
pub(crate) fn publish(draft: NamedTempFile, target: &Path) -> io::Result<()> {
    draft.as_file().set_permissions(Permissions::from_mode(0o644))?;
    draft.as_file().sync_all()?;
    draft.persist(target).map_err(|failed| failed.error)?;
    sync_folder(parent(target)?)
}

/// A folder to be filled and then [published](publish_folder); removed when dropped before that.
pub(crate) fn draft_folder(parent: &Path) -> io::Result<TempDir> {
    fs::create_dir_all(parent)?;
    let permissions = Permissions::from_mode(0o755);
    tempfile::Builder::new()
        .prefix(DRAFT_PREFIX)
        .permissions(permissions)
        .tempdir_in(parent)
}

/// Gives a draft folder its name, replacing what was there. Its files must have been synced.
pub(crate) fn publish_folder(draft: TempDir, target: &Path) -> io::Result<()> {
    sync_folder(draft.path())?;
    if target.exists() {
        renameat_with(CWD, draft.path(), CWD, target, RenameFlags::EXCHANGE)?;
        make_removable(draft.path())?;
        draft.close()?;
    } else {
        fs::rename(draft.path(), target)?;
        // The folder is no longer where the guard would remove it.
        drop(draft.keep());
    }
    sync_folder(parent(target)?)
}

/// Removes a folder and all it holds, in one visible step, even where its folders are read-only.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    let grave = draft_folder(parent(folder)?)?;
    fs::rename(folder, grave.path().join("removed"))?;
    make_removable(grave.path())?;
    grave.close()
}

/// Lets the owner delete what is below `folder`.
fn make_removable(folder: &Path) -> io::Result<()> {
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Whether a file or folder has not got its name yet.
pub(crate) fn is_draft(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(DRAFT_PREFIX))
}

/// Removes drafts that a crashed process left in `folder`.
pub(crate) fn sweep_drafts(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_draft(&entry.path()) {
            continue;
        }
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age < DRAFT_LIFETIME {
            continue;
        }
        tracing::info!(draft = %entry.path().display(), "removing a draft left by a crash");
        if entry.file_type()?.is_dir() {
            make_removable(&entry.path())?;
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// An exclusive claim on a key, among threads and processes alike, until dropped or the process dies.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits for the lock; `on_wait` is called once if another holds it.
    pub(crate) fn acquire(path: &Path, on_wait: impl FnOnce()) -> io::Result<Self> {
        let file = Self::open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => on_wait(),
            outcome => return Ok(outcome.map(|()| Self { _file: file })?),
        }
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(Self { _file: file })
    }

    /// The lock, unless somebody else has it.
    pub(crate) fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = Self::open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            outcome => Ok(outcome.map(|()| Some(Self { _file: file }))?),
        }
    }

    /// Waits for a claim that others may have too, as long as nobody has the exclusive one.
    pub(crate) fn shared(path: &Path) -> io::Result<Self> {
        let file = Self::open(path)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))?;
        Ok(Self { _file: file })
    }

    fn open(path: &Path) -> io::Result<File> {
        fs::create_dir_all(parent(path)?)?;
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut reader = File::open(file)?;
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Makes renames and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        write_atomically(&target, |file| io::Write::write_all(file, b"old")).unwrap();
        let failed = write_atomically(&target, |file| {
            io::Write::write_all(file, b"new")?;
            Err::<(), _>(io::Error::other("disk on fire"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_is_exclusive_within_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = FileLock::acquire(&path, || panic!("nobody else holds it")).unwrap();
        let (waiting, is_waiting) = std::sync::mpsc::channel();
        let second =
            std::thread::spawn(move || FileLock::acquire(&path, || waiting.send(()).unwrap()).map(drop));
        is_waiting.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(held);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn read_only_folders_can_be_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("target");
        fs::create_dir_all(target.join("inner")).unwrap();
        fs::write(target.join("inner/file"), "old").unwrap();
        fs::set_permissions(target.join("inner"), Permissions::from_mode(0o555)).unwrap();
        let draft = draft_folder(parent.path()).unwrap();
        fs::write(draft.path().join("file"), "new").unwrap();
        publish_folder(draft, &target).unwrap();
        assert_eq!(fs::read(target.join("file")).unwrap(), b"new");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
