//! The bytes of objects, as files that are written once, synced, and named only then.
//!
//! A blob has a random name. Which blobs are objects is known to the store alone; a blob that it does not know
//! was being written when the server died, or was just replaced, and is removed at start.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::gateway::body::BoxError;

/// Largest object in one request, in bytes: what S3 allows.
pub(super) const MAX_BLOB: u64 = 5 * 1024 * 1024 * 1024;

/// Why a blob could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlobError {
    #[error("the object is over the limit of {MAX_BLOB} bytes")]
    TooLarge,
    #[error("the client's data broke off")]
    Client(#[source] BoxError),
    #[error("the object could not be written")]
    Disk(#[from] io::Error),
}

/// A blob that is safely on disk.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) checksums: dto::Checksum,
}

/// The folder of blobs.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Uses `folder`, which is made if need be.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where a blob is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a stream, computing the checksums that `hasher` asks for on the way.
    pub(super) async fn write<S, E>(&self, mut data: S, mut hasher: ChecksumHasher) -> Result<Blob, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<BoxError>,
    {
        let mut writer = BlobWriter::create(&self.folder).await?;
        let mut md5 = Md5::new();
        while let Some(chunk) = data.next().await {
            let chunk = chunk.map_err(|error| BlobError::Client(error.into()))?;
            md5.update(&chunk);
            hasher.update(&chunk);
            writer.append(&chunk).await?;
        }
        let (name, size) = writer.publish().await?;
        Ok(Blob {
            name,
            size,
            md5: md5.finalize(),
            checksums: hasher.finalize(),
        })
    }

    /// Writes the contents of `parts`, one after another, as a new blob. Returns its name and size.
    pub(super) async fn join(&self, parts: &[String]) -> Result<(String, u64), BlobError> {
        let mut writer = BlobWriter::create(&self.folder).await?;
        for part in parts {
            let mut chunks =
                tokio_util::io::ReaderStream::with_capacity(File::open(self.path(part)).await?, 1 << 20);
            while let Some(chunk) = chunks.next().await {
                writer.append(&chunk?).await?;
            }
        }
        writer.publish().await
    }

    /// Removes a blob that no object names any more.
    pub(super) async fn remove(&self, name: &str) {
        // One that stays costs space until the next start.
        if let Err(error) = tokio::fs::remove_file(self.path(name)).await {
            tracing::warn!(%error, name, "a replaced object's data could not be removed");
        }
    }

    /// The names of all blobs, and of what was being written when the server died. Only while nothing is being
    /// written.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// A blob being written. Dropping it unpublished removes the file.
struct BlobWriter {
    file: File,
    temporary: tempfile::TempPath,
    folder: PathBuf,
    size: u64,
}

impl BlobWriter {
    async fn create(folder: &Path) -> io::Result<Self> {
        let folder = folder.to_owned();
        let blocking = move || {
            let (file, temporary) = tempfile::Builder::new()
                .prefix("writing-")
                .tempfile_in(&folder)?
                .into_parts();
            Ok(Self {
                file: File::from_std(file),
                temporary,
                folder,
                size: 0,
            })
        };
        tokio::task::spawn_blocking(blocking)
            .await
            .map_err(io::Error::other)?
    }

    async fn append(&mut self, data: &[u8]) -> Result<(), BlobError> {
        self.size += data.len() as u64;
        if self.size > MAX_BLOB {
            return Err(BlobError::TooLarge);
        }
        Ok(self.file.write_all(data).await?)
    }

    async fn publish(mut self) -> Result<(String, u64), BlobError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let name = Uuid::now_v7().simple().to_string();
        let target = self.folder.join(&name);
        let blocking = move || {
            self.temporary.persist(target).map_err(|error| error.error)?;
            std::fs::File::open(&self.folder)?.sync_all()?;
            Ok::<_, io::Error>(self.size)
        };
        let size = tokio::task::spawn_blocking(blocking)
            .await
            .map_err(io::Error::other)??;
        Ok((name, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().to_owned()).unwrap();
        let broken = futures::stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]);
        assert!(matches!(
            blobs.write(broken, ChecksumHasher::default()).await,
            Err(BlobError::Client(_))
        ));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn parts_are_joined_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().to_owned()).unwrap();
        let mut parts = Vec::new();
        for text in [b"one ".as_slice(), b"two"] {
            let data = futures::stream::iter([Ok::<_, io::Error>(Bytes::from(text))]);
            parts.push(blobs.write(data, ChecksumHasher::default()).await.unwrap().name);
        }
        let (name, size) = blobs.join(&parts).await.unwrap();
        assert_eq!(
            (std::fs::read(blobs.path(&name)).unwrap(), size),
            (b"one two".to_vec(), 7)
        );
    }
}
