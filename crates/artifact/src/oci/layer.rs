//! One layer of an image: names and metadata in one file, contents in another.
//!
//! ```text
//! data     contents of the layer's files, each beginning on a block of its own: a disk for machines, as it is
//! entries  what the layer adds and takes away, in the order of its archive; one JSON text a line
//! ```
//!
//! Unpacking never makes a file of the layer on the host. What cannot be part of an image is refused by name:
//! paths that lead out, devices, types unknown to the format, more entries or bytes than are allowed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::tar::{self as archive, Reader, TarError};
use crate::erofs::BLOCK_SIZE;
use crate::tree::{MAX_PATH, Metadata, components};

/// Changes whenever the same layer would give other files.
pub(super) const FORMAT: u32 = 1;
pub(super) const DATA: &str = "data";
const ENTRIES: &str = "entries";
/// Most entries of a layer.
pub(super) const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of what describes a layer's entries: it is read into memory as a whole.
const MAX_LISTING: u64 = 512 * 1024 * 1024;
/// Most bytes of an entry's extended attributes, names included; no image could store more.
const MAX_XATTRS: usize = 4096;
/// Largest window of a zstd stream, as a power of two, in bytes.
const ZSTD_WINDOW: u32 = 27;
const BUFFER: usize = 256 * 1024;

const WHITEOUT: &[u8] = b".wh.";
/// Takes away what lower layers have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names with this prefix are a union file system's own.
const RESERVED: &[u8] = b".wh..wh.";
/// Covered in every machine by a file system of its own, so that devices there do no harm and no good.
const DEVICES: &[u8] = b"dev/";
const XATTR_NAMESPACES: [&[u8]; 4] = [b"user.", b"security.", b"trusted.", b"system.posix_acl_"];
/// They would steer the overlay of the machine.
const OVERLAY_XATTRS: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Why a layer cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LayerError {
    #[error("the layer is not a tar archive that can be read")]
    Archive(#[from] TarError),
    #[error("{path:?} {what}")]
    Hostile { path: String, what: &'static str },
    #[error("the image unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("names and attributes of the layer's entries take more than {MAX_LISTING} bytes")]
    LongListing,
    #[error("the layer has more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error("the layer unpacks to sha256:{found}; the image's configuration says {expected}")]
    WrongContent { found: String, expected: String },
    #[error("the layer could not be written here")]
    Write(#[source] io::Error),
    #[error("the unpacked layer could not be read here")]
    Read(#[source] io::Error),
    #[error("unpacking was given up")]
    GivenUp,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Change {
    Directory,
    File {
        block: u32,
        size: u64,
    },
    Symlink {
        target: Name,
    },
    HardLink {
        target: Name,
    },
    Fifo,
    /// Takes away what lower layers have at the path.
    Whiteout,
    /// Takes away what lower layers have below the path.
    Opaque,
}

/// One line of the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: Name,
    #[serde(flatten)]
    pub(super) change: Change,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: u64,
    /// Names, and values in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(Name, String)>,
}

impl Entry {
    /// An entry with nothing but its change.
    #[cfg(test)]
    pub(super) fn new(path: Name, change: Change) -> Self {
        Self {
            path,
            change,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Vec::new(),
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs: self
                .xattrs
                .iter()
                .filter_map(|(name, value)| Some((name.0.clone(), hex::decode(value).ok()?)))
                .collect(),
        }
    }
}

/// A name on Linux, which need not be UTF-8; percent-encoded where it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(pub(super) Vec<u8>);

const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&percent_encode(&self.0, ENCODED))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(percent_decode_str(&text).collect()))
    }
}

/// What the layers of one image may unpack to, all together; shared by those that are unpacked at the same time.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    /// Bytes of decompressed archives.
    read: AtomicU64,
    /// Bytes of contents, holes included, and of entries.
    kept: AtomicU64,
}

impl Budget {
    /// At most `limit` bytes of archives, and as many of what is kept of them.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            read: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// Counts the layer in `folder`, which was unpacked before.
    pub(super) fn keep_layer(&self, folder: &Path) -> Result<(), LayerError> {
        self.keep(size(folder).map_err(LayerError::Read)?)
    }

    fn keep(&self, bytes: u64) -> Result<(), LayerError> {
        self.count(&self.kept, bytes)
    }

    fn count(&self, counter: &AtomicU64, bytes: u64) -> Result<(), LayerError> {
        let before = counter.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limit {
            return Err(LayerError::TooLarge(self.limit));
        }
        Ok(())
    }
}

/// Bytes of the layer in `folder`: contents, holes included, and entries.
fn size(folder: &Path) -> io::Result<u64> {
    let length = |name| Ok::<_, io::Error>(std::fs::metadata(folder.join(name))?.len());
    Ok(length(DATA)? + length(ENTRIES)?)
}

