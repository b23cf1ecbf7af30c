//! Keeps checked zips by their content, and what is made of them.
//!
//! ```text
//! zips/<digest>.zip          kept until removed
//! images/<digest>-<n>.erofs  /var/task of a sandbox, by writer version n; made again when missing
//! folders/<digest>/          the same as a folder, for drivers without disks; made again when missing
//! locks/                     one file for each thing that is made once
//! ```

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::archive::{self, Archive, Index};
use super::{CheckedCode, CodeError};
use crate::erofs::{self, ErofsError, WRITER_VERSION};
use crate::files::{self, FileLock};
use crate::sandbox::CODE_FOLDER;
use crate::tree::{Content, ContentSource, Kind, Tree};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CodeStoreError {
    /// The store's folder.
    #[error("the code store could not be read or written")]
    Io(#[from] io::Error),
    /// No zip of this content.
    #[error("there is no code with the digest {0:?} in the store")]
    Unknown(String),
    /// A zip that was good when it came.
    #[error("the code {digest} in the store is damaged")]
    Damaged {
        /// Which.
        digest: String,
        /// What is wrong with it.
        #[source]
        source: CodeError,
    },
    /// The image could not be written.
    #[error("the image of the code could not be made")]
    Image(#[from] ErofsError),
}

/// One zip in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCode {
    /// SHA-256 of the zip in hexadecimal.
    pub digest: String,
    /// The zip.
    pub zip: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// The store. Any number of threads and processes may use one folder.
#[derive(Debug, Clone)]
pub struct CodeStore {
    folder: PathBuf,
}

impl CodeStore {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CodeStoreError> {
        let store = Self {
            folder: folder.into(),
        };
        for inner in ["zips", "images", "folders", "locks"] {
            fs::create_dir_all(store.folder.join(inner))?;
            files::sweep_drafts(&store.folder.join(inner))?;
        }
        Ok(store)
    }

    /// Takes a copy of the zip at `zip`, which has passed [`check`](super::check) as `checked`.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn import(&self, zip: &Path, checked: &CheckedCode) -> Result<StoredCode, CodeStoreError> {
        let target = self.zip(&checked.digest);
        if !target.is_file() {
            files::write_atomically(&target, |file| io::copy(&mut File::open(zip)?, file).map(drop))?;
        }
        Ok(StoredCode {
            digest: checked.digest.clone(),
            zip: target,
            size: checked.zipped,
        })
    }

    /// The zip with this digest.
    ///
    /// # Errors
    /// [`CodeStoreError::Unknown`] when there is none.
    pub fn get(&self, digest: &str) -> Result<StoredCode, CodeStoreError> {
        let unknown = || CodeStoreError::Unknown(digest.to_owned());
        if !is_digest(digest) {
            return Err(unknown());
        }
        let zip = self.zip(digest);
        match fs::metadata(&zip) {
            Ok(found) => Ok(StoredCode {
                digest: digest.to_owned(),
                zip,
                size: found.len(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    /// The EROFS image with the code below `/var/task`, owned by the agent's user.
    ///
    /// # Errors
    /// When there is no such zip or the image cannot be made.
    pub fn image(&self, digest: &str) -> Result<PathBuf, CodeStoreError> {
        let code = self.get(digest)?;
        let image = self
            .folder
            .join(format!("images/{digest}-{WRITER_VERSION}.erofs"));
        if image.is_file() {
            return Ok(image);
        }
        let _lock = self.lock(&format!("{digest}.image"))?;
        if !image.is_file() {
            let (mut archive, Index { tree, .. }) = open(&code, CODE_FOLDER)?;
            erofs::write_image(&tree, &mut archive, &image)?;
        }
        Ok(image)
    }

    /// A read-only folder with the code.
    ///
    /// # Errors
    /// When there is no such zip or the folder cannot be made.
    pub fn directory(&self, digest: &str) -> Result<PathBuf, CodeStoreError> {
        let code = self.get(digest)?;
        let folder = self.folder.join("folders").join(digest);
        if folder.is_dir() {
            return Ok(folder);
        }
        let _lock = self.lock(&format!("{digest}.folder"))?;
        if !folder.is_dir() {
            let (mut archive, Index { tree, .. }) = open(&code, "")?;
            let draft = files::draft_folder(&self.folder.join("folders"))?;
            unpack(&tree, &mut archive, draft.path())?;
            files::publish_folder(draft, &folder)?;
        }
        Ok(folder)
    }

    /// Every zip in the store.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<StoredCode>, CodeStoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder.join("zips"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(digest) = name.strip_suffix(".zip")
                && is_digest(digest)
            {
                found.push(self.get(digest)?);
            }
        }
        found.sort_by(|one, other| one.digest.cmp(&other.digest));
        Ok(found)
    }

    fn zip(&self, digest: &str) -> PathBuf {
        self.folder.join("zips").join(format!("{digest}.zip"))
    }

    fn lock(&self, name: &str) -> io::Result<FileLock> {
        FileLock::acquire(&self.folder.join("locks").join(name), || {})
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn open(code: &StoredCode, base: &str) -> Result<(Archive, Index), CodeStoreError> {
    let damaged = |source| CodeStoreError::Damaged {
        digest: code.digest.clone(),
        source,
    };
    let mut archive = archive::open(File::open(&code.zip)?).map_err(damaged)?;
    let index = archive::index(&mut archive, code.size, base).map_err(damaged)?;
    Ok((archive, index))
}

/// Unpacks a tree into an empty folder and syncs it. Every path of a tree leads through directories only, so
/// nothing is written outside `target`.
fn unpack(tree: &Tree, source: &mut dyn ContentSource, target: &Path) -> io::Result<()> {
    let mut directories = vec![target.to_owned()];
    for (path, id) in tree.walk() {
        let place = target.join(std::ffi::OsStr::from_bytes(&path));
        let inode = tree.inode(id);
        match &inode.kind {
            Kind::Directory(_) => {
                fs::create_dir(&place)?;
                directories.push(place);
            }
            Kind::File(content) => {
                let mode = if inode.metadata.mode & 0o111 == 0 {
                    0o444
                } else {
                    0o555
                };
                let mut file = File::options()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&place)?;
                copy_content(content, source, &mut file)?;
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(inode.metadata.mtime))?;
            }
            Kind::Symlink(link) => symlink(std::ffi::OsStr::from_bytes(link), &place)?,
            Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {}
        }
    }
    for directory in directories.iter().rev() {
        fs::set_permissions(directory, Permissions::from_mode(0o555))?;
    }
    rustix::fs::syncfs(File::open(target)?)?;
    Ok(())
}

fn copy_content(content: &Content, source: &mut dyn ContentSource, file: &mut File) -> io::Result<()> {
    match content {
        Content::Inline(bytes) => io::Write::write_all(file, bytes),
        Content::External { .. } => Err(io::ErrorKind::Unsupported.into()),
        Content::Stored { key, size } => {
            let copied = io::copy(&mut source.open(*key)?.take(size.saturating_add(1)), file)?;
            if copied == *size {
                return Ok(());
            }
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a file is not as long as the zip's directory says",
            ))
        }
    }
}
