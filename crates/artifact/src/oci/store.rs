//! Images on disk.
//!
//! ```text
//!  layers/<diff id>-<format>/   one unpacked layer; the digest is that of its archive
//!  images/<digest>/             one image: what is known of it, and its names as an EROFS image; by its manifest's digest
//!  names/<digest>.json          a reference that means an imported image; the digest is that of the reference
//!  downloads/                   blobs on their way; removed when they are old
//!  users.lock                   shared by whoever makes an image, exclusive for whoever removes what nobody uses
//! ```
//!
//! Layers and images appear complete and synced, or not at all. The time an image was last modified is when it was last
//! asked for. Any number of threads and processes may use one folder.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use coracle_types::Architecture;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::OciError;
use super::layer::{self, DATA};
use super::{ManifestError, assemble};
use crate::erofs::WRITER_VERSION;
use crate::files::{self, FileLock};

const RECORD: &str = "image.json";
const IMAGE: &str = "image.erofs";

/// How an image is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStart {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The image's environment, `PATH` and `HOME` included.
    pub environment: BTreeMap<String, String>,
    /// Where the program starts; it exists.
    pub working_directory: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// What is kept of an image beside its names and contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What made it; another program's images are used, but made again when they are pulled.
    pub(super) format: String,
    /// The reference it was first found by.
    pub(super) reference: String,
    /// What processors it is for. Images from before this was noted are for this machine's own.
    #[serde(default = "own_architecture")]
    pub(super) architecture: Architecture,
    /// Diff ids of its layers in hexadecimal, the lowest first.
    pub(super) layers: Vec<String>,
    /// Those that are disks of their own, in the order of the image's devices, by the names of their folders.
    pub(super) disks: Vec<String>,
    /// Size of the layers' contents and of the image in bytes.
    pub(super) size: u64,
    pub(super) start: ImageStart,
}

fn own_architecture() -> Architecture {
    // On others no image was ever made.
    Architecture::host().unwrap_or(Architecture::Amd64)
}

/// An image that machines can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// SHA-256 of its manifest in hexadecimal.
    pub digest: String,
    /// The reference it was first found by.
    pub reference: String,
    /// What processors it is for.
    pub architecture: Architecture,
    /// The EROFS image.
    pub image: PathBuf,
    /// Its further devices, in order.
    pub disks: Vec<PathBuf>,
    /// Size of its layers' contents and of the image in bytes.
    pub size: u64,
    /// How many layers it has.
    pub layers: usize,
    /// When it was last asked for.
    pub used: SystemTime,
    /// How it is started.
    pub start: ImageStart,
}

/// A reference that means an imported image.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    reference: String,
    digest: String,
}

/// What was removed because nobody used it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Images.
    pub images: usize,
    /// Layers.
    pub layers: usize,
}

/// The images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OciStore {
    pub(super) folder: PathBuf,
    pub(super) flights: std::sync::Arc<super::pull::Flights>,
}

impl OciStore {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, OciError> {
        let folder = folder.into();
        for inner in ["layers", "images", "names", "downloads"] {
            fs::create_dir_all(folder.join(inner))?;
            files::sweep_drafts(&folder.join(inner))?;
        }
        Ok(Self {
            folder,
            flights: std::sync::Arc::default(),
        })
    }

