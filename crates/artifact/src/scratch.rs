//! Writable disks of sandboxes: copies of an empty ext4 file system. Making a file system takes time and a tool;
//! copying a sparse template takes milliseconds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::SeekFrom;

use crate::command::{CommandError, Tool};
use crate::files::{self, FileLock};

const MKE2FS: Tool = Tool {
    name: "mke2fs",
    purpose: "to make the writable disks of sandboxes",
    package: "e2fsprogs",
};
const DEADLINE: Duration = Duration::from_secs(60);
/// Changes whenever the template of one size would be another.
const TEMPLATE_VERSION: u32 = 2;
const MIB: u64 = 1024 * 1024;
/// How much is in memory at once while data is copied through it, in bytes.
const PIECE: usize = 256 * 1024;

/// How long what is written to a disk is to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// As long as its machine.
    WithMachine,
    /// Longer than that: whatever ends the machine or the host leaves a file system that can be mounted.
    BeyondCrashes,
}

impl Lasting {
    /// Names the template in a folder that it shares with others.
    fn name(self) -> &'static str {
        match self {
            Self::WithMachine => "",
            Self::BeyondCrashes => "lasting-",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::WithMachine => "^has_journal,^resize_inode",
            Self::BeyondCrashes => "has_journal,^resize_inode",
        }
    }
}

/// Why there is no writable disk.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// The template or the copy.
    #[error("the writable disk could not be read or written")]
    Io(#[from] io::Error),
    /// The tool that makes the template.
    #[error(transparent)]
    Tool(#[from] CommandError),
}

/// An ext4 file system to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchTemplate {
    path: PathBuf,
}

impl ScratchTemplate {
    /// The template of this size for disks that last so long, in `folder`, made once.
    ///
    /// # Errors
    /// When `mke2fs` is missing or fails, or the folder cannot be written.
    pub fn open(folder: &Path, size_mib: u32, lasting: Lasting) -> Result<Self, ScratchError> {
        let name = lasting.name();
        let path = folder.join(format!("{name}{size_mib}-{TEMPLATE_VERSION}.ext4"));
        if path.is_file() {
            return Ok(Self { path });
        }
        let _lock = FileLock::acquire(&path.with_extension("lock"), || {})?;
        if !path.is_file() {
            files::sweep_drafts(folder)?;
            let draft = files::draft_file(folder)?;
            draft.as_file().set_len(u64::from(size_mib) * MIB)?;
            let mut command = MKE2FS.call([
                "-q",
                "-F",
                "-t",
                "ext4",
                "-O",
                lasting.features(),
                // No reserved blocks: nobody is there to use them.
                "-m",
                "0",
                // The file is all zeros, so neither now nor in the guest need tables be zeroed.
                "-E",
                "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard,root_owner=0:0",
            ])?;
            MKE2FS.run(
                command.arg(draft.path()),
                DEADLINE,
                "Making the template of writable disks",
                &(),
            )?;
            files::publish(draft, &path)?;
        }
        Ok(Self { path })
    }

    /// A file system that exists already, to be copied.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The template's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a copy at `to`, which must not exist: by sharing blocks where the file system can, else of the blocks
    /// that hold data.
    ///
    /// # Errors
    /// When the copy cannot be written; nothing is left behind then.
    pub fn copy_to(&self, to: &Path) -> Result<(), ScratchError> {
        let from = File::open(&self.path)?;
        let target = File::options().read(true).write(true).create_new(true).open(to)?;
        let copied = copy_sparsely(&from, &target);
        if let Err(error) = copied {
            fs::remove_file(to)?;
            return Err(error.into());
        }
        Ok(())
    }
}

fn copy_sparsely(from: &File, to: &File) -> io::Result<()> {
    // Across file systems, or where this one cannot share blocks, the data is copied.
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut position = 0;
    while let Some((start, end)) = next_data(from, position, size)? {
        copy_range(from, to, start, end)?;
        position = end;
    }
    Ok(())
}

/// The next stretch at or after `position` that holds data.
fn next_data(file: &File, position: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if position >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(start) => start,
        Err(rustix::io::Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((start, rustix::fs::seek(file, SeekFrom::Hole(start))?)))
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let rest = usize::try_from(end - read_at).unwrap_or(usize::MAX);
        let copied =
            match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), rest) {
                // The kernel copies within one file system only.
                Err(rustix::io::Errno::XDEV) => return copy_through_memory(from, to, read_at, end),
                copied => copied?,
            };
        if copied == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut position = start;
    while position < end {
        let length = usize::try_from(end - position).map_or(PIECE, |rest| rest.min(PIECE));
        from.read_exact_at(&mut piece[..length], position)?;
        to.write_all_at(&piece[..length], position)?;
        position += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    fn copied(lasting: Lasting) {
        let folder = tempfile::tempdir().unwrap();
        let template = ScratchTemplate::open(folder.path(), 256, lasting).unwrap();
        let copy = folder.path().join("copy");
        template.copy_to(&copy).unwrap();

        assert_eq!(fs::metadata(&copy).unwrap().len(), 256 * MIB);
        assert!(
            fs::metadata(&copy).unwrap().blocks() * 512 < 8 * MIB,
            "the copy is not sparse"
        );
        assert_eq!(
            files::sha256_of(&copy).unwrap(),
            files::sha256_of(template.path()).unwrap()
        );
        let check = Command::new("/sbin/e2fsck")
            .arg("-fn")
            .arg(&copy)
            .output()
            .unwrap();
        assert!(
            check.status.success(),
            "{}",
            String::from_utf8_lossy(&check.stdout)
        );
    }

    #[test]
    fn a_copy_is_a_clean_and_sparse_file_system() {
        copied(Lasting::WithMachine);
        copied(Lasting::BeyondCrashes);
    }

    #[test]
    fn data_is_copied_to_another_file_system() {
        let (here, elsewhere) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir_in("/dev/shm").unwrap(),
        );
        let template = ScratchTemplate::open(here.path(), 16, Lasting::WithMachine).unwrap();
        let copy = elsewhere.path().join("copy");
        template.copy_to(&copy).unwrap();
        assert_eq!(
            files::sha256_of(&copy).unwrap(),
            files::sha256_of(template.path()).unwrap()
        );
    }

    #[test]
    fn a_copy_never_overwrites_another() {
        let folder = tempfile::tempdir().unwrap();
        let template = ScratchTemplate::open(folder.path(), 16, Lasting::WithMachine).unwrap();
        let copy = folder.path().join("copy");
        fs::write(&copy, "precious").unwrap();
        assert!(template.copy_to(&copy).is_err());
        assert_eq!(fs::read(&copy).unwrap(), b"precious");
    }
}