/// Unpacks `blob`, of which the decompressed digest must be `diff_id`, into `folder`, as far as `budget` goes.
/// Returns the size of the archive. Gives up soon after `given_up` is set.
pub(super) fn unpack(
    blob: impl Read,
    diff_id: &str,
    budget: &Budget,
    folder: &Path,
    given_up: &AtomicBool,
) -> Result<u64, LayerError> {
    let mut unpacking = Unpacking::new(folder, budget)?;
    let blob = Watched {
        inner: blob,
        given_up,
    };
    // Buffered behind the measuring, so that decompression and digest get large pieces and contents are not copied.
    let measured = Measured::new(decompressed(blob)?, budget, given_up);
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, measured));
    let outcome = unpacking.entries(&mut reader);
    let mut measured = reader.into_inner().into_inner();
    // An archive may end before its file does; the digest is of the whole file.
    let rest = outcome.and_then(|()| {
        let rest = io::copy(&mut measured, &mut io::sink());
        rest.map(drop).map_err(|error| TarError::from(error).into())
    });
    if let Some(refused) = measured.refused {
        return Err(refused);
    }
    rest?;
    let size = measured.read;
    let found = hex::encode(measured.hash.finalize());
    if diff_id.strip_prefix("sha256:") != Some(&found) {
        return Err(LayerError::WrongContent {
            found,
            expected: diff_id.to_owned(),
        });
    }
    unpacking.finish().map_err(LayerError::Write)?;
    Ok(size)
}

/// The entries of the layer in `folder`.
pub(super) fn entries(folder: &Path) -> Result<impl Iterator<Item = Result<Entry, LayerError>>, LayerError> {
    let file = File::open(folder.join(ENTRIES)).map_err(LayerError::Read)?;
    let lines = BufReader::with_capacity(BUFFER, file).lines();
    Ok(lines.map(|line| {
        let line = line.map_err(LayerError::Read)?;
        serde_json::from_str(&line).map_err(|error| LayerError::Read(error.into()))
    }))
}

/// By its first bytes: media types lie.
fn decompressed<'a>(blob: impl Read + 'a) -> Result<Box<dyn Read + 'a>, LayerError> {
    let mut blob = BufReader::with_capacity(BUFFER, blob);
    let start = blob.fill_buf().map_err(TarError::from)?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(blob).map_err(TarError::from)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(TarError::from)?;
            Box::new(decoder)
        }
        _ => Box::new(blob),
    })
}

/// Ends when nobody waits any more. Below the decompression, which may read on and on and give nothing.
struct Watched<'a, R> {
    inner: R,
    given_up: &'a AtomicBool,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("given up"));
        }
        self.inner.read(buffer)
    }
}

/// Counts, bounds and hashes what is read.
struct Measured<'a, R> {
    inner: R,
    hash: Sha256,
    read: u64,
    budget: &'a Budget,
    given_up: &'a AtomicBool,
    /// Why there is nothing more to be read.
    refused: Option<LayerError>,
}

impl<'a, R: Read> Measured<'a, R> {
    fn new(inner: R, budget: &'a Budget, given_up: &'a AtomicBool) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            read: 0,
            budget,
            given_up,
            refused: None,
        }
    }

    fn refuse(&mut self, why: LayerError) -> io::Error {
        self.refused = Some(why);
        io::Error::other("no more is unpacked")
    }
}

impl<R: Read> Read for Measured<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        if self.given_up.load(Ordering::Relaxed) {
            return Err(self.refuse(LayerError::GivenUp));
        }
        let read = read?;
        self.read += read as u64;
        if let Err(error) = self.budget.count(&self.budget.read, read as u64) {
            return Err(self.refuse(error));
        }
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// The two files being written.
struct Unpacking<'a> {
    data: File,
    entries: BufWriter<File>,
    next_block: u32,
    count: usize,
    /// Bytes of the entries so far.
    listing: u64,
    budget: &'a Budget,
}

impl<'a> Unpacking<'a> {
    fn new(folder: &Path, budget: &'a Budget) -> Result<Self, LayerError> {
        let create = |name| File::create_new(folder.join(name)).map_err(LayerError::Write);
        Ok(Self {
            data: create(DATA)?,
            entries: BufWriter::with_capacity(BUFFER, create(ENTRIES)?),
            next_block: 0,
            count: 0,
            listing: 0,
            budget,
        })
    }

    fn entries<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<(), LayerError> {
        while let Some(found) = reader.next()? {
            self.count += 1;
            if self.count > MAX_ENTRIES {
                return Err(LayerError::TooMany);
            }
            let Some((path, change)) = self.change(&found, reader)? else {
                continue;
            };
            let entry = Entry {
                path: Name(path),
                change,
                mode: found.mode,
                uid: found.uid,
                gid: found.gid,
                mtime: found.mtime,
                xattrs: kept_xattrs(&found).map_err(|what| hostile(&found, what))?,
            };
            self.list(&entry)?;
        }
        Ok(())
    }

