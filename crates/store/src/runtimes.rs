//! Runtimes: made, found and listed.

use coracle_types::{
    AccountId, EndpointName, Region, ResourceStatus, RuntimeArn, RuntimeId, RuntimeName, VersionNumber,
};
use serde::{Deserialize, Serialize};

use crate::database::{Connection, Row};
use crate::error::unique;
use crate::idempotency::{record, replayed};
use crate::tags::insert_tags;
use crate::versions::insert_version;
use crate::{
    Applied, Endpoint, Idempotency, Listed, Page, Store, StoreError, Tags, UnixMicros, Version, row,
};

/// Whose resources are meant. A resource of another owner does not exist for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The account.
    pub account: AccountId,
    /// The region within it.
    pub region: Region,
}

/// A runtime without its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its id, unique across owners.
    pub id: RuntimeId,
    /// Whose it is.
    pub owner: Owner,
    /// Its name, unique for its owner.
    pub name: RuntimeName,
    /// Set while the runtime is being deleted, or after that failed.
    pub deletion: Option<Deletion>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it or its newest version last changed.
    pub updated_at: UnixMicros,
}

/// How the deletion of a runtime is going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// It is being taken down.
    Running,
    /// It could not be taken down, for this reason; deletion may be tried again.
    Failed(String),
}

impl Runtime {
    /// Its ARN.
    pub fn arn(&self) -> RuntimeArn {
        RuntimeArn {
            region: self.owner.region.clone(),
            account: self.owner.account.clone(),
            runtime: self.id.clone(),
        }
    }
}

/// A runtime and one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// The runtime.
    pub runtime: Runtime,
    /// The version.
    pub version: Version,
}

impl RuntimeVersion {
    /// The status to show: the version's, unless the whole runtime is being deleted.
    pub fn status(&self) -> ResourceStatus {
        match self.runtime.deletion {
            None => self.version.status,
            Some(Deletion::Running) => ResourceStatus::Deleting,
            Some(Deletion::Failed(_)) => ResourceStatus::DeleteFailed,
        }
    }

    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            runtime: Runtime::from_row(found)?,
            version: Version::from_joined_row(found)?,
        })
    }

    /// Why [`RuntimeVersion::status`] is a failure.
    pub fn failure_reason(&self) -> Option<&str> {
        match &self.runtime.deletion {
            None => self.version.failure_reason.as_deref(),
            Some(Deletion::Running) => None,
            Some(Deletion::Failed(reason)) => Some(reason),
        }
    }
}

/// A runtime to be made.
#[derive(Debug, Clone)]
pub struct NewRuntime {
    /// A fresh id.
    pub id: RuntimeId,
    /// Whose it will be.
    pub owner: Owner,
    /// Its name.
    pub name: RuntimeName,
    /// What version 1 is made of, as JSON text.
    pub configuration: String,
    /// Its tags.
    pub tags: Tags,
}

/// Where a page of runtimes ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeCursor {
    updated_at: UnixMicros,
    id: RuntimeId,
}