    /// The image with this digest of its manifest, in hexadecimal.
    ///
    /// # Errors
    /// [`OciError::Unknown`] when it is not here.
    pub fn get(&self, digest: &str) -> Result<StoredImage, OciError> {
        let unknown = || OciError::Unknown(format!("sha256:{digest}"));
        super::manifest::hexadecimal(&format!("sha256:{digest}")).map_err(|_| unknown())?;
        match self.record(digest) {
            Ok((record, used)) => Ok(self.stored(digest, record, used)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    /// Every image, by its reference.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<StoredImage>, OciError> {
        let mut found = Vec::new();
        for name in self.names_in("images")? {
            found.push(self.get(&name)?);
        }
        found.sort_by(|one: &StoredImage, other| {
            (&one.reference, &one.digest).cmp(&(&other.reference, &other.digest))
        });
        Ok(found)
    }

    /// The references that mean imported images, and the digests of these.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn imported(&self) -> Result<BTreeMap<String, String>, OciError> {
        let mut found = BTreeMap::new();
        for name in self.names_in("names")? {
            let text = fs::read(self.folder.join("names").join(name))?;
            let named: Named = serde_json::from_slice(&text).map_err(io::Error::from)?;
            found.insert(named.reference, named.digest);
        }
        Ok(found)
    }

    /// Forgets what an imported image is called. Whether there was one.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove_name(&self, reference: &str) -> Result<bool, OciError> {
        match fs::remove_file(self.name_file(reference)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the images that are neither in `in_use` nor have a name, and have not been asked for in this time; and
    /// the layers that belong to no image then. Does nothing while images are being made.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn collect(&self, in_use: &HashSet<String>, unused_for: Duration) -> Result<Collected, OciError> {
        let Some(_alone) = FileLock::try_acquire(&self.users_lock())? else {
            return Ok(Collected::default());
        };
        let named: HashSet<String> = self.imported()?.into_values().collect();
        let mut collected = Collected::default();
        let mut layers = HashSet::new();
        for image in self.list()? {
            let kept = in_use.contains(&image.digest)
                || named.contains(&image.digest)
                || image.used.elapsed().unwrap_or_default() < unused_for;
            if kept {
                layers.extend(self.layers_of(&image.digest)?);
            } else {
                files::remove_folder(&self.image_folder(&image.digest))?;
                collected.images += 1;
            }
        }
        for name in self.names_in("layers")? {
            let folder = self.folder.join("layers").join(&name);
            let age = fs::metadata(&folder)?.modified()?.elapsed().unwrap_or_default();
            if !layers.contains(&name) && age >= unused_for {
                files::remove_folder(&folder)?;
                collected.layers += 1;
            }
        }
        Ok(collected)
    }

    /// Removes those of these layers that no image has. Does nothing while images are being made.
    pub(super) fn discard_layers(&self, folders: &[PathBuf]) -> Result<(), OciError> {
        let Some(_alone) = FileLock::try_acquire(&self.users_lock())? else {
            return Ok(());
        };
        let mut used = HashSet::new();
        for image in self.list()? {
            used.extend(self.layers_of(&image.digest)?);
        }
        for folder in folders {
            let name = folder.file_name().unwrap_or_default();
            if folder.is_dir() && !used.contains(&*name.to_string_lossy()) {
                files::remove_folder(folder)?;
            }
        }
        Ok(())
    }

    /// The image that an imported reference means.
    pub(super) fn named(&self, reference: &str) -> Result<Option<StoredImage>, OciError> {
        let text = match fs::read(self.name_file(reference)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let named: Named = serde_json::from_slice(&text).map_err(io::Error::from)?;
        self.get(&named.digest).map(Some)
    }

    pub(super) fn set_name(&self, reference: &str, digest: &str) -> Result<(), OciError> {
        let named = Named {
            reference: reference.to_owned(),
            digest: digest.to_owned(),
        };
        let text = serde_json::to_vec(&named).map_err(io::Error::from)?;
        files::write_atomically(&self.name_file(reference), |file| {
            io::Write::write_all(file, &text)
        })?;
        Ok(())
    }

    /// The image, if it was made by this program; it counts as asked for now.
    pub(super) fn current(&self, digest: &str) -> Result<Option<StoredImage>, OciError> {
        let (record, _) = match self.record(digest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if record.format != format() {
            return Ok(None);
        }
        let now = SystemTime::now();
        File::open(self.image_folder(digest).join(RECORD))?.set_modified(now)?;
        Ok(Some(self.stored(digest, record, now)))
    }

    /// Puts a made image into its place. `draft` holds it as [`image_in`] says.
    pub(super) fn publish(
        &self,
        digest: &str,
        record: Record,
        draft: tempfile::TempDir,
    ) -> Result<StoredImage, OciError> {
        let text = serde_json::to_vec_pretty(&record).map_err(io::Error::from)?;
        files::write_atomically(&draft.path().join(RECORD), |file| {
            io::Write::write_all(file, &text)
        })?;
        files::publish_folder(draft, &self.image_folder(digest))?;
        Ok(self.stored(digest, record, SystemTime::now()))
    }

    /// Held while an image is made, so that what it will use is not removed meanwhile.
    pub(super) fn use_lock(&self) -> io::Result<FileLock> {
        FileLock::shared(&self.users_lock())
    }

    pub(super) fn layer_folder(&self, diff_id: &str) -> PathBuf {
        self.folder.join("layers").join(layer_name(diff_id))
    }

    fn stored(&self, digest: &str, record: Record, used: SystemTime) -> StoredImage {
        let disk = |name: &String| self.folder.join("layers").join(name).join(DATA);
        StoredImage {
            digest: digest.to_owned(),
            reference: record.reference,
            architecture: record.architecture,
            image: image_in(&self.image_folder(digest)),
            disks: record.disks.iter().map(disk).collect(),
            size: record.size,
            layers: record.layers.len(),
            used,
            start: record.start,
        }
    }

    fn record(&self, digest: &str) -> io::Result<(Record, SystemTime)> {
        let path = self.image_folder(digest).join(RECORD);
        let used = fs::metadata(&path)?.modified()?;
        let record = serde_json::from_slice(&fs::read(path)?)?;
        Ok((record, used))
    }

    /// What the folders of an image's layers are called.
    fn layers_of(&self, digest: &str) -> io::Result<Vec<String>> {
        let (record, _) = self.record(digest)?;
        let layers = record.layers.iter().map(|diff_id| layer_name(diff_id));
        Ok(layers.chain(record.disks).collect())
    }

    fn image_folder(&self, digest: &str) -> PathBuf {
        self.folder.join("images").join(digest)
    }

    fn name_file(&self, reference: &str) -> PathBuf {
        let digest = hex::encode(Sha256::digest(reference));
        self.folder.join("names").join(format!("{digest}.json"))
    }

    fn users_lock(&self) -> PathBuf {
        self.folder.join("users.lock")
    }

    /// What is in one of the folders, drafts left out.
    fn names_in(&self, inner: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join(inner))? {
            let entry = entry?;
            if !files::is_draft(&entry.path()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }
}

/// Where the EROFS image is in the folder of an image.
pub(super) fn image_in(folder: &Path) -> PathBuf {
    folder.join(IMAGE)
}

/// What a layer's folder is called.
pub(super) fn layer_name(diff_id: &str) -> String {
    format!("{diff_id}-{}", layer::FORMAT)
}

/// What makes images here.
pub(super) fn format() -> String {
    format!("{}.{}.{WRITER_VERSION}", layer::FORMAT, assemble::FORMAT)
}

/// The hexadecimal digits of a digest.
pub(super) fn digits(digest: &str) -> Result<String, ManifestError> {
    super::manifest::hexadecimal(digest).map(str::to_owned)
}
