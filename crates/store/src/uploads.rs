//! Multipart uploads: parts that become one object when the upload is completed.

use crate::buckets::require_bucket;
use crate::database::{Connection, Row};
use crate::objects::upsert;
use crate::{Listed, Object, Page, Store, StoreError, UnixMicros, row};

/// An upload that has been begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, unique across buckets.
    pub id: String,
    /// Where the object will be.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The object's media type, if one was given.
    pub content_type: Option<String>,
    /// The object's metadata, as JSON text.
    pub metadata: String,
    /// When it was begun.
    pub created_at: UnixMicros,
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, which orders the parts.
    pub number: u32,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its size in bytes.
    pub size: u64,
    /// The file that holds its content.
    pub blob: String,
    /// When it was put.
    pub last_modified: UnixMicros,
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket, or when the database fails.
    pub async fn create_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        require_bucket(&mut transaction, &upload.bucket).await?;
        sqlx::query(
            "INSERT INTO upload (upload_id, bucket, key, content_type, metadata, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&upload.id)
        .bind(&upload.bucket)
        .bind(&upload.key)
        .bind(&upload.content_type)
        .bind(&upload.metadata)
        .bind(upload.created_at.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An upload of this object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
        require_upload(&mut *self.read().await?, bucket, key, id).await
    }

    /// The unfinished uploads of a bucket, by key and id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the bucket, or when the database fails.
    pub async fn uploads(
        &self,
        bucket: &str,
        page: &Page<(String, String)>,
    ) -> Result<Listed<Upload, (String, String)>, StoreError> {
        let mut transaction = self.read().await?;
        require_bucket(&mut transaction, bucket).await?;
        let (key, id) = page.after.as_ref().map_or(("", ""), |(key, id)| (key, id));
        let rows = sqlx::query(
            "SELECT * FROM upload WHERE bucket = $1 AND (key > $2 OR (key = $2 AND upload_id > $3))
             ORDER BY key, upload_id LIMIT $4",
        )
        .bind(bucket)
        .bind(key)
        .bind(id)
        .bind(page.fetch())
        .fetch_all(&mut *transaction)
        .await?;
        let items = rows.iter().map(Upload::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Upload| (item.key.clone(), item.id.clone())))
    }

    /// Puts a part in place of one with the same number. Returns the blob of the one replaced, to be deleted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the upload, or when the database fails.
    pub async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        part: &Part,
    ) -> Result<Option<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_upload(&mut transaction, bucket, key, id).await?;
        let replaced =
            sqlx::query_scalar("SELECT blob FROM upload_part WHERE upload_id = $1 AND part_number = $2")
                .bind(id)
                .bind(i64::from(part.number))
                .fetch_optional(&mut *transaction)
                .await?;
        sqlx::query(
            "INSERT INTO upload_part (upload_id, part_number, etag, size, blob, last_modified)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (upload_id, part_number) DO UPDATE
             SET etag = excluded.etag, size = excluded.size, blob = excluded.blob,
                 last_modified = excluded.last_modified",
        )
        .bind(id)
        .bind(i64::from(part.number))
        .bind(&part.etag)
        .bind(row::signed(part.size))
        .bind(&part.blob)
        .bind(part.last_modified.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(replaced)
    }

    /// The parts of an upload by number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the upload, or when the database fails.
    pub async fn parts(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        page: &Page<u32>,
    ) -> Result<Listed<Part, u32>, StoreError> {
        let mut transaction = self.read().await?;
        require_upload(&mut transaction, bucket, key, id).await?;
        let rows = sqlx::query(
            "SELECT * FROM upload_part WHERE upload_id = $1 AND part_number > $2 ORDER BY part_number LIMIT $3",
        )
        .bind(id)
        .bind(page.after.map_or(-1, i64::from))
        .bind(page.fetch())
        .fetch_all(&mut *transaction)
        .await?;
        let items = rows.iter().map(Part::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Part| item.number))
    }

    /// Ends an upload with its object, whose blob has been made from the parts. Returns the blobs that are
    /// needed no more: those of all parts, and of an object that was replaced.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the upload, or when the database fails.
    pub async fn complete_upload(
        &self,
        bucket: &str,
        id: &str,
        object: &Object,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_upload(&mut transaction, bucket, &object.key, id).await?;
        let mut blobs = delete_upload(&mut transaction, id).await?;
        blobs.extend(upsert(&mut transaction, bucket, object).await?);
        transaction.commit().await?;
        Ok(blobs)
    }

    /// Ends an upload without an object. Returns the blobs of its parts, to be deleted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the upload, or when the database fails.
    pub async fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_upload(&mut transaction, bucket, key, id).await?;
        let blobs = delete_upload(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(blobs)
    }
}

async fn require_upload(
    connection: &mut Connection,
    bucket: &str,
    key: &str,
    id: &str,
) -> Result<Upload, StoreError> {
    let found = sqlx::query("SELECT * FROM upload WHERE upload_id = $1 AND bucket = $2 AND key = $3")
        .bind(id)
        .bind(bucket)
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Upload::from_row(&found.ok_or(StoreError::NotFound("the upload"))?)
}

async fn delete_upload(connection: &mut Connection, id: &str) -> Result<Vec<String>, StoreError> {
    let blobs = sqlx::query_scalar("SELECT blob FROM upload_part WHERE upload_id = $1")
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    // Parts go with their upload.
    sqlx::query("DELETE FROM upload WHERE upload_id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(blobs)
}

impl Upload {
    fn from_row(found: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row::text(found, "upload_id")?,
            bucket: row::text(found, "bucket")?,
            key: row::text(found, "key")?,
            content_type: row::optional_text(found, "content_type")?,
            metadata: row::text(found, "metadata")?,
            created_at: row::time(found, "created_at")?,
        })
    }
}

impl Part {
    fn from_row(found: &Row) -> Result<Self, StoreError> {
        let column = "part_number";
        Ok(Self {
            number: row::number(found, column)?
                .try_into()
                .map_err(|_| StoreError::Corrupt { column })?,
            etag: row::text(found, "etag")?,
            size: row::unsigned(found, "size")?,
            blob: row::text(found, "blob")?,
            last_modified: row::time(found, "last_modified")?,
        })
    }
}
