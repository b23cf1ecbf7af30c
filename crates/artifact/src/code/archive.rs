//! Reads a zip's directory into a [`Tree`] and proves that the contents are what the directory says.
//!
//! The directory's sizes are checked against the limits first; then every content is read to its end, which must
//! come exactly where the directory says, with the right checksum. So the limits hold for what is really there,
//! and a bomb is found before it is read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use coracle_types::limits::MAX_CODE_UNPACKED;
use zip::read::ZipFileEntry;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::error::{CodeError, EntryProblem};
use crate::sandbox::AGENT_ID;
use crate::tree::{
    Content, ContentSource, Inode, Kind, MAX_NAME, MAX_PATH, Metadata, Tree, TreeError, components,
};

/// Most entries of a code zip.
pub const MAX_ENTRIES: usize = 100_000;
/// Largest ratio of unpacked to zipped size, beyond [`RATIO_FREE`].
pub(super) const MAX_RATIO: u64 = 200;
/// Up to this size any ratio is harmless.
const RATIO_FREE: u64 = 64 * 1024 * 1024;

const FILE_MODE: u16 = 0o644;
const DIRECTORY_MODE: u16 = 0o755;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

/// A zip that is open; also the source of its files' contents, by the number of the entry.
pub(super) type Archive = ZipArchive<BufReader<File>>;

/// What the directory of a zip says.
pub(super) struct Index {
    pub(super) tree: Tree,
    /// Sum of the files' sizes.
    pub(super) unpacked: u64,
}

impl ContentSource for Archive {
    fn open(&mut self, key: u64) -> io::Result<Box<dyn Read + '_>> {
        let number = usize::try_from(key).map_err(io::Error::other)?;
        Ok(Box::new(self.by_index(number)?))
    }
}

/// Opens a zip, refusing one whose directory would take too much memory to read.
pub(super) fn open(mut file: File) -> Result<Archive, CodeError> {
    if count_directory_records(&mut file).map_err(CodeError::Unreadable)? > MAX_ENTRIES {
        return Err(CodeError::TooManyEntries);
    }
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|source| match source {
        ZipError::Io(error) if error.raw_os_error().is_some() => CodeError::Unreadable(error),
        damage => CodeError::NotAZip {
            reason: damage.to_string(),
        },
    })?;
    if archive.is_empty() {
        return Err(CodeError::NotAZip {
            reason: "it is empty".to_owned(),
        });
    }
    Ok(archive)
}

/// How many records a directory anywhere in the file could have. Counting signatures instead of trusting a number
/// in the file bounds what any reading of it can find.
fn count_directory_records(file: &mut File) -> io::Result<usize> {
    const SIGNATURE: &[u8; 4] = b"PK\x01\x02";
    let mut count = 0;
    let mut matched = 0;
    let mut buffer = vec![0; 256 * 1024];
    file.rewind()?;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        for byte in &buffer[..read] {
            // The first byte occurs only once in the signature, so a mismatch can only begin it anew.
            matched = if *byte == SIGNATURE[matched] {
                matched + 1
            } else {
                usize::from(*byte == SIGNATURE[0])
            };
            if matched == SIGNATURE.len() {
                count += 1;
                matched = 0;
            }
        }
    }
    file.rewind()?;
    Ok(count)
}

/// Reads the directory into a tree whose entries are all below `base`.
pub(super) fn index(archive: &mut Archive, zipped: u64, base: &str) -> Result<Index, CodeError> {
    if archive.has_duplicate_names() {
        return Err(CodeError::DuplicateName);
    }
    let mut tree = Tree::new(directory(0));
    if !base.is_empty() {
        let inode = Inode {
            metadata: directory(AGENT_ID),
            kind: Kind::directory(),
        };
        // A constant of ours, which a tree always takes.
        let inserted = tree.insert(base.as_bytes(), inode, &directory(0));
        debug_assert!(inserted.is_ok(), "the base is a valid path");
    }
    let mut unpacked: u64 = 0;
    for number in 0..archive.len() {
        let (name, kind, metadata) = describe(archive, number)?;
        if let Kind::File(content) = &kind {
            unpacked = unpacked.saturating_add(content.size());
        }
        if unpacked > MAX_CODE_UNPACKED {
            return Err(CodeError::UnpackedTooLarge);
        }
        if unpacked > RATIO_FREE && unpacked / MAX_RATIO > zipped {
            return Err(CodeError::Bomb);
        }
        place(&mut tree, base, &name, Inode { metadata, kind })?;
        // Deep paths imply folders that the zip need not list.
        if tree.inode_count() > MAX_ENTRIES {
            return Err(CodeError::TooManyEntries);
        }
    }
    Ok(Index { tree, unpacked })
}

