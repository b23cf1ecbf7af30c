//! Objects of the S3 side. The content of an object is a file, its *blob*, written before the object is put
//! and deleted after the object is gone; a crash in between leaves a blob that no row names, which start-up
//! finds with [`Store::unreferenced_blobs`].

use crate::buckets::require_bucket;
use crate::database::{Connection, Row};
use crate::{Store, StoreError, UnixMicros, row};

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, if one was given.
    pub content_type: Option<String>,
    /// The metadata it was put with, as JSON text.
    pub metadata: String,
    /// The file that holds its content. No other object's.
    pub blob: String,
    /// When it was put.
    pub last_modified: UnixMicros,
}

impl Store {
    /// Puts an object, whose blob is on disk, in place of one with the same key. Returns the blob of the one replaced, to be deleted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket, or when the database fails.
    pub async fn put_object(&self, bucket: &str, object: &Object) -> Result<Option<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_bucket(&mut transaction, bucket).await?;
        let replaced = upsert(&mut transaction, bucket, object).await?;
        transaction.commit().await?;
        Ok(replaced)
    }

    /// An object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket or the object, or when the database fails.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Object, StoreError> {
        let mut transaction = self.read().await?;
        require_bucket(&mut transaction, bucket).await?;
        let found = sqlx::query("SELECT * FROM object WHERE bucket = $1 AND key = $2")
            .bind(bucket)
            .bind(key)
            .fetch_optional(&mut *transaction)
            .await?;
        Object::from_row(&found.ok_or(StoreError::NotFound("the object"))?)
    }

    /// Deletes an object. Returns its blob, to be deleted; `None` when there was no such object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket, or when the database fails.
    pub async fn delete_object(&self, bucket: &str, key: &str) -> Result<Option<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_bucket(&mut transaction, bucket).await?;
        let blob = sqlx::query_scalar("DELETE FROM object WHERE bucket = $1 AND key = $2 RETURNING blob")
            .bind(bucket)
            .bind(key)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(blob)
    }

    /// Those of these blobs that belong to no object and no part of an upload.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unreferenced_blobs(&self, blobs: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.read().await?;
        let mut unreferenced = Vec::new();
        for blob in blobs {
            let referenced: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM object WHERE blob = $1)
                     OR EXISTS (SELECT 1 FROM upload_part WHERE blob = $1)",
            )
            .bind(&blob)
            .fetch_one(&mut *transaction)
            .await?;
            if !referenced {
                unreferenced.push(blob);
            }
        }
        Ok(unreferenced)
    }
}

/// Writes an object and returns the blob of the one it replaces.
pub(crate) async fn upsert(
    connection: &mut Connection,
    bucket: &str,
    object: &Object,
) -> Result<Option<String>, StoreError> {
    let replaced = sqlx::query_scalar("SELECT blob FROM object WHERE bucket = $1 AND key = $2")
        .bind(bucket)
        .bind(&object.key)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO object (bucket, key, etag, size, content_type, metadata, blob, last_modified)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (bucket, key) DO UPDATE
         SET etag = excluded.etag, size = excluded.size, content_type = excluded.content_type,
             metadata = excluded.metadata, blob = excluded.blob, last_modified = excluded.last_modified",
    )
    .bind(bucket)
    .bind(&object.key)
    .bind(&object.etag)
    .bind(row::signed(object.size))
    .bind(&object.content_type)
    .bind(&object.metadata)
    .bind(&object.blob)
    .bind(object.last_modified.0)
    .execute(connection)
    .await?;
    Ok(replaced)
}

impl Object {
    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: row::text(found, "key")?,
            etag: row::text(found, "etag")?,
            size: row::unsigned(found, "size")?,
            content_type: row::optional_text(found, "content_type")?,
            metadata: row::text(found, "metadata")?,
            blob: row::text(found, "blob")?,
            last_modified: row::time(found, "last_modified")?,
        })
    }
}
