//! Where code zips, and archives of container images, come from: a bucket on this server, or a real S3 named in the configuration.

use std::io;
use std::path::{Path, PathBuf};

use coracle_store::{Owner, Store, StoreError};
use coracle_wire::control::S3Location;
use futures::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{GetOptions, ObjectStore, path::Path as ObjectPath};
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt;

use crate::config::RemoteS3Config;
use crate::s3::S3Side;

/// Why code could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The developer can mend it.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error("the bucket could not be looked up")]
    Store(#[source] StoreError),
    /// The remote S3 failed.
    #[error("the S3 of the configuration failed")]
    Remote(#[source] object_store::Error),
    /// The zip could not be written here.
    #[error("the fetched code could not be written")]
    Disk(#[from] io::Error),
}

/// A fetched zip. One that was downloaded is removed when this is dropped.
#[derive(Debug)]
pub enum FetchedZip {
    /// In the objects of this server.
    Local(PathBuf),
    /// Downloaded.
    Downloaded(tempfile::TempPath),
}

impl FetchedZip {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Local(path) => path,
            Self::Downloaded(path) => path,
        }
    }
}

/// The sources, in the order they are asked.
pub struct CodeSource {
    store: Store,
    local: S3Side,
    remote: Option<RemoteS3Config>,
}

impl CodeSource {
    /// Buckets of this server first, then the S3 of the configuration.
    pub fn new(store: Store, local: S3Side, remote: Option<RemoteS3Config>) -> Self {
        Self { store, local, remote }
    }

    /// Fetches the object at `location` for `owner`, using `folder` if it has to be downloaded; then it may have
    /// `limit` bytes.
    ///
    /// # Errors
    /// [`FetchError::Refused`] when there is no such zip; the others may go well the next time.
    pub async fn fetch(
        &self,
        owner: &Owner,
        location: &S3Location,
        limit: u64,
        folder: &Path,
    ) -> Result<FetchedZip, FetchError> {
        let (bucket, key) = (&location.bucket, &location.prefix);
        match self.store.bucket(bucket).await {
            Ok(found) if found.owner.account == owner.account => {
                if location.version_id.is_some() {
                    return Err(FetchError::Refused(format!(
                        "The bucket {bucket} keeps no versions of its objects; leave out versionId"
                    )));
                }
                let object = self
                    .store
                    .object(bucket, key)
                    .await
                    .map_err(|error| match error {
                        StoreError::NotFound(_) => {
                            FetchError::Refused(format!("There is no object {key} in the bucket {bucket}"))
                        }
                        error => FetchError::Store(error),
                    })?;
                Ok(FetchedZip::Local(self.local.blob_path(&object.blob)))
            }
            Ok(_) => Err(FetchError::Refused(format!(
                "Access to the bucket {bucket} is denied"
            ))),
            Err(StoreError::NotFound(_)) => match &self.remote {
                Some(remote) => Ok(FetchedZip::Downloaded(
                    download(remote, location, limit, folder).await?,
                )),
                None => Err(FetchError::Refused(format!(
                    "There is no bucket {bucket} on this server, and no other S3 is configured"
                ))),
            },
            Err(error) => Err(FetchError::Store(error)),
        }
    }
}

async fn download(
    remote: &RemoteS3Config,
    location: &S3Location,
    limit: u64,
    folder: &Path,
) -> Result<tempfile::TempPath, FetchError> {
    let (bucket, key) = (&location.bucket, &location.prefix);
    let refused = |error: object_store::Error| match error {
        object_store::Error::NotFound { .. } => FetchError::Refused(format!(
            "There is no object {key} in the bucket {bucket} of the configured S3"
        )),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            FetchError::Refused(format!(
                "The configured S3 does not let this server read {key} in the bucket {bucket}"
            ))
        }
        error => FetchError::Remote(error),
    };
    let client = client(remote, bucket).map_err(FetchError::Remote)?;
    let options = GetOptions {
        version: location.version_id.clone(),
        ..GetOptions::default()
    };
    // What was judged must be what is read, and the client would leave these out.
    if key.starts_with('/') || key.ends_with('/') {
        return Err(FetchError::Refused(format!(
            "The key {key} begins or ends with a slash; this server reads no such objects from the configured S3"
        )));
    }
    let path = ObjectPath::parse(key).map_err(|error| FetchError::Refused(error.to_string()))?;
    let found = client.get_opts(&path, options).await.map_err(refused)?;
    if found.meta.size > limit {
        return Err(FetchError::Refused(format!(
            "The object {key} has {} bytes; it may have {limit}",
            found.meta.size
        )));
    }
    let (file, path) = tempfile::NamedTempFile::new_in(folder)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    // The declared size was checked, and the client reads no more than that.
    let mut chunks = found.into_stream();
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk.map_err(refused)?).await?;
    }
    file.flush().await?;
    Ok(path)
}

fn client(remote: &RemoteS3Config, bucket: &str) -> Result<AmazonS3, object_store::Error> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&remote.region)
        .with_access_key_id(&remote.access_key_id)
        .with_secret_access_key(remote.secret_access_key.expose_secret())
        .with_allow_http(remote.allow_http);
    if let Some(endpoint) = &remote.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(token) = &remote.session_token {
        builder = builder.with_token(token.expose_secret());
    }
    builder.build()
}