/// Adds one entry to the tree.
fn place(tree: &mut Tree, base: &str, name: &[u8], inode: Inode) -> Result<(), CodeError> {
    let is_directory = matches!(inode.kind, Kind::Directory(_));
    let relative = safe_path(name, is_directory).map_err(|problem| problem.at(name))?;
    if relative.is_empty() {
        return Ok(());
    }
    let mut path = base.as_bytes().to_vec();
    path.push(b'/');
    path.extend(relative);
    // A folder may come after what is in it, and then only brings its permissions.
    if is_directory
        && let Some(existing) = tree.find(&path)
        && matches!(tree.inode(existing).kind, Kind::Directory(_))
    {
        tree.inode_mut(existing).metadata = inode.metadata;
        return Ok(());
    }
    tree.insert(&path, inode, &directory(AGENT_ID))
        .map(drop)
        .map_err(|error| {
            match error {
                TreeError::PathTooLong => EntryProblem::NameTooLong,
                _ => EntryProblem::Conflict,
            }
            .at(name)
        })
}

/// Name, type and metadata of an entry.
fn describe(archive: &mut Archive, number: usize) -> Result<(Vec<u8>, Kind, Metadata), CodeError> {
    let entry = archive
        .by_index_data(number)
        .map_err(|error| refuse(b"", error))?;
    let name = match entry.name() {
        Ok(name) => name.as_bytes().to_vec(),
        Err(error) => return Err(refuse(entry.name_raw(), error)),
    };
    if entry.encrypted() {
        return Err(EntryProblem::Encrypted.at(&name));
    }
    let method = entry.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(EntryProblem::Compression(format!("{method:?}")).at(&name));
    }
    let attributes = recorded_mode(&entry);
    let metadata = |default: u16| Metadata {
        mode: match attributes
            .map(|mode| mode & 0o777)
            .and_then(|mode| u16::try_from(mode).ok())
        {
            None | Some(0) => default,
            Some(mode) => mode,
        },
        uid: AGENT_ID,
        gid: AGENT_ID,
        mtime: modified(&entry),
        ..Metadata::default()
    };
    let size = entry.size();
    let ends_like_a_folder = name.ends_with(b"/");
    match attributes.map_or(0, |mode| mode & TYPE_MASK) {
        0 | TYPE_FILE | TYPE_DIRECTORY if ends_like_a_folder => {
            Ok((name, Kind::directory(), metadata(DIRECTORY_MODE)))
        }
        TYPE_DIRECTORY => Ok((name, Kind::directory(), metadata(DIRECTORY_MODE))),
        0 | TYPE_FILE => {
            let content = Content::Stored {
                key: number as u64,
                size,
            };
            Ok((name, Kind::File(content), metadata(FILE_MODE)))
        }
        TYPE_LINK => {
            let metadata = Metadata {
                mode: 0o777,
                ..metadata(FILE_MODE)
            };
            let target = link_target(archive, number, &name)?;
            Ok((name, Kind::Symlink(target), metadata))
        }
        _ => Err(EntryProblem::SpecialFile.at(&name)),
    }
}

