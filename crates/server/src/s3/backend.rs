//! The S3 operations on buckets and whole objects; [`super::uploads`] has those on parts.

use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use coracle_store::{Bucket, ListingPosition, ListingQuery, Object, Page, StoreError, UnixMicros};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, TrailingHeaders, dto, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::access::{DELETE_OBJECT, caller, require_object};
use super::blobs::{Blob, BlobError};
use super::{S3Side, uploads};
use crate::control::owner;

/// Where a bucket may be made again by its owner, as nowhere else (CreateBucket, error `BucketAlreadyOwnedByYou`).
const OLDEST_REGION: &str = "us-east-1";
/// Keys on a page when the client does not say, and most on any page.
const MAX_KEYS: i32 = 1000;
/// Buckets listed at once.
const MAX_BUCKETS: u32 = 1000;
/// How much of an object is read at a time.
const READ_SIZE: usize = 256 * 1024;

/// Answers S3 operations.
pub(super) struct Backend {
    pub(super) side: S3Side,
}

impl Backend {
    /// Checks that the bucket exists and is the caller's.
    pub(super) async fn authorize<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        expected_owner: Option<&str>,
    ) -> S3Result<Bucket> {
        let caller = caller(request)?;
        let bucket = self.side.store.bucket(bucket).await.map_err(refusal)?;
        let expected = expected_owner.is_none_or(|account| account == bucket.owner.account.as_str());
        if bucket.owner.account == caller.account && expected {
            Ok(bucket)
        } else {
            Err(s3_error!(AccessDenied))
        }
    }

    pub(super) async fn remove_blobs(&self, blobs: impl IntoIterator<Item = String>) {
        for blob in blobs {
            self.side.blobs.remove(&blob).await;
        }
    }

    async fn write<T>(&self, request: &mut S3Request<T>, body: Option<dto::StreamingBlob>) -> S3Result<Blob> {
        write_checked(
            &self.side,
            &request.headers,
            request.trailing_headers.as_ref(),
            body,
        )
        .await
    }

    async fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.side.store.object(bucket, key).await.map_err(refusal)
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: Option<String>,
        delimiter: Option<String>,
        start: Option<ListingPosition>,
        max_keys: Option<i32>,
    ) -> S3Result<(coracle_store::ObjectListing, i32)> {
        let max_keys = max_keys.unwrap_or(MAX_KEYS).clamp(0, MAX_KEYS);
        let query = ListingQuery {
            prefix: prefix.unwrap_or_default(),
            delimiter: delimiter.unwrap_or_default(),
            start,
            limit: usize::try_from(max_keys).unwrap_or_default(),
        };
        Ok((
            self.side
                .store
                .list_objects(bucket, &query)
                .await
                .map_err(refusal)?,
            max_keys,
        ))
    }
}

/// Writes a body as a blob, checking it against whatever checksums the client sent, before it or behind it.
pub(super) async fn write_checked(
    side: &S3Side,
    headers: &http::HeaderMap,
    trailers: Option<&TrailingHeaders>,
    body: Option<dto::StreamingBlob>,
) -> S3Result<Blob> {
    let body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let announced = headers
        .get("x-amz-trailer")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let wanted = |name: &str| headers.contains_key(name) || announced.eq_ignore_ascii_case(name);
    let hasher = ChecksumHasher {
        crc32: wanted("x-amz-checksum-crc32").then(Crc32::new),
        crc32c: wanted("x-amz-checksum-crc32c").then(Crc32c::new),
        sha1: wanted("x-amz-checksum-sha1").then(Sha1::new),
        sha256: wanted("x-amz-checksum-sha256").then(Sha256::new),
        crc64nvme: wanted("x-amz-checksum-crc64nvme").then(Crc64Nvme::new),
    };
    let blob = side
        .blobs
        .write(body, hasher)
        .await
        .map_err(|error| match error {
            BlobError::TooLarge => s3_error!(EntityTooLarge),
            BlobError::Client(cause) => {
                tracing::debug!(%cause, "an upload broke off");
                s3_error!(
                    IncompleteBody,
                    "The request body ended early or was not signed as announced"
                )
            }
            BlobError::Disk(cause) => internal(cause),
        })?;
    if matches_checksums(&blob, headers, trailers) {
        return Ok(blob);
    }
    side.blobs.remove(&blob.name).await;
    Err(s3_error!(
        BadDigest,
        "The content does not have the checksum that the request says"
    ))
}

fn matches_checksums(blob: &Blob, headers: &http::HeaderMap, trailers: Option<&TrailingHeaders>) -> bool {
    let trailers = trailers.and_then(TrailingHeaders::take).unwrap_or_default();
    let claimed = |name: &str| headers.get(name).or_else(|| trailers.get(name)).cloned();
    let computed = &blob.checksums;
    let md5 = Some(STANDARD.encode(blob.md5));
    [
        ("content-md5", &md5),
        ("x-amz-checksum-crc32", &computed.checksum_crc32),
        ("x-amz-checksum-crc32c", &computed.checksum_crc32c),
        ("x-amz-checksum-sha1", &computed.checksum_sha1),
        ("x-amz-checksum-sha256", &computed.checksum_sha256),
        ("x-amz-checksum-crc64nvme", &computed.checksum_crc64nvme),
    ]
    .into_iter()
    .all(|(name, computed)| match (claimed(name), computed) {
        (Some(claimed), Some(computed)) => claimed.as_bytes() == computed.as_bytes(),
        _ => true,
    })
}

