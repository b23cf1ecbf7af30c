//! Reads the tar archive of a layer from front to back: ustar, GNU and PAX headers, sparse files included.
//!
//! The layer is hostile: extension headers are bounded before they are read, PAX records are taken by their length
//! (values are binary), and where two headers disagree about a size the archive is refused.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

/// Size of everything in an archive is a multiple of this, in bytes.
const BLOCK: u64 = 512;
/// Most bytes of the extension headers before one entry.
const MAX_EXTENSION: u64 = 1024 * 1024;
/// How much of a path is shown in an error, in bytes.
const MAX_SHOWN: usize = 256;
/// Most pieces of a sparse file.
const MAX_PIECES: usize = 65_536;
const XATTR: &[u8] = b"SCHILY.xattr.";
const LONGER: TarError = TarError::Damaged("an entry is longer than its size");

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TarError {
    #[error("the archive breaks off or cannot be decompressed")]
    Unreadable(#[from] io::Error),
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    #[error("the extension headers of an entry have {0} bytes, more than {MAX_EXTENSION}")]
    LongExtension(u64),
    #[error("{path:?} is a sparse file in a format that is not supported")]
    Sparse { path: String },
}

/// One entry, without its content.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: EntryType,
    /// Target of a link.
    pub(super) link: Vec<u8>,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970; earlier ones count as 0.
    pub(super) mtime: u64,
    pub(super) xattrs: Records,
    /// Length of the file, holes included.
    pub(super) size: u64,
    /// Where what the archive holds of the file belongs: offset and length.
    pieces: Vec<(u64, u64)>,
}

/// Keys and values.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// An archive.
pub(super) struct Reader<R> {
    inner: R,
    /// Bytes of the current entry, its padding included, that have not been read.
    left: u64,
}