    fn list(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let line = serde_json::to_string(entry).map_err(|error| LayerError::Write(error.into()))?;
        let size = line.len() as u64 + 1;
        self.budget.keep(size)?;
        self.listing += size;
        if self.listing > MAX_LISTING {
            return Err(LayerError::LongListing);
        }
        writeln!(self.entries, "{line}").map_err(LayerError::Write)
    }

    /// What an entry of the archive does, and where; nothing for those that mean nothing in a machine.
    fn change<R: BufRead>(
        &mut self,
        found: &archive::Entry,
        reader: &mut Reader<R>,
    ) -> Result<Option<(Vec<u8>, Change)>, LayerError> {
        let hostile = |what| hostile(found, what);
        let path = inside(&found.path).map_err(hostile)?;
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], &path[..]),
        };
        if name == OPAQUE {
            return Ok(Some((parent.to_vec(), Change::Opaque)));
        }
        if path
            .split(|byte| *byte == b'/')
            .any(|name| name.starts_with(RESERVED))
        {
            return Ok(None);
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b".") {
                return Err(hostile("takes away nothing"));
            }
            let hidden = [parent, hidden].join(&b"/"[..]);
            let hidden = inside(&hidden).map_err(hostile)?;
            return Ok(Some((hidden, Change::Whiteout)));
        }
        let link = || match found.link.len() {
            0 => Err(hostile("is a link to nothing")),
            1..=MAX_PATH => Ok(Name(found.link.clone())),
            _ => Err(hostile("is a link with a target that is too long")),
        };
        let change = match found.kind {
            EntryType::Regular | EntryType::Continuous => {
                // Old archives mark folders by their name only.
                if found.path.ends_with(b"/") {
                    Change::Directory
                } else {
                    self.file(found, reader)?
                }
            }
            EntryType::Directory => Change::Directory,
            EntryType::Symlink => Change::Symlink { target: link()? },
            EntryType::Link => Change::HardLink {
                target: Name(inside(&link()?.0).map_err(hostile)?),
            },
            EntryType::Fifo => Change::Fifo,
            EntryType::Char | EntryType::Block if path.starts_with(DEVICES) => return Ok(None),
            EntryType::Char | EntryType::Block => {
                return Err(hostile("is a device, which no image may bring"));
            }
            _ => return Err(hostile("is of a type that cannot be in an image")),
        };
        Ok(Some((path, change)))
    }

    fn file<R: BufRead>(
        &mut self,
        found: &archive::Entry,
        reader: &mut Reader<R>,
    ) -> Result<Change, LayerError> {
        let (block, size) = (self.next_block, found.size);
        let too_large = || LayerError::TooLarge(self.budget.limit);
        let blocks = u32::try_from(size.div_ceil(BLOCK_SIZE)).map_err(|_| too_large())?;
        let next = block.checked_add(blocks).ok_or_else(too_large)?;
        // Holes take no room in the archive, so that its size alone bounds nothing.
        self.budget.keep(u64::from(blocks) * BLOCK_SIZE)?;
        let start = u64::from(block) * BLOCK_SIZE;
        let mut failed = None;
        let copied = reader.content(found, |offset, bytes| {
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            self.data.write_all_at(bytes, start + offset).map_err(|error| {
                let kind = error.kind();
                failed = Some(error);
                kind.into()
            })
        });
        match failed {
            Some(error) => return Err(LayerError::Write(error)),
            None => copied?,
        }
        self.next_block = next;
        Ok(Change::File { block, size })
    }

    fn finish(self) -> io::Result<()> {
        self.data.set_len(u64::from(self.next_block) * BLOCK_SIZE)?;
        self.data.sync_all()?;
        self.entries.into_inner()?.sync_all()
    }
}

fn hostile(found: &archive::Entry, what: &'static str) -> LayerError {
    let path = archive::shown(&found.path);
    LayerError::Hostile { path, what }
}

/// The path without empty and `.` components and without a leading slash.
fn inside(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let names: Vec<&[u8]> = components(path).collect();
    if names.contains(&&b".."[..]) {
        return Err("leads out of the image");
    }
    if path.contains(&0) {
        return Err("has a NUL byte in its name");
    }
    let path = names.join(&b'/');
    if path.len() > MAX_PATH {
        return Err("has a path that is too long");
    }
    Ok(path)
}

