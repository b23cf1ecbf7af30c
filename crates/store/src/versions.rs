//! Versions of a runtime: immutable but for their status.

use coracle_types::{EndpointName, ResourceStatus, RuntimeId, VersionNumber};

use crate::database::{Connection, Row};
use crate::idempotency::{record, replayed};
use crate::runtimes::{require_runtime, require_standing_runtime, touch};
use crate::{Applied, Idempotency, Listed, Owner, Page, RuntimeVersion, Store, StoreError, UnixMicros, row};

/// One version of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Whose version it is.
    pub runtime: RuntimeId,
    /// Which it is.
    pub number: VersionNumber,
    /// What it is made of, as the JSON text it was made with.
    pub configuration: String,
    /// What making it ready found out and pinned (digests, say), as JSON text; `None` until it is ready.
    pub resolution: Option<String>,
    /// Its status.
    pub status: ResourceStatus,
    /// Why its status is a failure, for the caller.
    pub failure_reason: Option<String>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When its status last changed.
    pub updated_at: UnixMicros,
}

impl Store {
    /// Makes the next version of a runtime and sends the `DEFAULT` endpoint on its way to it, both in
    /// `UPDATING`. What is live stays live.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`] unless the newest version allows an update;
    /// [`StoreError::VersionsExhausted`]; [`StoreError::QuotaReached`]; [`StoreError::TokenMismatch`]; or when
    /// the database fails.
    pub async fn create_version(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        configuration: &str,
        idempotency: Option<&Idempotency<'_, RuntimeVersion>>,
        now: UnixMicros,
    ) -> Result<Applied<RuntimeVersion>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        let mut runtime = require_standing_runtime(&mut transaction, owner, id).await?;
        let newest = newest_version(&mut transaction, id).await?;
        if !newest.status.allows_update() {
            return Err(StoreError::WrongStatus(newest.status));
        }
        let version = Version {
            runtime: id.clone(),
            number: take_number(&mut transaction, id).await?,
            configuration: configuration.to_owned(),
            resolution: None,
            status: ResourceStatus::Updating,
            failure_reason: None,
            created_at: now,
            updated_at: now,
        };
        insert_version(&mut transaction, &version).await?;
        self.quotas().allow_version(&mut transaction, owner, id).await?;
        retarget_default(&mut transaction, id, version.number, now).await?;
        touch(&mut transaction, id, now).await?;
        runtime.updated_at = now;
        let created = RuntimeVersion { runtime, version };
        record(&mut transaction, owner, idempotency, &created, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(created))
    }

    /// Ends `CREATING` or `UPDATING` of a version and of the `DEFAULT` endpoint that waits for it: ready, with
    /// what was found out on the way, or failed for a reason. After a failure what was live stays live.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`] when the version has been finished already; or
    /// when the database fails.
    pub async fn finish_version(
        &self,
        id: &RuntimeId,
        number: VersionNumber,
        outcome: Result<&str, &str>,
        now: UnixMicros,
    ) -> Result<Version, StoreError> {
        let mut transaction = self.write().await?;
        let version = require_version(&mut transaction, id, number).await?;
        let status = finished(version.status, outcome.is_ok())?;
        sqlx::query(
            "UPDATE version SET status = $3, resolution = $4, failure_reason = $5, updated_at = $6
             WHERE runtime_id = $1 AND version = $2",
        )
        .bind(id.as_str())
        .bind(i64::from(number.get()))
        .bind(status.as_str())
        .bind(outcome.ok())
        .bind(outcome.err())
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE endpoint SET status = $4, failure_reason = $5, updated_at = $6,
                    live_version = CASE WHEN $4 = 'READY' THEN target_version ELSE live_version END
             WHERE runtime_id = $1 AND name = $2 AND target_version = $3 AND status IN ('CREATING', 'UPDATING')",
        )
        .bind(id.as_str())
        .bind(EndpointName::DEFAULT)
        .bind(i64::from(number.get()))
        .bind(status.as_str())
        .bind(outcome.err())
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        touch(&mut transaction, id, now).await?;
        let version = require_version(&mut transaction, id, number).await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// What all versions that have been made ready pinned, as JSON texts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resolutions(&self) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.read().await?;
        let found =
            sqlx::query_scalar("SELECT DISTINCT resolution FROM version WHERE resolution IS NOT NULL")
                .fetch_all(&mut *transaction)
                .await?;
        Ok(found)
    }

    /// The versions of a runtime, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn versions(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        page: &Page<VersionNumber>,
    ) -> Result<Listed<RuntimeVersion, VersionNumber>, StoreError> {
        let mut transaction = self.read().await?;
        let runtime = require_runtime(&mut transaction, owner, id).await?;
        let rows = sqlx::query(
            "SELECT * FROM version WHERE runtime_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3",
        )
        .bind(id.as_str())
        .bind(page.after.map_or(i64::MAX, |number| i64::from(number.get())))
        .bind(page.fetch())
        .fetch_all(&mut *transaction)
        .await?;
        let items = rows
            .iter()
            .map(|found| {
                Ok(RuntimeVersion {
                    runtime: runtime.clone(),
                    version: Version::from_row(found)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(page.cut(items, |item: &RuntimeVersion| item.version.number))
    }

    /// Deletes one version. Its number is not used again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`] while it is being made; [`StoreError::VersionInUse`];
    /// or when the database fails.
    pub async fn delete_version(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        number: VersionNumber,
        idempotency: Option<&Idempotency<'_, ()>>,
        now: UnixMicros,
    ) -> Result<Applied<()>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        require_standing_runtime(&mut transaction, owner, id).await?;
        let version = require_version(&mut transaction, id, number).await?;
        if !version.status.allows_delete() {
            return Err(StoreError::WrongStatus(version.status));
        }
        let (endpoints, others): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM endpoint
                     WHERE runtime_id = $1 AND (live_version = $2 OR target_version = $2)),
                    (SELECT COUNT(*) FROM version WHERE runtime_id = $1 AND version <> $2)",
        )
        .bind(id.as_str())
        .bind(i64::from(number.get()))
        .fetch_one(&mut *transaction)
        .await?;
        if endpoints > 0 || others == 0 {
            return Err(StoreError::VersionInUse);
        }
        sqlx::query("DELETE FROM version WHERE runtime_id = $1 AND version = $2")
            .bind(id.as_str())
            .bind(i64::from(number.get()))
            .execute(&mut *transaction)
            .await?;
        record(&mut transaction, owner, idempotency, &(), now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(()))
    }
}

