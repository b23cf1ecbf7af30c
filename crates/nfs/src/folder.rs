//! A folder as the operator offers it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use crate::handle::Sealer;
use crate::owner::Owner;
use crate::procedures;
use crate::tree::{Tree, open_beneath};
use crate::worker::{self, Worker};

/// Most connections of all sandboxes to a folder at once; each has a thread.
const MOST_CONNECTIONS: usize = 4096;

/// What seals the handles of a server's folders.
#[derive(Clone)]
pub struct FolderKey([u8; 32]);

impl std::fmt::Debug for FolderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FolderKey")
    }
}

impl FolderKey {
    /// A key of the server's. Sandboxes that go on after the server has started anew need the same one.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }
}

/// What the operator says of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    /// Tells it from the others, and stays the same: its handles depend on it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether nothing in it may be changed.
    pub read_only: bool,
    /// Who all that is done in it is done as; the folder's own owner unless set.
    pub user: Option<u32>,
    /// The group of that user; the folder's own group unless set.
    pub group: Option<u32>,
}

/// Why a folder cannot be offered. What it says is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be opened.
    #[error("the folder {} cannot be opened; make it, or name another", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// It is not named by an absolute path.
    #[error("{} is no absolute path; name the folder from the root on", .0.display())]
    Relative(PathBuf),
    /// The kernel is too old.
    #[error("this kernel cannot confine what is opened to the folder {}; it needs openat2 (Linux 5.6)", .0.display())]
    Unconfined(PathBuf, #[source] io::Error),
    /// Everything would be done as root.
    #[error(
        "sandboxes would act as root in {}; give the folder another owner (chown), or name one with user and group", .0.display()
    )]
    Root(PathBuf),
    /// The server may not act as this user.
    #[error(
        "the server may not act as user {user} and group {group} in {}; run it as root or as that user, or name its own user \
         and group", path.display()
    )]
    NotAllowed {
        /// The folder.
        path: PathBuf,
        /// The user.
        user: u32,
        /// The group.
        group: u32,
    },
}

/// A folder that sandboxes can mount.
#[derive(Debug)]
pub struct Folder {
    settings: FolderSettings,
    pub(crate) owner: Owner,
    pub(crate) tree: Tree,
    pub(crate) sealer: Sealer,
    /// The number of its file system to clients.
    pub(crate) file_system: u64,
    /// Tells clients whether another process took what they wrote (RFC 1813, section 3.3.7).
    pub(crate) write_verifier: [u8; 8],
    connections: Arc<Semaphore>,
}

impl PartialEq for Folder {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Folder {}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it cannot be offered safely.
    pub fn open(settings: FolderSettings, key: &FolderKey) -> Result<Self, FolderError> {
        let path = settings.path.clone();
        if !path.is_absolute() {
            return Err(FolderError::Relative(path));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let cannot_open = |error: io::Error| FolderError::Open(path.clone(), error);
        let top = rustix::fs::openat(CWD, &path, flags, Mode::empty());
        let top: OwnedFd = top.map_err(|error| cannot_open(error.into()))?;
        open_beneath(&top, ".", OFlags::PATH, Mode::empty())
            .map_err(|error| FolderError::Unconfined(path.clone(), error.into()))?;
        let metadata = std::fs::metadata(&path).map_err(cannot_open)?;
        let owner = Owner {
            user: settings.user.unwrap_or(metadata.uid()),
            group: settings.group.unwrap_or(metadata.gid()),
        };
        if owner.user == 0 {
            return Err(FolderError::Root(path));
        }
        if !owner.is_possible() {
            return Err(FolderError::NotAllowed {
                path,
                user: owner.user,
                group: owner.group,
            });
        }
        let mut write_verifier = [0; 8];
        rand::fill(&mut write_verifier);
        Ok(Self {
            owner,
            tree: Tree::new(top),
            sealer: Sealer::new(&key.0, &settings.name),
            file_system: number_of(&settings.name),
            write_verifier,
            connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            settings,
        })
    }

    /// What tells it from others.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether nothing in it may be changed.
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only
    }

    /// The answer to a record, given on the calling thread and with its rights: for tests. None for what is no call.
    pub fn answer_as_caller(&self, record: &[u8]) -> Option<Vec<u8>> {
        procedures::answer(&mut Worker::new(self), record)
    }

    /// Serves a connection until it ends. One that finds no room, or does not speak the protocol, is closed.
    pub async fn serve(self: Arc<Self>, connection: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            tracing::warn!(
                folder = self.name(),
                "too many connections of sandboxes to a folder; one was closed"
            );
            return;
        };
        if let Err(error) = worker::serve(self, permit, connection).await {
            tracing::debug!(%error, "a sandbox's connection to a folder ended");
        }
    }
}

/// A number that stays the same for a folder of this name, whatever directory it is.
fn number_of(name: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(name).into();
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
