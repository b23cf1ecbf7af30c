//! The images folder: the guest kernel and the base images, shared by every server on the machine.
//!
//! ```text
//! kernel/<release>/        vmlinuz, vmlinux, modules/*.ko, manifest.json
//! kernel/current           the release in use
//! kernel-<architecture>/   as kernel/, for another than this machine's processor
//! base/<RUNTIME>/<id>/     rootfs.erofs, manifest.json; <id> begins the image's SHA-256
//! base/<RUNTIME>/current   the id in use
//! initramfs/, scratch/     made from the above by `crate::initramfs` and `crate::scratch`
//! locks/                   one file for each thing that is made once
//! ```
//!
//! A kernel or image in use by a running sandbox stays in place when a newer one takes over.

mod base;
mod debian;
mod kernel;
mod modules;
mod rootfs;
mod vmlinuz;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coracle_types::{Architecture, RuntimeKind};

use crate::command::CommandError;
use crate::erofs::ErofsError;
use crate::files::{self, FileLock};
use crate::progress::Progress;
use crate::tar_tree::TarError;

pub use base::{BaseImage, BaseManifest};
pub use kernel::KernelImage;
pub use modules::{FOLDER_MODULES, MICROVM_MODULES, NESTED_KVM_MODULES};

/// Why the images folder could not give or take something.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The folder itself.
    #[error("the images folder could not be read or written")]
    Io(#[from] io::Error),
    /// No base image for this runtime.
    #[error("no base image for {runtime} on this server; add one with `{command}`")]
    NoBase {
        /// The runtime.
        runtime: RuntimeKind,
        /// The command that adds one.
        command: String,
    },
    /// No guest kernel for this architecture.
    #[error("no guest kernel for {0} on this server; add one with `coracle image build kernel --arch {0}`")]
    NoKernel(Architecture),
    /// There is no recipe for this runtime.
    #[error("no recipe to build a base image for {0}; add one with `coracle image add {0} --tar FILE`")]
    NoRecipe(RuntimeKind),
    /// A tool of the host.
    #[error(transparent)]
    Tool(#[from] CommandError),
    /// Debian's public keys are not on this machine.
    #[error(
        "Debian's public keys are missing; they are needed to verify what is downloaded. \
         Install them with: apt-get install debian-archive-keyring"
    )]
    KeyringMissing,
    /// `mmdebstrap` can be neither root nor seem so.
    #[error(
        "packages can be had from Debian by root, or by an ordinary user where user namespaces are allowed; here neither \
         is the case. Run the command as root, or install uidmap, give this user a line in /etc/subuid and \
         /etc/subgid, and allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu \
         also kernel.apparmor_restrict_unprivileged_userns=0)"
    )]
    NoPrivileges(#[source] CommandError),
    /// No guest kernel exists for this processor.
    #[error("there is no guest kernel for the processor architecture {0}")]
    Architecture(&'static str),
    /// The kernel package is not what it should be.
    #[error("Debian's kernel package {0}")]
    BadKernel(String),
    /// The archive cannot be read.
    #[error("the root file system could not be read")]
    Tar(#[from] TarError),
    /// The archive is a root file system of something else.
    #[error("the root file system is not one for {runtime}: {what}")]
    NotARootfs {
        /// The runtime it should serve.
        runtime: RuntimeKind,
        /// What is missing.
        what: String,
    },
    /// The image could not be written.
    #[error("the image could not be written")]
    Erofs(#[from] ErofsError),
    /// A description beside an image is damaged.
    #[error("{} is damaged; remove its folder and build it again", path.display())]
    Manifest {
        /// The description.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

/// The images folder.
#[derive(Debug, Clone)]
pub struct ImageStore {
    folder: PathBuf,
    mirror: Option<String>,
}

impl ImageStore {
    /// Opens the folder, making it where it is missing. `mirror` is the URL of a Debian mirror; without one
    /// mmdebstrap uses Debian's own servers.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: impl Into<PathBuf>, mirror: Option<String>) -> Result<Self, ImageError> {
        let store = Self {
            folder: folder.into(),
            mirror,
        };
        for inner in ["base", "locks"] {
            fs::create_dir_all(store.folder.join(inner))?;
            files::sweep_drafts(&store.folder.join(inner))?;
        }
        let kernels = Architecture::ALL.map(|architecture| store.kernels(architecture));
        let bases = RuntimeKind::ALL.map(|runtime| store.base_folder(runtime));
        for folder in kernels.iter().chain(&bases).filter(|folder| folder.is_dir()) {
            files::sweep_drafts(folder)?;
        }
        Ok(store)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self, name: &str, progress: &dyn Progress) -> Result<FileLock, ImageError> {
        let path = self.folder.join("locks").join(name);
        let waiting = format!("Waiting for another process that is making {name}");
        Ok(FileLock::acquire(&path, || progress.step(&waiting, None))?)
    }
}

/// What the file `current` in `folder` names, if both exist.
fn current(folder: &Path) -> Result<Option<PathBuf>, ImageError> {
    let name = match fs::read_to_string(folder.join("current")) {
        Ok(name) => name,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let named = folder.join(name.trim());
    Ok(named.is_dir().then_some(named))
}

fn make_current(folder: &Path, name: &str) -> Result<(), ImageError> {
    files::write_atomically(&folder.join("current"), |file| {
        io::Write::write_all(file, name.as_bytes())
    })?;
    Ok(())
}

fn read_manifest<M: serde::de::DeserializeOwned>(folder: &Path) -> Result<M, ImageError> {
    let path = folder.join("manifest.json");
    serde_json::from_slice(&fs::read(&path)?).map_err(|source| ImageError::Manifest { path, source })
}

fn write_manifest<M: serde::Serialize>(folder: &Path, manifest: &M) -> Result<(), ImageError> {
    let path = folder.join("manifest.json");
    let text = serde_json::to_vec_pretty(manifest).map_err(|source| ImageError::Manifest {
        path: path.clone(),
        source,
    })?;
    files::write_atomically(&path, |file| io::Write::write_all(file, &text))?;
    Ok(())
}