/// What the store refuses, in S3's words.
pub(super) fn refusal(error: StoreError) -> S3Error {
    match error {
        StoreError::NotFound("the bucket") => s3_error!(NoSuchBucket),
        StoreError::NotFound("the upload") => s3_error!(NoSuchUpload),
        StoreError::NotFound(_) => s3_error!(NoSuchKey),
        StoreError::BucketExists { yours: true } => s3_error!(BucketAlreadyOwnedByYou),
        StoreError::BucketExists { yours: false } => s3_error!(BucketAlreadyExists),
        StoreError::BucketNotEmpty => s3_error!(BucketNotEmpty),
        error => internal(error),
    }
}

/// An internal error; the client is not told more.
pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(error = crate::error_chain(&error), "an S3 request failed");
    s3_error!(InternalError)
}

pub(super) fn timestamp(micros: UnixMicros) -> dto::Timestamp {
    let since = Duration::from_micros(micros.0.try_into().unwrap_or_default());
    dto::Timestamp::from(UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH))
}

pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// User metadata as the store keeps it.
pub(super) fn metadata_text(metadata: Option<dto::Metadata>) -> S3Result<String> {
    let sorted: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    serde_json::to_string(&sorted).map_err(internal)
}

fn metadata(object: &Object) -> S3Result<dto::Metadata> {
    let stored: BTreeMap<String, String> = serde_json::from_str(&object.metadata).map_err(internal)?;
    Ok(stored.into_iter().collect())
}

fn listed(object: Object) -> dto::Object {
    dto::Object {
        e_tag: Some(dto::ETag::Strong(object.etag)),
        last_modified: Some(timestamp(object.last_modified)),
        size: Some(size(object.size)),
        key: Some(object.key),
        ..Default::default()
    }
}

fn prefixes(prefixes: Vec<String>) -> Vec<dto::CommonPrefix> {
    prefixes
        .into_iter()
        .map(|prefix| dto::CommonPrefix { prefix: Some(prefix) })
        .collect()
}

fn token(position: &ListingPosition) -> S3Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).map_err(internal)?))
}

