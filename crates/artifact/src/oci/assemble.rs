//! From unpacked layers to what a machine mounts: one EROFS image with the names of all layers.
//!
//! ```text
//! image.erofs                 names and metadata, and the contents of small layers
//! layers/<digest>/data, …     contents of large layers, each a disk of its own
//! ```
//!
//! Contents lie with their layer, whose file all images with this layer share, on disk and in the page cache. The names
//! of all layers are merged here, and not by an overlay of one image a layer in the guest: a hard link into a lower
//! layer, and a path through a lower layer's symbolic link, mean something only in the merged tree; a machine has room
//! for few disks; and each layer of an overlay costs every look-up of a name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::accounts::{self, AccountError};
use super::apply::{self, ApplyError};
use super::entry_point::{self, EntryPointError};
use super::layer::{self, DATA};
use super::manifest::Configuration;
use super::store::ImageStart;
use crate::erofs::{self, BLOCK_SIZE, ErofsError};
use crate::tree::{Content, ContentSource, Inode, Kind, Resolution, Tree};

/// Changes whenever the same layers would give another image.
pub(super) const FORMAT: u32 = 1;
/// Contents of a layer below this size are copied into the image, in bytes: a disk costs every start a little.
const DISK_MINIMUM: u64 = 1024 * 1024;
/// Most layers that are disks of their own.
const MAX_DISKS: usize = 6;
/// Most entries of an image, over all layers.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest list of accounts that is read, in bytes.
const MAX_ACCOUNTS: u64 = 1024 * 1024;
/// Where a machine mounts file systems of its own.
const COVERED: [&str; 4] = ["dev", "proc", "run", "sys"];
/// What a machine writes into.
const NEEDED: [&str; 2] = ["etc", "tmp"];
/// Where programs are if the image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why layers do not make an image that can run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AssembleError {
    #[error("layer {number} does not fit the ones below it")]
    Apply {
        number: usize,
        #[source]
        source: ApplyError,
    },
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    EntryPoint(#[from] EntryPointError),
    #[error("the image's /{0} is not a folder")]
    NotAFolder(&'static str),
    #[error("the image's working directory {0} is a file, or leads nowhere")]
    WorkingDirectory(String),
    #[error("the image could not be written")]
    Write(#[source] ErofsError),
    #[error("the unpacked layers could not be read")]
    Read(#[source] io::Error),
}

/// What was made.
#[derive(Debug)]
pub(super) struct Assembled {
    /// Which of the layers are disks, in the order of the image's devices.
    pub(super) disks: Vec<usize>,
    /// Size of the image's own file in bytes.
    pub(super) size: u64,
    pub(super) start: ImageStart,
}

/// Writes the image of these layers, the lowest first, to `target`.
pub(super) fn assemble(
    configuration: &Configuration,
    layers: &[PathBuf],
    target: &Path,
) -> Result<Assembled, AssembleError> {
    let mut contents = Contents::open(layers).map_err(AssembleError::Read)?;
    let mut tree = apply::empty();
    for (number, folder) in layers.iter().enumerate() {
        let unfit = |source| AssembleError::Apply {
            number: number + 1,
            source,
        };
        let entries = layer::entries(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| unfit(ApplyError::Entries(error)))?;
        let locate = |block, size| contents.locate(number, block, size);
        apply::apply(&mut tree, &entries, MAX_ENTRIES, locate).map_err(unfit)?;
    }
    let start = start(configuration, &tree, &mut contents)?;
    furnish(&mut tree, &start.working_directory)?;
    let devices = contents.device_sizes();
    let size =
        erofs::write_image_over(&tree, &devices, &mut contents, target).map_err(AssembleError::Write)?;
    Ok(Assembled {
        disks: contents.disks,
        size,
        start,
    })
}

/// How the image is started, once it is known that it can be.
fn start(
    configuration: &Configuration,
    tree: &Tree,
    contents: &mut Contents,
) -> Result<ImageStart, AssembleError> {
    let mut text = |path: &str| {
        let read = contents.read(tree, path.as_bytes(), MAX_ACCOUNTS);
        read.map(|bytes| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
            .map_err(AssembleError::Read)
    };
    let (passwd, group) = (text("etc/passwd")?, text("etc/group")?);
    let account = accounts::resolve(&configuration.user, &passwd, &group)?;
    let mut environment = configuration.environment.clone();
    environment
        .entry("PATH".to_owned())
        .or_insert(DEFAULT_PATH.to_owned());
    environment.entry("HOME".to_owned()).or_insert(account.home);
    let start = ImageStart {
        command: configuration.command.clone(),
        environment,
        working_directory: configuration.working_directory.clone(),
        uid: account.uid,
        gid: account.gid,
        groups: account.groups,
    };
    entry_point::check(&start, configuration.architecture, tree, contents)?;
    Ok(start)
}

/// Makes the folders that a machine needs.
fn furnish(tree: &mut Tree, working_directory: &str) -> Result<(), AssembleError> {
    let folder = || Inode {
        metadata: apply::implied_folder(),
        kind: Kind::directory(),
    };
    let is_folder = |tree: &Tree, path: &[u8]| {
        let found = tree.find(path);
        found.is_some_and(|it| matches!(tree.inode(it).kind, Kind::Directory(_)))
    };
    for name in COVERED.into_iter().chain(NEEDED) {
        if is_folder(tree, name.as_bytes()) {
            continue;
        }
        let found = tree.find(name.as_bytes()).map(|it| &tree.inode(it).kind);
        // What a link to another place held would be covered all the same.
        let replaceable = matches!(found, None | Some(Kind::Symlink(_))) && !NEEDED.contains(&name);
        if found.is_some() && !replaceable {
            return Err(AssembleError::NotAFolder(name));
        }
        tree.remove(name.as_bytes());
        let made = tree.insert(name.as_bytes(), folder(), &apply::implied_folder());
        made.map_err(|_| AssembleError::NotAFolder(name))?;
    }
    let unusable = || AssembleError::WorkingDirectory(working_directory.to_owned());
    let place = tree
        .real_path(working_directory.as_bytes())
        .ok_or_else(unusable)?;
    if place.is_empty() || is_folder(tree, &place) {
        return Ok(());
    }
    let made = tree.insert(&place, folder(), &apply::implied_folder());
    made.map(drop).map_err(|_| unusable())
}

/// The contents of an image's layers.
pub(super) struct Contents {
    data: Vec<File>,
    /// Sizes of the layers' contents, in bytes.
    sizes: Vec<u64>,
    /// Which of the layers are disks.
    disks: Vec<usize>,
    /// Lengths of the contents that are not on disks of their own, by key.
    stored: RefCell<HashMap<u64, u64>>,
}

impl Contents {
    fn open(layers: &[PathBuf]) -> io::Result<Self> {
        let data: Vec<File> = layers
            .iter()
            .map(|folder| File::open(folder.join(DATA)))
            .collect::<io::Result<_>>()?;
        let sizes: Vec<u64> = data
            .iter()
            .map(|file| Ok(file.metadata()?.len()))
            .collect::<io::Result<_>>()?;
        let mut disks: Vec<usize> = (0..sizes.len())
            .filter(|layer| sizes[*layer] >= DISK_MINIMUM)
            .collect();
        disks.sort_by_key(|layer| std::cmp::Reverse(sizes[*layer]));
        disks.truncate(MAX_DISKS);
        disks.sort_unstable();
        Ok(Self {
            data,
            sizes,
            disks,
            stored: RefCell::default(),
        })
    }

    fn device_sizes(&self) -> Vec<u32> {
        let blocks = |layer: &usize| u32::try_from(self.sizes[*layer] / BLOCK_SIZE).unwrap_or(u32::MAX);
        self.disks.iter().map(blocks).collect()
    }

    fn locate(&self, layer: usize, block: u32, size: u64) -> Content {
        if let Some(device) = self.disks.iter().position(|disk| *disk == layer) {
            return Content::External { device, block, size };
        }
        let key = (layer as u64) << 32 | u64::from(block);
        self.stored.borrow_mut().insert(key, size);
        Content::Stored { key, size }
    }

    /// The beginning of the file that `path` leads to, at most `limit` bytes; nothing if there is no such file.
    pub(super) fn read(&mut self, tree: &Tree, path: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Resolution::Found(inode) = tree.resolve_in_root(path) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        match &tree.inode(inode).kind {
            Kind::File(Content::Inline(inline)) => bytes.clone_from(inline),
            Kind::File(Content::Stored { key, .. }) => {
                self.open(*key)?.take(limit).read_to_end(&mut bytes)?;
            }
            Kind::File(Content::External { device, block, size }) => {
                let layer = *self.disks.get(*device).ok_or(io::ErrorKind::NotFound)?;
                self.content(layer, *block, (*size).min(limit))?
                    .read_to_end(&mut bytes)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(bytes))
    }

    fn content(&mut self, layer: usize, block: u32, size: u64) -> io::Result<impl Read + '_> {
        let file = self.data.get_mut(layer).ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(u64::from(block) * BLOCK_SIZE))?;
        Ok(file.by_ref().take(size))
    }
}

impl ContentSource for Contents {
    fn open(&mut self, key: u64) -> io::Result<Box<dyn Read + '_>> {
        let size = self.stored.borrow().get(&key).copied();
        let size = size.ok_or(io::ErrorKind::NotFound)?;
        let layer = usize::try_from(key >> 32).map_err(io::Error::other)?;
        let block = u32::try_from(key & u64::from(u32::MAX)).map_err(io::Error::other)?;
        Ok(Box::new(self.content(layer, block, size)?))
    }
}
