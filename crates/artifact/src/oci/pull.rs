//! From a reference or a file to an image in the store.
//!
//! Every step is skipped when its result is there already: whoever wants the same layer or the same image at the same
//! time waits for the first. What is dropped half way leaves drafts, which are removed when they are old.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use coracle_types::Architecture;
use futures::{StreamExt as _, TryStreamExt as _};
use oci_spec::distribution::Reference;
use oci_spec::image::{Descriptor, ImageManifest};
use sha2::{Digest as _, Sha256};

use super::assemble::assemble;
use super::error::OciError;
use super::layer::{self, LayerError};
use super::layout::{Layout, Piece};
use super::manifest::{self, Configuration, Document, MAX_DOCUMENT, ManifestError};
use super::registry::{RegistrySettings, Repository};
use super::store::{OciStore, Record, StoredImage, digits, format, image_in, layer_name};
use crate::files;

/// Layers of one image that are fetched or unpacked at once.
const CONCURRENT_LAYERS: usize = 3;

/// What is pulled, and how much of it.
#[derive(Debug, Clone)]
pub struct PullSettings {
    /// What processors an image may be for, the most wanted first.
    pub architectures: Vec<Architecture>,
    /// How registries are reached.
    pub registries: RegistrySettings,
    /// Most bytes of an image, compressed or unpacked.
    pub max_image: u64,
    /// How long a pull may take altogether.
    pub timeout: Duration,
}

impl Default for PullSettings {
    fn default() -> Self {
        Self {
            architectures: Architecture::host().into_iter().collect(),
            registries: RegistrySettings::default(),
            max_image: 16 * 1024 * 1024 * 1024,
            timeout: Duration::from_secs(60 * 60),
        }
    }
}

/// Which layers and images are being made in this process.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    /// Waits until nobody else makes this.
    async fn alone(&self, what: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.strong_count() > 0);
            let known = flights.get(what).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let flight = Arc::<tokio::sync::Mutex<()>>::default();
                flights.insert(what.to_owned(), Arc::downgrade(&flight));
                flight
            })
        };
        flight.lock_owned().await
    }
}

/// What the layers of one image share while they are made.
struct Making {
    budget: layer::Budget,
    /// Folders of the layers that were not here before.
    folders: Mutex<Vec<PathBuf>>,
    /// Shared by whoever unpacks.
    unpacking: Arc<tokio::sync::RwLock<()>>,
}

impl Making {
    fn new(limit: u64) -> Self {
        Self {
            budget: layer::Budget::new(limit),
            folders: Mutex::default(),
            unpacking: Arc::default(),
        }
    }