/// Those that mean something on Linux and cannot harm the machine.
fn kept_xattrs(found: &archive::Entry) -> Result<Vec<(Name, String)>, &'static str> {
    let starts_with_any =
        |name: &[u8], prefixes: &[&[u8]]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let kept = found.xattrs.iter().filter(|(name, _)| {
        starts_with_any(name, &XATTR_NAMESPACES) && !starts_with_any(name, &OVERLAY_XATTRS)
    });
    let size: usize = kept.clone().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_XATTRS {
        return Err("has extended attributes that are too long");
    }
    Ok(kept
        .map(|(name, value)| (Name(name.clone()), hex::encode(value)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 100_000;

    /// Unpacks into a folder of its own.
    fn unpacked(archive: &[u8], budget: &Budget) -> Result<tempfile::TempDir, LayerError> {
        let folder = tempfile::tempdir().unwrap();
        let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(archive)));
        unpack(archive, &diff_id, budget, folder.path(), &AtomicBool::new(false))?;
        Ok(folder)
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content).unwrap();
    }

    fn refusal(builder: tar::Builder<Vec<u8>>) -> Option<&'static str> {
        match unpacked(&builder.into_inner().unwrap(), &Budget::new(u64::MAX)) {
            Ok(_) => None,
            Err(LayerError::Hostile { path, what }) => {
                assert!(path.len() <= MAX_PATH);
                Some(what)
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_refused() {
        for (length, refused) in [
            (MAX_PATH, None),
            (MAX_PATH + 1, Some("has a path that is too long")),
        ] {
            let mut builder = tar::Builder::new(Vec::new());
            file(&mut builder, &"n".repeat(length), b"");
            assert_eq!(refusal(builder), refused, "{length}");
        }
    }

    #[test]
    fn extended_attributes_that_are_too_long_are_refused_if_they_would_be_kept() {
        let refusal = |attributes: &[(&str, usize)]| {
            let mut builder = tar::Builder::new(Vec::new());
            let values: Vec<_> = attributes
                .iter()
                .map(|(name, length)| (format!("SCHILY.xattr.{name}"), vec![b'v'; *length]))
                .collect();
            let pairs = values.iter().map(|(name, value)| (name.as_str(), &value[..]));
            builder.append_pax_extensions(pairs).unwrap();
            file(&mut builder, "file", b"");
            refusal(builder)
        };
        let refused = Some("has extended attributes that are too long");
        assert_eq!(refusal(&[("user.a", MAX_XATTRS - 6)]), None);
        assert_eq!(refusal(&[("user.a", MAX_XATTRS)]), refused);
        assert_eq!(
            refusal(&[("user.a", MAX_XATTRS / 2), ("user.b", MAX_XATTRS / 2)]),
            refused
        );
        assert_eq!(refusal(&[("com.apple.ResourceFork", MAX_XATTRS * 2)]), None);
    }

    #[test]
    fn all_layers_take_from_one_budget_with_contents_and_entries() {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["one", "two", "three"] {
            file(&mut builder, name, &[7; 10_000]);
        }
        let archive = builder.into_inner().unwrap();
        let budget = Budget::new(LIMIT);
        let first = unpacked(&archive, &budget).unwrap();
        let kept = size(first.path()).unwrap();
        assert!(kept > 36_864, "contents in whole blocks, and entries: {kept}");
        assert_eq!(budget.kept.load(Ordering::Relaxed), kept);
        budget.keep_layer(first.path()).unwrap();
        let third = unpacked(&archive, &budget);
        assert!(matches!(third, Err(LayerError::TooLarge(LIMIT))), "{third:?}");
    }

    /// A blob without an end, of which little may be read once unpacking is given up.
    struct Endless<'a> {
        start: &'a [u8],
        repeated: &'a [u8],
        given_up: &'a AtomicBool,
        read: usize,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if !self.start.is_empty() {
                return self.start.read(buffer);
            }
            self.given_up.store(true, Ordering::Relaxed);
            assert!(self.read < 16 * BUFFER, "reads on and on");
            for byte in &mut *buffer {
                *byte = self.repeated[self.read % self.repeated.len()];
                self.read += 1;
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn unpacking_ends_within_a_file_once_it_is_given_up() {
        let mut header = tar::Header::new_gnu();
        header.set_path("large").unwrap();
        header.set_size(16 * 1024 * 1024 * 1024);
        header.set_cksum();
        let nothing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let nothing = nothing.finish().unwrap();
        for (start, repeated) in [(&header.as_bytes()[..], &[0][..]), (&[], &nothing)] {
            let given_up = AtomicBool::new(false);
            let endless = Endless {
                start,
                repeated,
                given_up: &given_up,
                read: 0,
            };
            let folder = tempfile::tempdir().unwrap();
            let outcome = unpack(
                endless,
                "sha256:",
                &Budget::new(u64::MAX),
                folder.path(),
                &given_up,
            );
            assert!(matches!(outcome, Err(LayerError::GivenUp)), "{outcome:?}");
        }
    }
}
