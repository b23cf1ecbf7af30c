//! Base images: the root file systems of the managed runtimes, built from Debian or added from an archive.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coracle_types::{Architecture, RuntimeKind};
use serde::{Deserialize, Serialize};

use super::debian::{Variant, Wanted};
use super::{ImageError, ImageStore, current, make_current, read_manifest, rootfs, write_manifest};
use crate::progress::Progress;
use crate::{erofs, files, tar_tree};

/// Largest root file system that is taken, in bytes.
const MAX_ROOTFS: u64 = 20 * 1024 * 1024 * 1024;
const PACKAGES: &str = "python3,ca-certificates,tzdata,libstdc++6,netbase";
const IMAGE_FILE: &str = "rootfs.erofs";
/// How much of the image's SHA-256 names it.
const ID_LENGTH: usize = 16;

/// A base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// The EROFS image.
    pub path: PathBuf,
    /// What is known of it.
    pub manifest: BaseManifest,
    /// Whether new sandboxes use it; an older one may still be in use by running ones.
    pub current: bool,
}

/// What is known of a base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseManifest {
    /// The runtime it serves.
    pub runtime: RuntimeKind,
    /// The beginning of the image's SHA-256.
    pub id: String,
    /// What it was made from.
    pub source: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}

/// The Debian suite whose Python is the runtime's.
fn suite(runtime: RuntimeKind) -> Option<&'static str> {
    match runtime {
        RuntimeKind::Python311 => Some("bookworm"),
        RuntimeKind::Python313 => Some("trixie"),
        _ => None,
    }
}

impl ImageStore {
    /// The base image new sandboxes of this runtime use.
    ///
    /// # Errors
    /// [`ImageError::NoBase`] when there is none, with the command that adds one.
    pub fn base(&self, runtime: RuntimeKind) -> Result<BaseImage, ImageError> {
        let Some(folder) = current(&self.base_folder(runtime))? else {
            let command = match suite(runtime) {
                Some(_) => format!("coracle image build {runtime}"),
                None => format!("coracle image add {runtime} --tar FILE"),
            };
            return Err(ImageError::NoBase { runtime, command });
        };
        Ok(BaseImage {
            path: folder.join(IMAGE_FILE),
            manifest: read_manifest(&folder)?,
            current: true,
        })
    }

    /// Whether [`ImageStore::build_base`] knows how to build one.
    pub fn can_build(runtime: RuntimeKind) -> bool {
        suite(runtime).is_some()
    }

    /// The base image in use; builds one where there is none and a recipe exists.
    ///
    /// # Errors
    /// As for [`ImageStore::base`] and [`ImageStore::build_base`].
    pub fn ensure_base(
        &self,
        runtime: RuntimeKind,
        progress: &dyn Progress,
    ) -> Result<BaseImage, ImageError> {
        match self.base(runtime) {
            Err(ImageError::NoBase { .. }) if Self::can_build(runtime) => {}
            found => return found,
        }
        let _lock = self.lock(runtime.as_str(), progress)?;
        match self.base(runtime) {
            Err(ImageError::NoBase { .. }) => self.bootstrap(runtime, progress),
            made_meanwhile => made_meanwhile,
        }
    }

    /// Builds a new base image from Debian packages and puts it into use.
    ///
    /// # Errors
    /// When there is no recipe for this runtime, or a tool is missing or fails.
    pub fn build_base(&self, runtime: RuntimeKind, progress: &dyn Progress) -> Result<BaseImage, ImageError> {
        let _lock = self.lock(runtime.as_str(), progress)?;
        self.bootstrap(runtime, progress)
    }

