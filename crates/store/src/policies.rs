//! Resource policies of runtimes and endpoints, as the text they were put with.

use coracle_types::InvocationTarget;

use crate::annotations::require_resource;
use crate::{Store, StoreError};

impl Store {
    /// The policy of a runtime or an endpoint, if it has one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the resource, or when the database fails.
    pub async fn policy(&self, resource: &InvocationTarget) -> Result<Option<String>, StoreError> {
        let mut transaction = self.read().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        let found = sqlx::query_scalar("SELECT policy FROM resource_policy WHERE resource_arn = $1")
            .bind(arn)
            .fetch_optional(&mut *transaction)
            .await?;
        Ok(found)
    }

    /// Gives a runtime or an endpoint this policy, in place of the one it has.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn put_policy(&self, resource: &InvocationTarget, policy: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        sqlx::query(
            "INSERT INTO resource_policy (resource_arn, policy) VALUES ($1, $2)
             ON CONFLICT (resource_arn) DO UPDATE SET policy = excluded.policy",
        )
        .bind(arn)
        .bind(policy)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Removes the policy of a runtime or an endpoint. One that is not there is gone already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the resource, or when the database fails.
    pub async fn delete_policy(&self, resource: &InvocationTarget) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let arn = require_resource(&mut transaction, resource).await?;
        sqlx::query("DELETE FROM resource_policy WHERE resource_arn = $1")
            .bind(arn)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