fn position(token: &str) -> S3Result<ListingPosition> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        let owner = owner(caller(&request)?);
        let bucket = Bucket {
            name: request.input.bucket,
            owner,
            created_at: UnixMicros::now(),
        };
        match self.side.store.create_bucket(&bucket).await {
            Err(StoreError::BucketExists { yours: true })
                if bucket.owner.region.as_str() == OLDEST_REGION => {}
            made => made.map_err(refusal)?,
        }
        Ok(S3Response::new(dto::CreateBucketOutput {
            location: Some(format!("/{}", bucket.name)),
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        let input = &request.input;
        self.authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let blobs = self
            .side
            .store
            .delete_bucket(&input.bucket)
            .await
            .map_err(refusal)?;
        self.remove_blobs(blobs).await;
        Ok(S3Response::new(dto::DeleteBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        let input = &request.input;
        let bucket = self
            .authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let bucket_region = Some(bucket.owner.region.to_string());
        Ok(S3Response::new(dto::HeadBucketOutput {
            bucket_region,
            ..Default::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<dto::GetBucketLocationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
        let input = &request.input;
        let bucket = self
            .authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let region = bucket.owner.region.to_string();
        // The one region that S3 names by leaving the name out.
        let location_constraint =
            (region != "us-east-1").then(|| dto::BucketLocationConstraint::from(region));
        Ok(S3Response::new(dto::GetBucketLocationOutput {
            location_constraint,
        }))
    }

    async fn list_buckets(
        &self,
        request: S3Request<dto::ListBucketsInput>,
    ) -> S3Result<S3Response<dto::ListBucketsOutput>> {
        let account = &caller(&request)?.account;
        let page = Page {
            limit: MAX_BUCKETS,
            after: request.input.continuation_token.clone(),
        };
        let found = self.side.store.buckets(account, &page).await.map_err(refusal)?;
        let buckets = found.items.into_iter().map(|bucket| dto::Bucket {
            name: Some(bucket.name),
            creation_date: Some(timestamp(bucket.created_at)),
            bucket_region: Some(bucket.owner.region.to_string()),
        });
        Ok(S3Response::new(dto::ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token: found.next,
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let (bucket, expected) = (
            request.input.bucket.clone(),
            request.input.expected_bucket_owner.clone(),
        );
        self.authorize(&request, &bucket, expected.as_deref()).await?;
        let body = request.input.body.take();
        let blob = self.write(&mut request, body).await?;
        let input = request.input;
        let new = Object {
            key: input.key,
            etag: hex::encode(blob.md5),
            size: blob.size,
            content_type: input.content_type,
            metadata: metadata_text(input.metadata)?,
            blob: blob.name,
            last_modified: UnixMicros::now(),
        };
        let replaced = self.side.store.put_object(&bucket, &new).await.map_err(refusal)?;
        self.remove_blobs(replaced).await;
        let sums = blob.checksums;
        Ok(S3Response::new(dto::PutObjectOutput {
            e_tag: Some(dto::ETag::Strong(new.etag)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = &request.input;
        self.authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let object = self.object(&input.bucket, &input.key).await?;
        let range = match &input.range {
            Some(range) => range.check(object.size).map_err(|_| s3_error!(InvalidRange))?,
            None => 0..object.size,
        };
        let mut file = tokio::fs::File::open(self.side.blob_path(&object.blob))
            .await
            .map_err(internal)?;
        file.seek(SeekFrom::Start(range.start)).await.map_err(internal)?;
        let length = range.end - range.start;
        let content = ReaderStream::with_capacity(file.take(length), READ_SIZE);
        let content_range = input.range.map(|_| {
            format!(
                "bytes {}-{}/{}",
                range.start,
                range.end.saturating_sub(1),
                object.size
            )
        });
        Ok(S3Response::new(dto::GetObjectOutput {
            metadata: Some(metadata(&object)?),
            accept_ranges: Some("bytes".to_owned()),
            body: Some(dto::StreamingBlob::wrap(content)),
            content_length: Some(size(length)),
            content_range,
            content_type: object.content_type,
            e_tag: Some(dto::ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.last_modified)),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = &request.input;
        self.authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let object = self.object(&input.bucket, &input.key).await?;
        Ok(S3Response::new(dto::HeadObjectOutput {
            metadata: Some(metadata(&object)?),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(size(object.size)),
            content_type: object.content_type,
            e_tag: Some(dto::ETag::Strong(object.etag)),
            last_modified: Some(timestamp(object.last_modified)),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = &request.input;
        self.authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        let blob = self
            .side
            .store
            .delete_object(&input.bucket, &input.key)
            .await
            .map_err(refusal)?;
        self.remove_blobs(blob).await;
        Ok(S3Response::with_status(
            dto::DeleteObjectOutput::default(),
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let input = &request.input;
        self.authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
            .await?;
        if input.delete.objects.len() > MAX_KEYS.unsigned_abs() as usize {
            return Err(s3_error!(MalformedXML));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in &input.delete.objects {
            if let Err(refused) = require_object(caller(&request)?, DELETE_OBJECT, &input.bucket, &object.key)
            {
                errors.push(dto::Error {
                    code: Some(refused.code().as_str().to_owned()),
                    key: Some(object.key.clone()),
                    message: refused.message().map(str::to_owned),
                    ..Default::default()
                });
                continue;
            }
            let blob = self
                .side
                .store
                .delete_object(&input.bucket, &object.key)
                .await
                .map_err(refusal)?;
            self.remove_blobs(blob).await;
            deleted.push(dto::DeletedObject {
                key: Some(object.key.clone()),
                ..Default::default()
            });
        }
        let quiet = input.delete.quiet == Some(true);
        Ok(S3Response::new(dto::DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors).filter(|errors| !errors.is_empty()),
            ..Default::default()
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        self.authorize(
            &request,
            &request.input.bucket,
            request.input.expected_bucket_owner.as_deref(),
        )
        .await?;
        let input = request.input;
        let start = input.marker.clone().map(ListingPosition::After);
        let (listing, max_keys) = self
            .list(
                &input.bucket,
                input.prefix.clone(),
                input.delimiter.clone(),
                start,
                input.max_keys,
            )
            .await?;
        let last_key = listing.objects.last().map(|object| object.key.clone());
        let last_prefix = listing.common_prefixes.last().cloned();
        Ok(S3Response::new(dto::ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            marker: input.marker,
            delimiter: input.delimiter,
            max_keys: Some(max_keys),
            is_truncated: Some(listing.next.is_some()),
            next_marker: listing
                .next
                .is_some()
                .then(|| last_key.max(last_prefix))
                .flatten(),
            contents: Some(listing.objects.into_iter().map(listed).collect()),
            common_prefixes: Some(prefixes(listing.common_prefixes)),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        self.authorize(
            &request,
            &request.input.bucket,
            request.input.expected_bucket_owner.as_deref(),
        )
        .await?;
        let input = request.input;
        let start = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => Some(position(token)?),
            (None, after) => after.clone().map(ListingPosition::After),
        };
        let (listing, max_keys) = self
            .list(
                &input.bucket,
                input.prefix.clone(),
                input.delimiter.clone(),
                start,
                input.max_keys,
            )
            .await?;
        let count = listing.objects.len() + listing.common_prefixes.len();
        Ok(S3Response::new(dto::ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            max_keys: Some(max_keys),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(listing.next.is_some()),
            next_continuation_token: listing.next.as_ref().map(token).transpose()?,
            contents: Some(listing.objects.into_iter().map(listed).collect()),
            common_prefixes: Some(prefixes(listing.common_prefixes)),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        uploads::create(self, request).await
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        uploads::put_part(self, request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        uploads::complete(self, request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        uploads::abort(self, request).await
    }

    async fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        uploads::list_parts(self, request).await
    }
}