impl Store {
    /// Makes a runtime with version 1 and the `DEFAULT` endpoint, all in `CREATING`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`]; [`StoreError::QuotaReached`]; [`StoreError::TooManyTags`];
    /// [`StoreError::TokenMismatch`]; or when the database fails.
    pub async fn create_runtime(
        &self,
        new: &NewRuntime,
        idempotency: Option<&Idempotency<'_, RuntimeVersion>>,
        now: UnixMicros,
    ) -> Result<Applied<RuntimeVersion>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, &new.owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        insert_runtime(&mut transaction, new, now).await?;
        self.quotas().allow_runtime(&mut transaction, &new.owner).await?;
        let runtime = require_runtime(&mut transaction, &new.owner, &new.id).await?;
        let version = Version {
            runtime: new.id.clone(),
            number: VersionNumber::FIRST,
            configuration: new.configuration.clone(),
            resolution: None,
            status: ResourceStatus::Creating,
            failure_reason: None,
            created_at: now,
            updated_at: now,
        };
        insert_version(&mut transaction, &version).await?;
        Endpoint::new(
            &new.id,
            EndpointName::default_endpoint(),
            VersionNumber::FIRST,
            None,
            now,
        )
        .insert(&mut transaction)
        .await?;
        insert_tags(&mut transaction, &runtime.arn().to_string(), &new.tags).await?;
        let created = RuntimeVersion { runtime, version };
        record(&mut transaction, &new.owner, idempotency, &created, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(created))
    }

    /// A runtime with one of its versions, by default the newest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database fails.
    pub async fn runtime(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        version: Option<VersionNumber>,
    ) -> Result<RuntimeVersion, StoreError> {
        let mut transaction = self.read().await?;
        let runtime = require_runtime(&mut transaction, owner, id).await?;
        let version = match version {
            Some(number) => crate::versions::require_version(&mut transaction, id, number).await?,
            None => crate::versions::newest_version(&mut transaction, id).await?,
        };
        Ok(RuntimeVersion { runtime, version })
    }

    /// The runtimes of an owner, each with its newest version, last changed first. Runtimes that come, go or
    /// change while the list is being paged through do not repeat or hide any other.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runtimes(
        &self,
        owner: &Owner,
        page: &Page<RuntimeCursor>,
    ) -> Result<Listed<RuntimeVersion, RuntimeCursor>, StoreError> {
        let mut transaction = self.read().await?;
        let after = page.after.as_ref();
        let rows = sqlx::query(
            "SELECT * FROM runtime_version r
             WHERE account = $1 AND region = $2
               AND version = (SELECT MAX(version) FROM version v WHERE v.runtime_id = r.runtime_id)
               AND (updated_at < $3 OR (updated_at = $3 AND runtime_id < $4))
             ORDER BY updated_at DESC, runtime_id DESC LIMIT $5",
        )
        .bind(owner.account.as_str())
        .bind(owner.region.as_str())
        .bind(after.map_or(i64::MAX, |cursor| cursor.updated_at.0))
        .bind(after.map_or("", |cursor| cursor.id.as_str()))
        .bind(page.fetch())
        .fetch_all(&mut *transaction)
        .await?;
        let items = rows
            .iter()
            .map(RuntimeVersion::from_row)
            .collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &RuntimeVersion| RuntimeCursor {
            updated_at: item.runtime.updated_at,
            id: item.runtime.id.clone(),
        }))
    }
}

async fn insert_runtime(
    connection: &mut Connection,
    new: &NewRuntime,
    now: UnixMicros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO runtime (runtime_id, account, region, name, next_version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, 2, $5, $5)",
    )
    .bind(new.id.as_str())
    .bind(new.owner.account.as_str())
    .bind(new.owner.region.as_str())
    .bind(new.name.as_str())
    .bind(now.0)
    .execute(connection)
    .await
    .map_err(|error| unique(error, StoreError::NameTaken))?;
    Ok(())
}

/// The runtime, if it is this owner's.
pub(crate) async fn require_runtime(
    connection: &mut Connection,
    owner: &Owner,
    id: &RuntimeId,
) -> Result<Runtime, StoreError> {
    let found = sqlx::query("SELECT * FROM runtime WHERE runtime_id = $1 AND account = $2 AND region = $3")
        .bind(id.as_str())
        .bind(owner.account.as_str())
        .bind(owner.region.as_str())
        .fetch_optional(connection)
        .await?;
    Runtime::from_row(&found.ok_or(StoreError::NotFound("the runtime"))?)
}

/// The runtime, if it is this owner's and not being deleted.
pub(crate) async fn require_standing_runtime(
    connection: &mut Connection,
    owner: &Owner,
    id: &RuntimeId,
) -> Result<Runtime, StoreError> {
    let runtime = require_runtime(connection, owner, id).await?;
    match runtime.deletion {
        None => Ok(runtime),
        Some(Deletion::Running) => Err(StoreError::WrongStatus(ResourceStatus::Deleting)),
        Some(Deletion::Failed(_)) => Err(StoreError::WrongStatus(ResourceStatus::DeleteFailed)),
    }
}

/// Marks the runtime as changed.
pub(crate) async fn touch(
    connection: &mut Connection,
    id: &RuntimeId,
    now: UnixMicros,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runtime SET updated_at = $2 WHERE runtime_id = $1")
        .bind(id.as_str())
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}

impl Runtime {
    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        let reason = row::optional_text(found, "deletion_error")?;
        let deletion = match row::optional_text(found, "deletion")?.as_deref() {
            None => None,
            Some("DELETING") => Some(Deletion::Running),
            Some("DELETE_FAILED") => Some(Deletion::Failed(reason.unwrap_or_default())),
            Some(_) => return Err(StoreError::Corrupt { column: "deletion" }),
        };
        Ok(Self {
            id: row::parsed(found, "runtime_id")?,
            owner: Owner {
                account: row::parsed(found, "account")?,
                region: row::parsed(found, "region")?,
            },
            name: row::parsed(found, "name")?,
            deletion,
            created_at: row::time(found, "created_at")?,
            updated_at: row::time(found, "updated_at")?,
        })
    }
}
