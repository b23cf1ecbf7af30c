//! Deleting a whole runtime: `DELETING` while its sessions are stopped and its files removed, then gone, or
//! `DELETE_FAILED`. From the first moment on no session of it can be claimed.

use coracle_types::{EndpointArn, EndpointName, ResourceStatus, RuntimeId};

use crate::annotations::delete_annotations;
use crate::idempotency::{record, replayed};
use crate::runtimes::{require_runtime, touch};
use crate::versions::newest_version;
use crate::{Applied, Deletion, Idempotency, Owner, RuntimeVersion, Store, StoreError, UnixMicros};

impl Store {
    /// Begins to delete a runtime with all its versions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`]; [`StoreError::EndpointsExist`]; or when the
    /// database fails.
    pub async fn begin_delete_runtime(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        idempotency: Option<&Idempotency<'_, RuntimeVersion>>,
        now: UnixMicros,
    ) -> Result<Applied<RuntimeVersion>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        let runtime = require_runtime(&mut transaction, owner, id).await?;
        let version = newest_version(&mut transaction, id).await?;
        let mut begun = RuntimeVersion { runtime, version };
        if !begun.status().allows_delete() {
            return Err(StoreError::WrongStatus(begun.status()));
        }
        let others: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM endpoint WHERE runtime_id = $1 AND name <> $2")
                .bind(id.as_str())
                .bind(EndpointName::DEFAULT)
                .fetch_one(&mut *transaction)
                .await?;
        if others > 0 {
            return Err(StoreError::EndpointsExist);
        }
        sqlx::query(
            "UPDATE runtime SET deletion = $2, deletion_error = NULL, updated_at = $3 WHERE runtime_id = $1",
        )
        .bind(id.as_str())
        .bind(ResourceStatus::Deleting.as_str())
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        begun.runtime.deletion = Some(Deletion::Running);
        begun.runtime.updated_at = now;
        record(&mut transaction, owner, idempotency, &begun, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(begun))
    }

    /// Ends the deletion of a runtime: it is gone with all that belonged to it, and its name is free again; or
    /// it remains as `DELETE_FAILED`. Sessions that are still recorded are ended with the reason `deleted`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`] unless it is `DELETING`; or when the database fails.
    pub async fn finish_delete_runtime(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        outcome: Result<(), &str>,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let runtime = require_runtime(&mut transaction, owner, id).await?;
        let version = newest_version(&mut transaction, id).await?;
        let current = RuntimeVersion { runtime, version };
        if current.status() != ResourceStatus::Deleting {
            return Err(StoreError::WrongStatus(current.status()));
        }
        if let Err(reason) = outcome {
            sqlx::query("UPDATE runtime SET deletion = $2, deletion_error = $3 WHERE runtime_id = $1")
                .bind(id.as_str())
                .bind(ResourceStatus::DeleteFailed.as_str())
                .bind(reason)
                .execute(&mut *transaction)
                .await?;
            touch(&mut transaction, id, now).await?;
        } else {
            let arn = current.runtime.arn();
            delete_annotations(&mut transaction, &arn.to_string()).await?;
            let default = EndpointArn {
                runtime: arn,
                endpoint: EndpointName::default_endpoint(),
            };
            delete_annotations(&mut transaction, &default.to_string()).await?;
            crate::sessions::end_sessions_of(&mut transaction, id, "deleted", now).await?;
            // Versions and endpoints go with it.
            sqlx::query("DELETE FROM runtime WHERE runtime_id = $1")
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