/// What extension headers say of the next entry.
#[derive(Default)]
struct Extensions {
    /// Bytes of the headers so far.
    size: u64,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Records,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: 0 }
    }

    /// The next entry; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.left)?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header
                .entry_size()
                .map_err(|_| TarError::Damaged("an entry without a size"))?;
            self.left = size
                .checked_next_multiple_of(BLOCK)
                .ok_or(TarError::Damaged("an entry of an impossible size"))?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(self.text(size, &mut extensions.size)?),
                EntryType::GNULongLink => extensions.link = Some(self.text(size, &mut extensions.size)?),
                EntryType::XHeader => {
                    let bytes = self.extension(size, &mut extensions.size)?;
                    extensions.pax.extend(pax_records(&bytes)?);
                }
                // It would be the default of every later entry; nothing an image's layer uses.
                EntryType::XGlobalHeader => drop(self.extension(size, &mut extensions.size)?),
                _ => return self.entry(&header, size, extensions).map(Some),
            }
        }
    }

    /// Reads the content of the entry that came last, in pieces as they lie in the buffer; `take` is told where each
    /// belongs.
    pub(super) fn content(
        &mut self,
        entry: &Entry,
        mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), TarError> {
        for (offset, length) in &entry.pieces {
            let mut done = 0;
            while done < *length {
                let bytes = self.inner.fill_buf()?;
                let left = usize::try_from(length - done).unwrap_or(usize::MAX);
                let bytes = &bytes[..bytes.len().min(left)];
                if bytes.is_empty() {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                let count = bytes.len();
                self.left = self.left.checked_sub(count as u64).ok_or(LONGER)?;
                take(offset + done, bytes)?;
                self.inner.consume(count);
                done += count as u64;
            }
        }
        Ok(())
    }

    /// Whatever follows the archive.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.inner.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Damaged("it ends within a header")),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as spaces.
        let sum: u32 = bytes[..148]
            .iter()
            .chain(&bytes[156..])
            .map(|byte| u32::from(*byte))
            .sum();
        if header.cksum().ok() == Some(sum + 8 * u32::from(b' ')) {
            Ok(Some(header))
        } else {
            Err(TarError::Damaged("a header's checksum is wrong"))
        }
    }

    fn entry(&mut self, header: &Header, stored: u64, mut extensions: Extensions) -> Result<Entry, TarError> {
        let pax = &mut extensions.pax;
        let stored = self.pax_size(pax, stored)?;
        // Some archivers leave the owner empty, which means root.
        let number = |key: &[u8], header: io::Result<u64>| {
            let given = pax.get(key).map(|text| decimal(text));
            let value = given.unwrap_or_else(|| Some(header.unwrap_or_default()));
            value
                .and_then(|value| u32::try_from(value).ok())
                .ok_or(TarError::Damaged("an owner that is no number"))
        };
        let (uid, gid) = (number(b"uid", header.uid())?, number(b"gid", header.gid())?);
        let mtime = pax.get(&b"mtime"[..]).map_or_else(
            || header.mtime().ok(),
            |text| decimal(text.split(|byte| *byte == b'.').next()?),
        );
        let path = pax.remove(&b"path"[..]).or(extensions.path);
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax.remove(&b"linkpath"[..]).or(extensions.link);
        let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let mut entry = Entry {
            path,
            kind: header.entry_type(),
            link: link.unwrap_or_default(),
            mode: u16::try_from(header.mode().unwrap_or_default() & 0o7777).unwrap_or_default(),
            uid,
            gid,
            mtime: mtime.unwrap_or_default(),
            xattrs: BTreeMap::new(),
            size: stored,
            pieces: vec![(0, stored)],
        };
        self.make_sparse(&mut entry, header, pax)?;
        entry.xattrs = std::mem::take(pax)
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_vec(), value)))
            .collect();
        Ok(entry)
    }

    /// A PAX header may give the size where the ordinary header has no room for it.
    fn pax_size(&mut self, pax: &Records, stored: u64) -> Result<u64, TarError> {
        let Some(text) = pax.get(&b"size"[..]) else {
            return Ok(stored);
        };
        let size = decimal(text).ok_or(TarError::Damaged("a size that is no number"))?;
        if stored != 0 && stored != size {
            return Err(TarError::Damaged("two headers of an entry give two sizes"));
        }
        self.left = size
            .checked_next_multiple_of(BLOCK)
            .ok_or(TarError::Damaged("an entry of an impossible size"))?;
        Ok(size)
    }

    /// Finds out where the pieces of a sparse file belong.
    fn make_sparse(&mut self, entry: &mut Entry, header: &Header, pax: &Records) -> Result<(), TarError> {
        let stored = entry.size;
        if entry.kind == EntryType::GNUSparse {
            let gnu = header
                .as_gnu()
                .ok_or(TarError::Damaged("a sparse file without a map"))?;
            entry.size = gnu
                .real_size()
                .map_err(|_| TarError::Damaged("a sparse file without a size"))?;
            entry.pieces = self.gnu_map(gnu)?;
            entry.kind = EntryType::Regular;
        } else if pax
            .get(&b"GNU.sparse.major"[..])
            .is_some_and(|major| major == b"1")
        {
            let size = pax
                .get(&b"GNU.sparse.realsize"[..])
                .and_then(|text| decimal(text));
            entry.size = size.ok_or(TarError::Damaged("a sparse file without a size"))?;
            if let Some(name) = pax.get(&b"GNU.sparse.name"[..]) {
                entry.path.clone_from(name);
            }
            let before = self.left;
            entry.pieces = self.pax_map()?;
            return entry.check_pieces(stored.saturating_sub(before - self.left));
        } else if pax.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            let path = shown(&entry.path);
            return Err(TarError::Sparse { path });
        }
        entry.check_pieces(stored)
    }

    /// The map in the header, and in blocks that follow it without being counted in the entry's size.
    fn gnu_map(&mut self, header: &tar::GnuHeader) -> Result<Vec<(u64, u64)>, TarError> {
        let bad = |_| TarError::Damaged("a sparse file's map");
        let mut pieces = Vec::new();
        for piece in header.sparse.iter().filter(|piece| !piece.is_empty()) {
            pieces.push((piece.offset().map_err(bad)?, piece.length().map_err(bad)?));
        }
        let mut more = header.is_extended();
        while more && pieces.len() <= MAX_PIECES {
            let mut block = GnuExtSparseHeader::new();
            self.inner.read_exact(block.as_mut_bytes())?;
            for piece in block.sparse().iter().filter(|piece| !piece.is_empty()) {
                pieces.push((piece.offset().map_err(bad)?, piece.length().map_err(bad)?));
            }
            more = block.is_extended();
        }
        Ok(pieces)
    }

    /// The map before the content: the number of pieces, then offset and length of each, in lines.
    fn pax_map(&mut self) -> Result<Vec<(u64, u64)>, TarError> {
        let mut read = 0;
        let mut line = || -> Result<u64, TarError> {
            let mut text = Vec::new();
            loop {
                let mut byte = [0];
                self.exactly(&mut byte)?;
                read += 1;
                match byte[0] {
                    b'\n' => break,
                    digit if text.len() < 20 => text.push(digit),
                    _ => return Err(TarError::Damaged("a sparse file's map")),
                }
            }
            decimal(&text).ok_or(TarError::Damaged("a sparse file's map"))
        };
        let count = line()?;
        if count > MAX_PIECES as u64 {
            return Err(TarError::Damaged("a sparse file has too many pieces"));
        }
        let pieces = (0..count)
            .map(|_| Ok((line()?, line()?)))
            .collect::<Result<_, TarError>>()?;
        let padding = u64::next_multiple_of(read, BLOCK) - read;
        self.skip(padding)?;
        Ok(pieces)
    }

    /// An extension header of this size; `sum` counts all of its entry.
    fn extension(&mut self, size: u64, sum: &mut u64) -> Result<Vec<u8>, TarError> {
        *sum = sum.saturating_add(size);
        if *sum > MAX_EXTENSION {
            return Err(TarError::LongExtension(*sum));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.exactly(&mut bytes)?;
        Ok(bytes)
    }

    /// A long name; it ends with a NUL.
    fn text(&mut self, size: u64, sum: &mut u64) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.extension(size, sum)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        Ok(bytes)
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> Result<(), TarError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(LONGER)?;
        Ok(self.inner.read_exact(bytes)?)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TarError> {
        let skipped = io::copy(&mut self.inner.by_ref().take(bytes), &mut io::sink())?;
        self.left -= skipped;
        if skipped == bytes {
            Ok(())
        } else {
            Err(TarError::Damaged("it ends within an entry"))
        }
    }
}

