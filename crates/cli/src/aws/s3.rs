//! The few S3 operations that deploying needs, with path-style addresses.

use std::path::PathBuf;

use futures::TryStreamExt as _;
use http::{HeaderValue, Method, header};
use reqwest::{Body, Url};
use tokio_util::io::ReaderStream;

use super::sign::{Payload, signed_headers};
use super::{Call, Client, ClientError, Service, found, url_with_path, xml_elements};

/// A file to be stored, whose digest is known.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// SHA-256 in hexadecimal.
    pub(crate) sha256: String,
}

impl Client {
    fn s3_url(&self, segments: &[&str]) -> Url {
        url_with_path(&self.settings.endpoints.value.s3, segments)
    }

    async fn exists(&self, url: Url) -> Result<bool, ClientError> {
        let head = self.bytes(Call::new(Service::S3, Method::HEAD, url)).await;
        Ok(found(head)?.is_some())
    }

    pub(crate) async fn object_exists(&self, bucket: &str, key: &str) -> Result<bool, ClientError> {
        self.exists(self.object_url(bucket, key)).await
    }

    /// Creates the bucket unless it is there.
    pub(crate) async fn ensure_bucket(&self, bucket: &str) -> Result<(), ClientError> {
        let url = self.s3_url(&[bucket]);
        if self.exists(url.clone()).await? {
            return Ok(());
        }
        let mut call = Call::new(Service::S3, Method::PUT, url);
        let region = self.settings.region.value.as_str();
        // us-east-1 is what an absent constraint means, and S3 refuses it when it is spelled out.
        if region != "us-east-1" {
            call.body = format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
            .into();
        }
        match self.bytes(call).await {
            Err(error) if error.code() == "BucketAlreadyOwnedByYou" => Ok(()),
            result => result.map(drop),
        }
    }

    /// Stores a file, telling `sent` how many bytes went out each time some did.
    pub(crate) async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        upload: &Upload,
        sent: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(), ClientError> {
        let unreadable = |source| ClientError::File {
            path: upload.path.clone(),
            source,
        };
        let mut call = Call::new(Service::S3, Method::PUT, self.object_url(bucket, key));
        call.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        call.headers.insert(header::CONTENT_LENGTH, upload.size.into());
        let headers = signed_headers(&self.settings, &call, &Payload::Digest(&upload.sha256))?;
        let file = tokio::fs::File::open(&upload.path).await.map_err(unreadable)?;
        let stream = ReaderStream::with_capacity(file, 256 * 1024).inspect_ok(move |chunk| sent(chunk.len()));
        let sent = self
            .wire
            .send_stream(&Method::PUT, &call.url, headers, Body::wrap_stream(stream));
        sent.await.map(drop)
    }

    /// Keys of the bucket that begin with `prefix`; at most a thousand, the service's page.
    pub(crate) async fn list_objects(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ClientError> {
        let mut url = self.s3_url(&[bucket]);
        url.set_query(Some(&format!("list-type=2&prefix={}", super::escape(prefix))));
        let Some(answer) = found(self.bytes(Call::new(Service::S3, Method::GET, url)).await)? else {
            return Ok(Vec::new());
        };
        let answer = String::from_utf8_lossy(&answer);
        Ok(xml_elements(&answer, "Key").map(str::to_owned).collect())
    }

    pub(crate) async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), ClientError> {
        let call = Call::new(Service::S3, Method::DELETE, self.object_url(bucket, key));
        found(self.bytes(call).await).map(drop)
    }

    fn object_url(&self, bucket: &str, key: &str) -> Url {
        let segments: Vec<_> = std::iter::once(bucket).chain(key.split('/')).collect();
        self.s3_url(&segments)
    }
}