fn link_target(archive: &mut Archive, number: usize, name: &[u8]) -> Result<Vec<u8>, CodeError> {
    let mut target = Vec::new();
    let link = archive.by_index(number).map_err(|error| refuse(name, error))?;
    link.take(MAX_PATH as u64 + 1)
        .read_to_end(&mut target)
        .map_err(|error| refuse(name, error.into()))?;
    if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
        return Err(EntryProblem::BadLink.at(name));
    }
    Ok(target)
}

/// Reads every content and compares it with what the directory says of it.
pub(super) fn verify_contents(archive: &mut Archive, tree: &Tree) -> Result<(), CodeError> {
    for (path, id) in tree.walk() {
        let Kind::File(Content::Stored { key, size }) = &tree.inode(id).kind else {
            continue;
        };
        let number = usize::try_from(*key).unwrap_or(usize::MAX);
        let entry = archive.by_index(number).map_err(|error| refuse(&path, error))?;
        // One byte more than there should be shows that there is more; reading the end checks the checksum.
        let read = io::copy(&mut entry.take(size.saturating_add(1)), &mut io::sink())
            .map_err(|error| refuse(&path, error.into()))?;
        if read != *size {
            let reason = "its size is not what the zip's directory says".to_owned();
            return Err(EntryProblem::Damaged(reason).at(&path));
        }
    }
    Ok(())
}

fn refuse(name: &[u8], error: ZipError) -> CodeError {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => CodeError::Unreadable(error),
        ZipError::CompressionMethodNotSupported(method) => {
            EntryProblem::Compression(method.to_string()).at(name)
        }
        error => EntryProblem::Damaged(error.to_string()).at(name),
    }
}

/// The path as the tree takes it; empty for the root folder itself.
fn safe_path(name: &[u8], is_directory: bool) -> Result<Vec<u8>, EntryProblem> {
    if name.contains(&0) {
        return Err(EntryProblem::Nul);
    }
    if name.contains(&b'\\') {
        return Err(EntryProblem::Backslash);
    }
    if name.starts_with(b"/") || components(name).any(|part| part == b"..") {
        return Err(EntryProblem::Traversal);
    }
    let parts: Vec<&[u8]> = components(name).collect();
    if parts.is_empty() && !is_directory {
        return Err(EntryProblem::EmptyName);
    }
    let path = parts.join(&b'/');
    if path.len() > MAX_PATH || parts.iter().any(|part| part.len() > MAX_NAME) {
        return Err(EntryProblem::NameTooLong);
    }
    Ok(path)
}

/// Unix type and permissions, if whoever made the zip recorded them.
fn recorded_mode(entry: &ZipFileEntry<'_>) -> Option<u32> {
    let mode = entry.external_attributes() >> 16;
    (mode != 0).then_some(mode)
}

/// Seconds since 1970. Zips without an exact time have a local one without its zone, which is taken for UTC.
fn modified(entry: &ZipFileEntry<'_>) -> u64 {
    let Some(time) = entry.last_modified() else {
        return 0;
    };
    let days = days_since_1970(time.year().into(), time.month().into(), time.day().into());
    days * 86_400 + u64::from(time.hour()) * 3600 + u64::from(time.minute()) * 60 + u64::from(time.second())
}

/// Days between 1970-01-01 and a later date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Counting years from March puts the leap day at their end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * month + 2) / 5 + day.saturating_sub(1);
    (year * 365 + leap_days + day_of_year).saturating_sub(719_468)
}

fn directory(owner: u32) -> Metadata {
    Metadata {
        mode: DIRECTORY_MODE,
        uid: owner,
        gid: owner,
        ..Metadata::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(1980, 1, 1), 3652);
        assert_eq!(days_since_1970(2000, 2, 29), 11_016);
        assert_eq!(days_since_1970(2026, 11, 21), 20_778);
    }

    proptest::proptest! {
        #[test]
        fn a_safe_path_has_no_way_out(name in "[a./\\\\]{0,12}") {
            if let Ok(path) = safe_path(name.as_bytes(), false) {
                let path = String::from_utf8(path).unwrap();
                proptest::prop_assert!(!path.is_empty());
                proptest::prop_assert!(!path.starts_with('/'));
                proptest::prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