impl Entry {
    /// Pieces must follow one another within the file and be all that is stored.
    fn check_pieces(&self, stored: u64) -> Result<(), TarError> {
        let mut end: u64 = 0;
        let mut sum: u64 = 0;
        for (offset, length) in &self.pieces {
            let follows = *offset >= end || *length == 0;
            end = offset
                .checked_add(*length)
                .filter(|_| follows)
                .unwrap_or(u64::MAX);
            sum = sum.saturating_add(*length);
        }
        if self.pieces.len() <= MAX_PIECES && end <= self.size && sum <= stored {
            Ok(())
        } else {
            Err(TarError::Damaged("a sparse file's map"))
        }
    }
}

/// The records of a PAX header: `LENGTH KEY=VALUE\n`, where the length counts the whole record.
fn pax_records(bytes: &[u8]) -> Result<Records, TarError> {
    let damaged = || TarError::Damaged("a PAX header");
    let mut records = BTreeMap::new();
    let mut rest = bytes;
    while !rest.is_empty() && rest[0] != 0 {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let length = decimal(&rest[..space]).and_then(|length| usize::try_from(length).ok());
        let record = length
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(damaged)?;
        let (record, after) = record;
        let text = record
            .get(space + 1..)
            .and_then(|text| text.strip_suffix(b"\n"))
            .ok_or_else(damaged)?;
        let equals = text.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
        records.insert(text[..equals].to_vec(), text[equals + 1..].to_vec());
        rest = after;
    }
    Ok(records)
}

/// The beginning of a path, for an error.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(MAX_SHOWN)]).into_owned()
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pax_values_are_taken_by_their_length() {
        let value = b"\x01\n\x00=\n \n";
        let header = [&b"31 SCHILY.xattr.user.a="[..], value, b"\n7 b=cd\n"].concat();
        let records = pax_records(&header).unwrap();
        assert_eq!(records[&b"SCHILY.xattr.user.a"[..]], value);
        assert_eq!(records[&b"b"[..]], b"cd");
        for bad in [&b"3 a"[..], b"99 a=b\n", b"6 a=b", b"x a=b\n", b"5 ab\n"] {
            assert!(pax_records(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_extension_headers_of_an_entry_are_bounded_together() {
        let archive = |kinds: &[EntryType], size: u64| {
            let mut bytes = Vec::new();
            for kind in kinds {
                let mut header = Header::new_gnu();
                header.set_entry_type(*kind);
                header.set_size(if *kind == EntryType::Regular { 0 } else { size });
                header.set_cksum();
                bytes.extend(header.as_bytes());
                if *kind != EntryType::Regular {
                    bytes.resize(bytes.len() + usize::try_from(size).unwrap(), 0);
                }
            }
            bytes
        };
        let extensions = [
            EntryType::XHeader,
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XGlobalHeader,
        ];
        let half = MAX_EXTENSION / 2;
        for kind in extensions {
            for other in extensions {
                let three = archive(&[kind, other, kind, EntryType::Regular], half);
                let read = Reader::new(&three[..]).next();
                assert!(
                    matches!(read, Err(TarError::LongExtension(sum)) if sum == 3 * half),
                    "{kind:?}, {other:?}"
                );
            }
            let spread = [kind, EntryType::Regular].repeat(5);
            let spread = archive(&spread, half);
            let mut reader = Reader::new(&spread[..]);
            for _ in 0..5 {
                assert!(reader.next().unwrap().is_some(), "each entry has its own bound");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut reader = Reader::new(&bytes[..]);
            while let Ok(Some(entry)) = reader.next() {
                reader.content(&entry, |_, _| Ok(())).ok();
            }
        }

        /// A true archive with some bytes changed, and the header's checksum mended.
        #[test]
        fn a_damaged_archive_is_read_or_refused(changes in proptest::collection::vec((0_usize..2048, any::<u8>()), 1..6)) {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = Header::new_gnu();
            header.set_size(700);
            builder.append_data(&mut header, "n".repeat(150), &[7; 700][..]).unwrap();
            let mut bytes = builder.into_inner().unwrap();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            for start in [0, 1024] {
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[start..start + 512]);
                header.set_cksum();
                bytes[start..start + 512].copy_from_slice(header.as_bytes());
            }
            let mut reader = Reader::new(&bytes[..]);
            while let Ok(Some(entry)) = reader.next() {
                let mut read = 0;
                reader.content(&entry, |_, bytes| { read += bytes.len() as u64; Ok(()) }).ok();
                prop_assert!(read <= entry.size);
            }
        }
    }
}
