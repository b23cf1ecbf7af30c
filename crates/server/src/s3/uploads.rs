//! Multipart uploads: parts are blobs of their own until the upload is completed, which joins them into one.

use coracle_store::{Object, Page, Part, UnixMicros, Upload};
use s3s::crypto::{Checksum as _, Md5};
use s3s::{S3Request, S3Response, S3Result, dto, s3_error};
use uuid::Uuid;

use super::backend::{Backend, internal, metadata_text, refusal, size, timestamp, write_checked};
use super::blobs::BlobError;

/// Highest part number, and most parts listed at once.
const MAX_PARTS: u32 = 10_000;

pub(super) async fn create(
    backend: &Backend,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
    let expected = request.input.expected_bucket_owner.as_deref();
    backend
        .authorize(&request, &request.input.bucket, expected)
        .await?;
    let input = request.input;
    let new = Upload {
        id: Uuid::new_v4().simple().to_string(),
        bucket: input.bucket,
        key: input.key,
        content_type: input.content_type,
        metadata: metadata_text(input.metadata)?,
        created_at: UnixMicros::now(),
    };
    backend.side.store.create_upload(&new).await.map_err(refusal)?;
    Ok(S3Response::new(dto::CreateMultipartUploadOutput {
        bucket: Some(new.bucket),
        key: Some(new.key),
        upload_id: Some(new.id),
        ..Default::default()
    }))
}

pub(super) async fn put_part(
    backend: &Backend,
    mut request: S3Request<dto::UploadPartInput>,
) -> S3Result<S3Response<dto::UploadPartOutput>> {
    let expected = request.input.expected_bucket_owner.clone();
    backend
        .authorize(&request, &request.input.bucket.clone(), expected.as_deref())
        .await?;
    let number = part_number(request.input.part_number)?;
    let body = request.input.body.take();
    let blob = write_checked(
        &backend.side,
        &request.headers,
        request.trailing_headers.as_ref(),
        body,
    )
    .await?;
    let input = request.input;
    let part = Part {
        number,
        etag: hex::encode(blob.md5),
        size: blob.size,
        blob: blob.name,
        last_modified: UnixMicros::now(),
    };
    let put = backend
        .side
        .store
        .put_part(&input.bucket, &input.key, &input.upload_id, &part)
        .await;
    match put {
        Ok(replaced) => backend.remove_blobs(replaced).await,
        Err(error) => {
            backend.remove_blobs([part.blob]).await;
            return Err(refusal(error));
        }
    }
    let sums = blob.checksums;
    Ok(S3Response::new(dto::UploadPartOutput {
        e_tag: Some(dto::ETag::Strong(part.etag)),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        ..Default::default()
    }))
}

pub(super) async fn complete(
    backend: &Backend,
    request: S3Request<dto::CompleteMultipartUploadInput>,
) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
    let expected = request.input.expected_bucket_owner.as_deref();
    backend
        .authorize(&request, &request.input.bucket, expected)
        .await?;
    let input = request.input;
    let store = &backend.side.store;
    let upload = store
        .upload(&input.bucket, &input.key, &input.upload_id)
        .await
        .map_err(refusal)?;
    let named = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let parts = chosen(
        all_parts(backend, &upload.bucket, &upload.key, &upload.id).await?,
        &named,
    )?;
    let etag = joined_etag(&parts)?;
    let blobs: Vec<String> = parts.into_iter().map(|part| part.blob).collect();
    let (blob, size) = backend
        .side
        .blobs
        .join(&blobs)
        .await
        .map_err(|error| match error {
            BlobError::TooLarge => s3_error!(EntityTooLarge),
            error => internal(error),
        })?;
    let object = Object {
        key: upload.key,
        etag: etag.clone(),
        size,
        content_type: upload.content_type,
        metadata: upload.metadata,
        blob,
        last_modified: UnixMicros::now(),
    };
    let completed = store.complete_upload(&upload.bucket, &upload.id, &object).await;
    match completed {
        Ok(obsolete) => backend.remove_blobs(obsolete).await,
        Err(error) => {
            backend.remove_blobs([object.blob]).await;
            return Err(refusal(error));
        }
    }
    Ok(S3Response::new(dto::CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", upload.bucket, object.key)),
        bucket: Some(upload.bucket),
        key: Some(object.key),
        e_tag: Some(dto::ETag::Strong(etag)),
        ..Default::default()
    }))
}

pub(super) async fn abort(
    backend: &Backend,
    request: S3Request<dto::AbortMultipartUploadInput>,
) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
    let input = &request.input;
    backend
        .authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
        .await?;
    let aborted = backend
        .side
        .store
        .abort_upload(&input.bucket, &input.key, &input.upload_id)
        .await;
    backend.remove_blobs(aborted.map_err(refusal)?).await;
    Ok(S3Response::with_status(
        dto::AbortMultipartUploadOutput::default(),
        http::StatusCode::NO_CONTENT,
    ))
}

pub(super) async fn list_parts(
    backend: &Backend,
    request: S3Request<dto::ListPartsInput>,
) -> S3Result<S3Response<dto::ListPartsOutput>> {
    let input = &request.input;
    backend
        .authorize(&request, &input.bucket, input.expected_bucket_owner.as_deref())
        .await?;
    let parts = all_parts(backend, &input.bucket, &input.key, &input.upload_id).await?;
    let parts = parts.into_iter().map(|part| dto::Part {
        e_tag: Some(dto::ETag::Strong(part.etag)),
        last_modified: Some(timestamp(part.last_modified)),
        part_number: i32::try_from(part.number).ok(),
        size: Some(size(part.size)),
        ..Default::default()
    });
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(input.upload_id.clone()),
        is_truncated: Some(false),
        parts: Some(parts.collect()),
        ..Default::default()
    }))
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=MAX_PARTS).contains(number))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000"
            )
        })
}

async fn all_parts(backend: &Backend, bucket: &str, key: &str, upload: &str) -> S3Result<Vec<Part>> {
    let page = Page {
        limit: MAX_PARTS,
        after: None,
    };
    Ok(backend
        .side
        .store
        .parts(bucket, key, upload, &page)
        .await
        .map_err(refusal)?
        .items)
}

/// The parts that a completion names, which must exist with those tags and come in order.
fn chosen(uploaded: Vec<Part>, named: &[dto::CompletedPart]) -> S3Result<Vec<Part>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    let mut uploaded = uploaded.into_iter();
    named
        .iter()
        .map(|wanted| {
            let number = part_number(wanted.part_number.unwrap_or_default())?;
            // Both are in order, so what is passed over is not wanted.
            let part = uploaded
                .find(|part| part.number == number)
                .ok_or_else(|| s3_error!(InvalidPart))?;
            match &wanted.e_tag {
                Some(etag) if etag.value() != part.etag => Err(s3_error!(InvalidPart)),
                _ => Ok(part),
            }
        })
        .collect()
}

/// S3's tag of a multipart object: the digest of the parts' digests, and their number.
fn joined_etag(parts: &[Part]) -> S3Result<String> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&hex::decode(&part.etag).map_err(internal)?);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}
