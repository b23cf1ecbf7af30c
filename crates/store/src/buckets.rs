//! Buckets of the S3 side. Their names are shared by all accounts and regions.

use coracle_types::{AccountId, Region};

use crate::database::{Connection, Row};
use crate::{Listed, Owner, Page, Store, StoreError, UnixMicros, row};

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// When it was made.
    pub created_at: UnixMicros,
}

impl Store {
    /// Makes a bucket.
    ///
    /// # Errors
    /// [`StoreError::BucketExists`], or when the database fails.
    pub async fn create_bucket(&self, bucket: &Bucket) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        if let Some(existing) = find_bucket(&mut transaction, &bucket.name).await? {
            return Err(StoreError::BucketExists {
                yours: existing.owner == bucket.owner,
            });
        }
        sqlx::query("INSERT INTO bucket (name, account, region, created_at) VALUES ($1, $2, $3, $4)")
            .bind(&bucket.name)
            .bind(bucket.owner.account.as_str())
            .bind(bucket.owner.region.as_str())
            .bind(bucket.created_at.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A bucket, whoever's it is; whether the caller may know of it is for the caller of this to say.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, StoreError> {
        require_bucket(&mut *self.read().await?, name).await
    }

    /// The buckets of an account in all regions, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn buckets(
        &self,
        account: &AccountId,
        page: &Page<String>,
    ) -> Result<Listed<Bucket, String>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM bucket WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(account.as_str())
                .bind(page.after.as_deref().unwrap_or(""))
                .bind(page.fetch())
                .fetch_all(&mut *self.read().await?)
                .await?;
        let items = rows.iter().map(Bucket::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Bucket| item.name.clone()))
    }

    /// Deletes an empty bucket together with its unfinished uploads. Returns the blobs of their parts, to be
    /// deleted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::BucketNotEmpty`]; or when the database fails.
    pub async fn delete_bucket(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.write().await?;
        require_bucket(&mut transaction, name).await?;
        let object: Option<i64> = sqlx::query_scalar("SELECT 1 FROM object WHERE bucket = $1 LIMIT 1")
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await?;
        if object.is_some() {
            return Err(StoreError::BucketNotEmpty);
        }
        let blobs = sqlx::query_scalar(
            "SELECT p.blob FROM upload_part p JOIN upload u ON u.upload_id = p.upload_id WHERE u.bucket = $1",
        )
        .bind(name)
        .fetch_all(&mut *transaction)
        .await?;
        // Parts go with their uploads.
        sqlx::query("DELETE FROM upload WHERE bucket = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM bucket WHERE name = $1")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(blobs)
    }
}

async fn find_bucket(connection: &mut Connection, name: &str) -> Result<Option<Bucket>, StoreError> {
    let found = sqlx::query("SELECT * FROM bucket WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(Bucket::from_row).transpose()
}

pub(crate) async fn require_bucket(connection: &mut Connection, name: &str) -> Result<Bucket, StoreError> {
    find_bucket(connection, name)
        .await?
        .ok_or(StoreError::NotFound("the bucket"))
}

impl Bucket {
    fn from_row(found: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            name: row::text(found, "name")?,
            owner: Owner {
                account: row::parsed::<AccountId>(found, "account")?,
                region: row::parsed::<Region>(found, "region")?,
            },
            created_at: row::time(found, "created_at")?,
        })
    }
}