/// The status that ends `CREATING` or `UPDATING`.
pub(crate) fn finished(status: ResourceStatus, well: bool) -> Result<ResourceStatus, StoreError> {
    match (status, well) {
        (ResourceStatus::Creating | ResourceStatus::Updating, true) => Ok(ResourceStatus::Ready),
        (ResourceStatus::Creating, false) => Ok(ResourceStatus::CreateFailed),
        (ResourceStatus::Updating, false) => Ok(ResourceStatus::UpdateFailed),
        (status, _) => Err(StoreError::WrongStatus(status)),
    }
}

async fn take_number(connection: &mut Connection, id: &RuntimeId) -> Result<VersionNumber, StoreError> {
    let number: i64 = sqlx::query_scalar(
        "UPDATE runtime SET next_version = next_version + 1 WHERE runtime_id = $1 RETURNING next_version - 1",
    )
    .bind(id.as_str())
    .fetch_one(connection)
    .await?;
    u32::try_from(number)
        .ok()
        .and_then(VersionNumber::new)
        .ok_or(StoreError::VersionsExhausted)
}

pub(crate) async fn insert_version(connection: &mut Connection, version: &Version) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO version (runtime_id, version, configuration, status, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(version.runtime.as_str())
    .bind(i64::from(version.number.get()))
    .bind(&version.configuration)
    .bind(version.status.as_str())
    .bind(version.created_at.0)
    .bind(version.updated_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn retarget_default(
    connection: &mut Connection,
    id: &RuntimeId,
    target: VersionNumber,
    now: UnixMicros,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE endpoint SET target_version = $3, status = 'UPDATING', failure_reason = NULL, updated_at = $4
         WHERE runtime_id = $1 AND name = $2",
    )
    .bind(id.as_str())
    .bind(EndpointName::DEFAULT)
    .bind(i64::from(target.get()))
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn require_version(
    connection: &mut Connection,
    id: &RuntimeId,
    number: VersionNumber,
) -> Result<Version, StoreError> {
    let found = sqlx::query("SELECT * FROM version WHERE runtime_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(i64::from(number.get()))
        .fetch_optional(connection)
        .await?;
    Version::from_row(&found.ok_or(StoreError::NotFound("the version"))?)
}

pub(crate) async fn newest_version(
    connection: &mut Connection,
    id: &RuntimeId,
) -> Result<Version, StoreError> {
    let found = sqlx::query("SELECT * FROM version WHERE runtime_id = $1 ORDER BY version DESC LIMIT 1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Version::from_row(&found.ok_or(StoreError::NotFound("the runtime"))?)
}

impl Version {
    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        Self::read(found, "created_at", "updated_at")
    }

    /// From a row of the view `runtime_version`.
    pub(crate) fn from_joined_row(found: &Row) -> Result<Self, StoreError> {
        Self::read(found, "version_created_at", "version_updated_at")
    }

    fn read(found: &Row, created_at: &'static str, updated_at: &'static str) -> Result<Self, StoreError> {
        Ok(Self {
            runtime: row::parsed(found, "runtime_id")?,
            number: row::version(found, "version")?,
            configuration: row::text(found, "configuration")?,
            resolution: row::optional_text(found, "resolution")?,
            status: row::parsed(found, "status")?,
            failure_reason: row::optional_text(found, "failure_reason")?,
            created_at: row::time(found, created_at)?,
            updated_at: row::time(found, updated_at)?,
        })
    }
}