    /// Makes a base image of a root file system in a tar archive, plain or compressed with gzip, and puts it into
    /// use.
    ///
    /// # Errors
    /// When the archive is none, or lacks the runtime's interpreter.
    pub fn add_base(
        &self,
        runtime: RuntimeKind,
        archive: &Path,
        progress: &dyn Progress,
    ) -> Result<BaseImage, ImageError> {
        let _lock = self.lock(runtime.as_str(), progress)?;
        let source = format!("archive {}", archive.display());
        progress.step("Reading the archive", None);
        let mut compressed = File::open(archive)?;
        let mut magic = [0; 2];
        let read = compressed.read(&mut magic)?;
        if magic[..read] != [0x1f, 0x8b] {
            return self.convert(runtime, archive, source, Origin::Given, progress);
        }
        let mut plain = files::draft_file(&self.base_folder(runtime))?;
        let mut unpacked = flate2::read::MultiGzDecoder::new(File::open(archive)?).take(MAX_ROOTFS);
        io::copy(&mut unpacked, plain.as_file_mut())?;
        self.convert(runtime, plain.path(), source, Origin::Given, progress)
    }

    /// Every base image, those in use first within their runtime.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn bases(&self) -> Result<Vec<BaseImage>, ImageError> {
        let mut found = Vec::new();
        for runtime in RuntimeKind::ALL {
            let folder = self.base_folder(runtime);
            if !folder.is_dir() {
                continue;
            }
            let in_use = current(&folder)?;
            for entry in fs::read_dir(&folder)? {
                let image = entry?.path();
                if image.join(IMAGE_FILE).is_file() && !files::is_draft(&image) {
                    let manifest = read_manifest(&image)?;
                    let current = in_use.as_ref() == Some(&image);
                    found.push(BaseImage {
                        path: image.join(IMAGE_FILE),
                        manifest,
                        current,
                    });
                }
            }
        }
        found.sort_by_key(|image| (image.manifest.runtime, !image.current, image.manifest.id.clone()));
        Ok(found)
    }

    /// Removes every base image of a runtime. Running sandboxes keep what they have open. Whether there was one.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn remove_base(&self, runtime: RuntimeKind) -> Result<bool, ImageError> {
        let _lock = self.lock(runtime.as_str(), &())?;
        let folder = self.base_folder(runtime);
        if !folder.is_dir() {
            return Ok(false);
        }
        files::remove_folder(&folder)?;
        Ok(true)
    }

    pub(super) fn base_folder(&self, runtime: RuntimeKind) -> PathBuf {
        self.folder.join("base").join(runtime.as_str())
    }

    fn bootstrap(&self, runtime: RuntimeKind, progress: &dyn Progress) -> Result<BaseImage, ImageError> {
        let suite = suite(runtime).ok_or(ImageError::NoRecipe(runtime))?;
        let folder = self.base_folder(runtime);
        let own = Architecture::host().ok_or(ImageError::Architecture(std::env::consts::ARCH))?;
        let wanted = Wanted {
            suite,
            architecture: own,
            packages: PACKAGES,
            variant: Variant::Essential,
        };
        let archive = self.debian(&wanted, &folder, progress)?;
        let source = format!("Debian {suite}");
        self.convert(runtime, archive.path(), source, Origin::Debian, progress)
    }

    fn convert(
        &self,
        runtime: RuntimeKind,
        archive: &Path,
        source: String,
        origin: Origin,
        progress: &dyn Progress,
    ) -> Result<BaseImage, ImageError> {
        progress.step("Writing the image", None);
        let (mut tree, mut contents) = tar_tree::read_tar(archive)?;
        if let Origin::Debian = origin {
            rootfs::prune(&mut tree);
        }
        rootfs::complete(&mut tree, &mut contents, runtime)?;

        let folder = self.base_folder(runtime);
        let draft = files::draft_folder(&folder)?;
        let image = draft.path().join(IMAGE_FILE);
        let size = erofs::write_image(&tree, &mut contents, &image)?;
        progress.step("Checking the image", None);
        let id = files::sha256_of(&image)?[..ID_LENGTH].to_owned();
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let manifest = BaseManifest {
            runtime,
            id,
            source,
            size,
            created,
        };
        write_manifest(draft.path(), &manifest)?;
        files::publish_folder(draft, &folder.join(&manifest.id))?;
        make_current(&folder, &manifest.id)?;
        self.base(runtime)
    }
}

#[derive(Clone, Copy)]
enum Origin {
    /// Built here: what agents do not need may go.
    Debian,
    /// Brought by an operator: taken as it is.
    Given,
}
