//! Reads a root file system from a tar archive into a [`Tree`]. Contents stay in the archive.
//!
//! A later entry replaces an earlier one of the same name, as unpacking would; a directory that comes again only
//! changes its metadata. Entries whose path leads through a symbolic link are refused.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::Path;

use tar::{Archive, Entry, EntryType};

use crate::tree::{Content, ContentSource, DeviceNumber, Inode, Kind, Metadata, Tree, TreeError, components};

/// More entries than any sensible root file system has.
const MAX_ENTRIES: usize = 2_000_000;
const IMPLIED_DIRECTORY_MODE: u16 = 0o755;

/// Why an archive is not a root file system.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Not a tar, or a truncated or damaged one.
    #[error("the file is not a readable tar archive; a compressed one has to be unpacked first")]
    Unreadable(#[from] io::Error),
    /// An entry that cannot be placed.
    #[error("the entry {path:?} cannot be used")]
    Entry {
        /// The entry's path.
        path: String,
        /// What is wrong with it.
        #[source]
        source: TreeError,
    },
    /// An entry of an unknown type, a path with `..`, or a hard link to nothing.
    #[error("the entry {path:?} {what}")]
    Unsupported {
        /// The entry's path.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Far too many entries.
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// Contents of the files of a tar archive; a key is the offset of the content, looked up in the tree's sizes.
pub struct TarSource {
    file: File,
    sizes: HashMap<u64, u64>,
}

impl ContentSource for TarSource {
    fn open(&mut self, key: u64) -> io::Result<Box<dyn Read + '_>> {
        let size = *self.sizes.get(&key).ok_or(io::ErrorKind::NotFound)?;
        self.file.seek(SeekFrom::Start(key))?;
        let content: Take<&mut File> = self.file.by_ref().take(size);
        Ok(Box::new(content))
    }
}

/// Reads the names and metadata of `archive`.
///
/// # Errors
/// When it is no tar archive or holds what a root file system cannot.
pub fn read_tar(archive: &Path) -> Result<(Tree, TarSource), TarError> {
    let mut tree = Tree::new(Metadata {
        mode: IMPLIED_DIRECTORY_MODE,
        ..Metadata::default()
    });
    let mut sizes = HashMap::new();
    let mut reader = Archive::new(File::open(archive)?);
    for entry in reader.entries_with_seek()? {
        if tree.inode_count() > MAX_ENTRIES {
            return Err(TarError::TooMany);
        }
        add_entry(&mut tree, &mut sizes, &mut entry?)?;
    }
    if sizes.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "there is no file in it").into());
    }
    Ok((
        tree,
        TarSource {
            file: File::open(archive)?,
            sizes,
        },
    ))
}

fn add_entry<R: Read>(
    tree: &mut Tree,
    sizes: &mut HashMap<u64, u64>,
    entry: &mut Entry<'_, R>,
) -> Result<(), TarError> {
    let path = entry.path_bytes().into_owned();
    let shown = || String::from_utf8_lossy(&path).into_owned();
    let unsupported = |what| TarError::Unsupported { path: shown(), what };
    let unusable = |source| TarError::Entry {
        path: shown(),
        source,
    };
    let name = normalize(&path).ok_or_else(|| unsupported("leads out of the archive"))?;
    match entry.header().entry_type() {
        EntryType::XGlobalHeader => return Ok(()),
        EntryType::Link => {
            let target = entry
                .link_name_bytes()
                .and_then(|target| tree.find(&normalize(&target)?));
            let target =
                target.ok_or_else(|| unsupported("is a hard link to nothing before it in the archive"))?;
            if tree.find(&name) != Some(target) {
                tree.remove(&name);
                tree.link(&name, target, &implied_directory()).map_err(unusable)?;
            }
            return Ok(());
        }
        _ => {}
    }
    let kind = kind_of(entry)?.ok_or_else(|| unsupported("is of a type that cannot be stored"))?;
    if let Kind::File(Content::Stored { key, size }) = &kind {
        sizes.insert(*key, *size);
    }
    let metadata = metadata(entry)?;
    if let (Kind::Directory(_), Some(existing)) = (&kind, tree.find(&name))
        && matches!(tree.inode(existing).kind, Kind::Directory(_))
    {
        tree.inode_mut(existing).metadata = metadata;
        return Ok(());
    }
    tree.remove(&name);
    tree.insert(&name, Inode { metadata, kind }, &implied_directory())
        .map(drop)
        .map_err(unusable)
}

/// Type and content of an entry that is no hard link; `None` for types that a tree does not have.
fn kind_of<R: Read>(entry: &Entry<'_, R>) -> io::Result<Option<Kind>> {
    let header = entry.header();
    let device = || -> io::Result<DeviceNumber> {
        Ok(DeviceNumber {
            major: header.device_major()?.unwrap_or_default(),
            minor: header.device_minor()?.unwrap_or_default(),
        })
    };
    let content = Content::Stored {
        key: entry.raw_file_position(),
        size: entry.size(),
    };
    Ok(match header.entry_type() {
        EntryType::Regular | EntryType::Continuous if entry.size() == 0 => Some(Kind::file([])),
        EntryType::Regular | EntryType::Continuous => Some(Kind::File(content)),
        EntryType::Directory => Some(Kind::directory()),
        EntryType::Symlink => entry
            .link_name_bytes()
            .map(|target| Kind::Symlink(target.into_owned())),
        EntryType::Char => Some(Kind::CharDevice(device()?)),
        EntryType::Block => Some(Kind::BlockDevice(device()?)),
        EntryType::Fifo => Some(Kind::Fifo),
        _ => None,
    })
}

fn metadata<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Metadata> {
    let header = entry.header();
    let mut metadata = Metadata {
        mode: u16::try_from(header.mode()? & 0o7777).unwrap_or_default(),
        uid: u32::try_from(header.uid()?).map_err(io::Error::other)?,
        gid: u32::try_from(header.gid()?).map_err(io::Error::other)?,
        mtime: header.mtime()?,
        ..Metadata::default()
    };
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(metadata);
    };
    for extension in extensions {
        let extension = extension?;
        if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") {
            metadata
                .xattrs
                .insert(name.to_vec(), extension.value_bytes().to_vec());
        }
    }
    Ok(metadata)
}

fn implied_directory() -> Metadata {
    Metadata {
        mode: IMPLIED_DIRECTORY_MODE,
        ..Metadata::default()
    }
}

/// The path without empty and `.` components; `None` when it has a `..`.
fn normalize(path: &[u8]) -> Option<Vec<u8>> {
    let names: Vec<&[u8]> = components(path).collect();
    (!names.contains(&&b".."[..])).then(|| names.join(&b'/'))
}
