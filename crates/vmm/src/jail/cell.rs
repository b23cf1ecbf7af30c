//! What a jail leaves to a machine's process. Passes from the server to the launcher as JSON.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the launcher puts around itself before it becomes the machine's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) strength: Strength,
    /// Who it becomes; stays who it is unless set.
    pub(super) identity: Option<Identity>,
    /// An empty folder, in which its view of the files is put together.
    pub(super) root: PathBuf,
    /// Its working directory, which it may write.
    pub(super) folder: PathBuf,
    /// Folders and files that programs are loaded from.
    pub(super) programs: Vec<PathBuf>,
    /// What else it sees, under the same paths as outside.
    pub(super) files: Vec<CellFile>,
    /// Whether it needs the device of KVM.
    pub(super) kvm: bool,
    /// The control groups that it enters.
    pub(super) groups: Vec<PathBuf>,
    /// Longest file that it may write, in bytes.
    pub(super) longest_file: u64,
}

/// How far a process is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strength {
    /// A user of its own, namespaces of its own, no capabilities. Takes root.
    Full,
    /// Namespaces but for that of processes, inside a user namespace; outside it is the server's user.
    UserNamespace,
    /// No way to more privileges, and bounds on files and descriptors.
    Bare,
}

impl Strength {
    /// Whether it has a view of files of its own.
    pub(super) fn has_namespaces(self) -> bool {
        self != Self::Bare
    }
}

/// Who a process becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its user, and its group of the same number.
    pub(super) user: u32,
    /// The group of all machines, which may use what they share.
    pub(super) machines: u32,
}

/// A file that a process sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CellFile {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

/// How a machine uses a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Reads it, as others do.
    Reads,
    /// Writes it, and nobody else uses it.
    Owns,
    /// Opens it for writing and maps it copy-on-write, as others do.
    Maps,
}

/// A file that a machine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileUse<'a> {
    pub(crate) path: &'a Path,
    pub(crate) usage: Usage,
}
