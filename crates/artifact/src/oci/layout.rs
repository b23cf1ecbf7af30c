//! Reads an image from an OCI layout: a folder, or a tar archive of one, as `buildah push IMAGE oci-archive:FILE`,
//! `docker save` and `skopeo copy` write them. Everything here blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::Archive;

use super::manifest::{ManifestError, hexadecimal};

const INDEX: &str = "index.json";
/// Most entries of an archive: an image has a blob for each layer and a few more.
const MAX_ENTRIES: usize = 10_000;
const BUFFER: usize = 256 * 1024;

/// Why a layout cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LayoutError {
    #[error("{path} could not be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{0} is neither an OCI layout nor a tar archive of one; write one with: buildah push IMAGE oci-archive:FILE, \
         or: docker save IMAGE --output FILE"
    )]
    NotALayout(PathBuf),
    #[error("{0} holds more than {MAX_ENTRIES} files")]
    TooMany(PathBuf),
    #[error("{path} lacks {what}")]
    Missing { path: PathBuf, what: String },
    #[error("{what} has {size} bytes; {limit} are expected")]
    Size { what: String, size: u64, limit: u64 },
    #[error("{0} is damaged: its digest is sha256:{1}")]
    WrongDigest(String, String),
    #[error("a digest of the layout cannot be used")]
    Digest(#[from] ManifestError),
}

/// A layout.
#[derive(Debug)]
pub(super) struct Layout {
    path: PathBuf,
    /// Where the files of an archive are: offset and length. `None` for a folder.
    archived: Option<HashMap<String, (u64, u64)>>,
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct Piece {
    file: PathBuf,
    offset: u64,
    size: u64,
}

impl Piece {
    /// The whole of a file of this size.
    pub(super) fn whole(file: PathBuf, size: u64) -> Self {
        Self {
            file,
            offset: 0,
            size,
        }
    }

    pub(super) fn open(&self) -> io::Result<Take<File>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }
}

impl Layout {
    pub(super) fn open(path: &Path) -> Result<Self, LayoutError> {
        let read = |source| LayoutError::Read {
            path: path.to_owned(),
            source,
        };
        let archived = if std::fs::metadata(path).map_err(read)?.is_dir() {
            None
        } else {
            Some(list_archive(path)?)
        };
        let layout = Self {
            path: path.to_owned(),
            archived,
        };
        layout
            .piece(INDEX)
            .map_err(|_| LayoutError::NotALayout(path.to_owned()))?;
        Ok(layout)
    }

    /// The index, at most `limit` bytes.
    pub(super) fn index(&self, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let piece = self.piece(INDEX)?;
        self.read(&piece, INDEX, limit)
    }

    /// A small blob, checked, at most `limit` bytes.
    pub(super) fn small_blob(&self, digest: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let piece = self.piece(&format!("blobs/sha256/{}", hexadecimal(digest)?))?;
        let bytes = self.read(&piece, digest, limit)?;
        check(digest, Sha256::digest(&bytes).as_slice())?;
        Ok(bytes)
    }

    /// A blob of this size, checked.
    pub(super) fn blob(&self, digest: &str, size: u64) -> Result<Piece, LayoutError> {
        let piece = self.piece(&format!("blobs/sha256/{}", hexadecimal(digest)?))?;
        if piece.size != size {
            return Err(LayoutError::Size {
                what: digest.to_owned(),
                size: piece.size,
                limit: size,
            });
        }
        let mut reader = piece.open().map_err(|error| self.unreadable(error))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer).map_err(|error| self.unreadable(error))? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        check(digest, hash.finalize().as_slice())?;
        Ok(piece)
    }

    fn piece(&self, name: &str) -> Result<Piece, LayoutError> {
        let missing = || LayoutError::Missing {
            path: self.path.clone(),
            what: name.to_owned(),
        };
        if let Some(archived) = &self.archived {
            let (offset, size) = *archived.get(name).ok_or_else(missing)?;
            let file = self.path.clone();
            return Ok(Piece { file, offset, size });
        }
        let file = self.path.join(name);
        let found = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file);
        let size = found.ok_or_else(missing)?.len();
        Ok(Piece::whole(file, size))
    }

    fn read(&self, piece: &Piece, what: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
        if piece.size > limit {
            return Err(LayoutError::Size {
                what: what.to_owned(),
                size: piece.size,
                limit,
            });
        }
        let mut bytes = Vec::new();
        let mut reader = piece.open().map_err(|error| self.unreadable(error))?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| self.unreadable(error))?;
        Ok(bytes)
    }

    fn unreadable(&self, source: io::Error) -> LayoutError {
        LayoutError::Read {
            path: self.path.clone(),
            source,
        }
    }
}

fn check(wanted: &str, found: &[u8]) -> Result<(), LayoutError> {
    let found = hex::encode(found);
    if wanted.strip_prefix("sha256:") == Some(&found) {
        Ok(())
    } else {
        Err(LayoutError::WrongDigest(wanted.to_owned(), found))
    }
}

/// Where the files of a tar archive are.
fn list_archive(path: &Path) -> Result<HashMap<String, (u64, u64)>, LayoutError> {
    let unusable = |_| LayoutError::NotALayout(path.to_owned());
    let file = File::open(path).map_err(|source| LayoutError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut archive = Archive::new(file);
    let mut found = HashMap::new();
    for (count, entry) in archive.entries_with_seek().map_err(unusable)?.enumerate() {
        if count > MAX_ENTRIES {
            return Err(LayoutError::TooMany(path.to_owned()));
        }
        let entry = entry.map_err(unusable)?;
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.trim_start_matches("./").to_owned();
            found.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(found)
}
