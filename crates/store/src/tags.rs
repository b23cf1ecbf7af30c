//! Tags of runtimes and endpoints.

use std::collections::BTreeMap;

use coracle_types::InvocationTarget;

use crate::annotations::require_resource;
use crate::database::Connection;
use crate::{Store, StoreError, row};

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Most tags of one resource.
pub const MAX_TAGS: usize = 50;

impl Store {
    /// The tags of a runtime or an endpoint.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn tags(&self, resource: &InvocationTarget) -> Result<Tags, StoreError> {
        let mut transaction = self.read().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        all_tags(&mut transaction, &arn).await
    }

    /// The values of one tag on everything that has it, by ARN.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tagged(&self, key: &str) -> Result<Tags, StoreError> {
        let rows = sqlx::query("SELECT resource_arn, tag_value FROM tag WHERE tag_key = $1")
            .bind(key)
            .fetch_all(&mut *self.read().await?)
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "resource_arn")?, row::text(found, "tag_value")?)))
            .collect()
    }

    /// Adds tags or replaces their values; other tags stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::TooManyTags`]; or when the database fails.
    pub async fn tag(&self, resource: &InvocationTarget, tags: &Tags) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        insert_tags(&mut transaction, &arn, tags).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Removes the tags with these keys; keys that are not there are ignored.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn untag(&self, resource: &InvocationTarget, keys: &[String]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        for key in keys {
            sqlx::query("DELETE FROM tag WHERE resource_arn = $1 AND tag_key = $2")
                .bind(&arn)
                .bind(key)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn all_tags(connection: &mut Connection, arn: &str) -> Result<Tags, StoreError> {
    let tags: Vec<(String, String)> =
        sqlx::query_as("SELECT tag_key, tag_value FROM tag WHERE resource_arn = $1")
            .bind(arn)
            .fetch_all(connection)
            .await?;
    Ok(tags.into_iter().collect())
}

pub(crate) async fn insert_tags(
    connection: &mut Connection,
    arn: &str,
    tags: &Tags,
) -> Result<(), StoreError> {
    for (key, value) in tags {
        sqlx::query(
            "INSERT INTO tag (resource_arn, tag_key, tag_value) VALUES ($1, $2, $3)
             ON CONFLICT (resource_arn, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
        )
        .bind(arn)
        .bind(key)
        .bind(value)
        .execute(&mut *connection)
        .await?;
    }
    if all_tags(connection, arn).await?.len() > MAX_TAGS {
        return Err(StoreError::TooManyTags);
    }
    Ok(())
}