    fn begin(&self, folder: PathBuf) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.push(folder);
    }

    /// The layers that were begun, once none of them is being unpacked any more.
    async fn ended(&self) -> Vec<PathBuf> {
        let _nobody = self.unpacking.write().await;
        std::mem::take(&mut *self.folders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where an image comes from.
enum Source {
    Registry(Box<Repository>),
    Layout(Arc<Layout>),
}

/// An image that was found.
struct Found {
    digest: String,
    manifest: ImageManifest,
    configuration: Configuration,
}

impl OciStore {
    /// The image that `uri` means: an imported one, or else what the registry in it has for the processors wanted.
    ///
    /// # Errors
    /// When there is none that can run here; [`OciError::is_local`] tells whose doing that is.
    pub async fn pull(&self, uri: &str, settings: &PullSettings) -> Result<StoredImage, OciError> {
        let reference = parse(uri)?;
        if let Some(imported) = self.named(&reference.whole())? {
            return if settings.architectures.contains(&imported.architecture) {
                Ok(imported)
            } else {
                Err(manifest::no_platform(&settings.architectures, imported.architecture).into())
            };
        }
        let pulling = async {
            let repository = Repository::open(&settings.registries, &reference).await?;
            let source = Source::Registry(Box::new(repository));
            let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
            let root = source.manifest(wanted).await?;
            self.take(&source, &root, None, &reference.whole(), settings)
                .await
        };
        tokio::time::timeout(settings.timeout, pulling)
            .await
            .map_err(|_| OciError::Timeout(settings.timeout))?
    }

    /// Takes the image in an OCI layout, a folder or a tar archive of one. `name` is what it will be called, and which
    /// image is meant where the layout has several; without, it has no name and goes once nobody uses it.
    ///
    /// # Errors
    /// When there is none that can run here.
    pub async fn import(
        &self,
        path: &Path,
        name: Option<&str>,
        settings: &PullSettings,
    ) -> Result<StoredImage, OciError> {
        let reference = name.map(parse).transpose()?;
        let path = path.to_owned();
        let shown = path.display().to_string();
        let layout = blocking(move || Layout::open(&path).map_err(OciError::from)).await?;
        let root = layout.index(MAX_DOCUMENT)?;
        let source = Source::Layout(Arc::new(layout));
        let called = reference.as_ref().map_or(shown, Reference::whole);
        let image = self.take(&source, &root, name, &called, settings).await?;
        if let Some(reference) = reference {
            self.set_name(&reference.whole(), &image.digest)?;
        }
        Ok(image)
    }

    /// Makes the image that `root`, an index or a manifest, leads to.
    async fn take(
        &self,
        source: &Source,
        root: &[u8],
        name: Option<&str>,
        called: &str,
        settings: &PullSettings,
    ) -> Result<StoredImage, OciError> {
        let begun = Instant::now();
        let found = find(source, root, name, &settings.architectures).await?;
        let digest = found.digest.clone();
        let _alone = self.flights.alone(&format!("image {digest}")).await;
        if let Some(image) = self.current(&digest)? {
            tracing::info!(image = called, digest, "image is here already");
            return Ok(image);
        }
        let store = self.clone();
        let using = blocking(move || Ok::<_, OciError>(store.use_lock()?)).await?;
        let compressed: u64 = found.manifest.layers().iter().map(Descriptor::size).sum();
        if compressed > settings.max_image {
            return Err(OciError::TooLarge {
                size: compressed,
                limit: settings.max_image,
            });
        }
        tracing::info!(
            image = called,
            digest,
            layers = found.manifest.layers().len(),
            bytes = compressed,
            "image is being fetched"
        );
        let making = Arc::new(Making::new(settings.max_image));
        let layers = self.layers(source, &found, &making).await;
        if layers.as_ref().is_err_and(is_too_large) {
            drop(using);
            self.discard(&making).await;
        }
        let image = self.assemble(found, layers?, called).await?;
        tracing::info!(image = called, digest, size = image.size, took = ?begun.elapsed(), "image ready");
        Ok(image)
    }

    /// Keeps nothing of an image that is too large.
    async fn discard(&self, making: &Making) {
        let (store, folders) = (self.clone(), making.ended().await);
        if let Err(error) = blocking(move || store.discard_layers(&folders)).await {
            tracing::warn!(%error, "layers of an image that is too large could not be removed");
        }
    }

    /// The folders of the image's layers, the lowest first, made where they are missing.
    async fn layers(
        &self,
        source: &Source,
        found: &Found,
        making: &Arc<Making>,
    ) -> Result<Vec<PathBuf>, OciError> {
        let layers = found.manifest.layers().iter().zip(&found.configuration.diff_ids);
        let layers: Vec<_> = layers
            .enumerate()
            .map(|(index, (descriptor, diff_id))| async move {
                let layer = self.layer(source, index + 1, descriptor, diff_id, making);
                Ok::<_, OciError>((index, layer.await?))
            })
            .collect();
        // As they come: the next one does not wait for a large one before it.
        let layers = futures::stream::iter(layers).buffer_unordered(CONCURRENT_LAYERS);
        let layers: BTreeMap<usize, PathBuf> = layers.try_collect().await?;
        Ok(layers.into_values().collect())
    }

    async fn layer(
        &self,
        source: &Source,
        number: usize,
        descriptor: &Descriptor,
        diff_id: &str,
        making: &Arc<Making>,
    ) -> Result<PathBuf, OciError> {
        let folder = self.layer_folder(&digits(diff_id)?);
        let digest = descriptor.digest().to_string();
        manifest::hexadecimal(&digest)?;
        let shown = digest.clone();
        let unusable = move |source| OciError::Layer {
            number,
            digest: shown,
            source,
        };
        let _alone = self.flights.alone(diff_id).await;
        if folder.is_dir() {
            making.budget.keep_layer(&folder).map_err(unusable)?;
            return Ok(folder);
        }
        let begun = Instant::now();
        let downloads = self.folder.join("downloads");
        let blob = source.blob(&digest, descriptor.size(), &downloads).await?;
        let fetched = begun.elapsed();
        making.begin(folder.clone());
        let (target, diff_id) = (folder.clone(), diff_id.to_owned());
        let layers = self.folder.join("layers");
        let given_up = GivenUp::default();
        let flag = Arc::clone(&given_up.0);
        let unpacking = Arc::clone(&making.unpacking).read_owned().await;
        let budget = Arc::clone(making);
        let size = blocking(move || {
            let _unpacking = unpacking;
            let draft = files::draft_folder(&layers)?;
            let blob = blob.piece.open()?;
            let unpacked = layer::unpack(blob, &diff_id, &budget.budget, draft.path(), &flag);
            let size = unpacked.map_err(unusable)?;
            files::publish_folder(draft, &target)?;
            Ok::<_, OciError>(size)
        })
        .await?;
        let unpacked = begun.elapsed() - fetched;
        tracing::info!(
            number,
            digest,
            bytes = descriptor.size(),
            unpacked_bytes = size,
            ?fetched,
            ?unpacked,
            "layer ready"
        );
        Ok(folder)
    }

    async fn assemble(
        &self,
        found: Found,
        layers: Vec<PathBuf>,
        called: &str,
    ) -> Result<StoredImage, OciError> {
        let (store, called) = (self.clone(), called.to_owned());
        blocking(move || {
            let draft = files::draft_folder(&store.folder.join("images"))?;
            let assembled = assemble(&found.configuration, &layers, &image_in(draft.path()))?;
            let diff_ids = found.configuration.diff_ids.iter().map(|diff_id| digits(diff_id));
            let diff_ids = diff_ids.collect::<Result<Vec<_>, _>>()?;
            let mut size = assembled.size;
            for layer in &layers {
                size += std::fs::metadata(layer.join(layer::DATA))?.len();
            }
            let record = Record {
                format: format(),
                reference: called,
                architecture: found.configuration.architecture,
                disks: assembled
                    .disks
                    .iter()
                    .filter_map(|disk| diff_ids.get(*disk).map(|diff_id| layer_name(diff_id)))
                    .collect(),
                layers: diff_ids,
                size,
                start: assembled.start,
            };
            store.publish(&found.digest, record, draft)
        })
        .await
    }
}

/// Follows an index to the manifest for the first of these architectures, and reads the configuration.
async fn find(
    source: &Source,
    root: &[u8],
    name: Option<&str>,
    architectures: &[Architecture],
) -> Result<Found, OciError> {
    let (mut bytes, mut document) = (root.to_vec(), manifest::document(root)?);
    // A layout has an index of its own, around that of the image.
    for _ in 0..2 {
        if let Document::Index(index) = &document {
            let chosen = manifest::choose(index, architectures, name)?;
            bytes = source.small(chosen, Kind::Manifest).await?;
            document = manifest::document(&bytes)?;
        }
    }
    let Document::Manifest(manifest) = document else {
        return Err(ManifestError::NestedIndex.into());
    };
    let configuration = source.small(manifest.config(), Kind::Blob).await?;
    let configuration = manifest::configuration(&configuration, manifest.layers().len(), architectures)?;
    Ok(Found {
        digest: hex::encode(Sha256::digest(&bytes)),
        manifest: *manifest,
        configuration,
    })
}

/// A blob on this machine. What was downloaded is removed when this is dropped.
struct Blob {
    piece: Piece,
    _downloaded: Option<tempfile::TempPath>,
}

#[derive(Clone, Copy)]
enum Kind {
    Manifest,
    Blob,
}

impl Source {
    async fn manifest(&self, wanted: &str) -> Result<Vec<u8>, OciError> {
        if wanted.contains(':') {
            manifest::hexadecimal(wanted)?;
        }
        match self {
            Self::Registry(repository) => Ok(repository.manifest(wanted).await?),
            Self::Layout(layout) => Ok(layout.small_blob(wanted, MAX_DOCUMENT)?),
        }
    }

    /// A document by its descriptor.
    async fn small(&self, descriptor: &Descriptor, kind: Kind) -> Result<Vec<u8>, OciError> {
        let digest = descriptor.digest().to_string();
        manifest::hexadecimal(&digest)?;
        match (self, kind) {
            (_, Kind::Manifest) => self.manifest(&digest).await,
            (Self::Registry(repository), Kind::Blob) => {
                Ok(repository.small_blob(&digest, descriptor.size()).await?)
            }
            (Self::Layout(layout), Kind::Blob) => {
                Ok(layout.small_blob(&digest, descriptor.size().min(MAX_DOCUMENT))?)
            }
        }
    }

    async fn blob(&self, digest: &str, size: u64, downloads: &Path) -> Result<Blob, OciError> {
        match self {
            Self::Registry(repository) => {
                let mut downloaded = None;
                let target = || {
                    let draft = files::draft_file(downloads)?;
                    let file = tokio::fs::File::from_std(draft.as_file().try_clone()?);
                    downloaded = Some(draft.into_temp_path());
                    Ok(tokio::io::BufWriter::with_capacity(1024 * 1024, file))
                };
                repository.blob(digest, size, target).await?;
                let path = downloaded
                    .as_ref()
                    .map(|path| path.to_path_buf())
                    .unwrap_or_default();
                Ok(Blob {
                    piece: Piece::whole(path, size),
                    _downloaded: downloaded,
                })
            }
            Self::Layout(layout) => {
                let (layout, digest) = (Arc::clone(layout), digest.to_owned());
                let piece = blocking(move || layout.blob(&digest, size).map_err(OciError::from)).await?;
                Ok(Blob {
                    piece,
                    _downloaded: None,
                })
            }
        }
    }
}

/// Whether the layers of the image together are.
fn is_too_large(error: &OciError) -> bool {
    matches!(
        error,
        OciError::Layer {
            source: LayerError::TooLarge(_),
            ..
        }
    )
}

/// Tells work on another thread when nobody waits for it any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn parse(uri: &str) -> Result<Reference, OciError> {
    uri.parse().map_err(|error: oci_spec::distribution::ParseError| {
        OciError::Reference(uri.to_owned(), error.to_string())
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OciError> + Send + 'static,
) -> Result<T, OciError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(OciError::Io(error.into())))
}
