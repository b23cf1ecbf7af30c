//! Runtime endpoints: named pointers to versions. `DEFAULT` is moved by its runtime alone; see `versions`.

use coracle_types::{EndpointArn, EndpointName, ResourceStatus, RuntimeId, VersionNumber, random_suffix};

use crate::annotations::delete_annotations;
use crate::database::{Connection, Row};
use crate::error::unique;
use crate::idempotency::{record, replayed};
use crate::runtimes::{require_runtime, require_standing_runtime};
use crate::storages::forget_storages_of;
use crate::tags::insert_tags;
use crate::versions::{finished, newest_version, require_version};
use crate::{Applied, Idempotency, Listed, Owner, Page, Runtime, Store, StoreError, Tags, UnixMicros, row};

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The runtime it belongs to.
    pub runtime: RuntimeId,
    /// Its name.
    pub name: EndpointName,
    /// The random end of its id, which is `<name>-<suffix>`.
    pub suffix: String,
    /// The version it serves; `None` until its first is ready.
    pub live_version: Option<VersionNumber>,
    /// The version it is to serve.
    pub target_version: VersionNumber,
    /// What it is for.
    pub description: Option<String>,
    /// Its status.
    pub status: ResourceStatus,
    /// Why its status is a failure, for the caller.
    pub failure_reason: Option<String>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it last changed.
    pub updated_at: UnixMicros,
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Its name.
    pub name: EndpointName,
    /// The version to serve; `None` for the newest at this moment.
    pub version: Option<VersionNumber>,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// A change of an endpoint; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    /// The version to serve from now on.
    pub version: Option<VersionNumber>,
    /// What it is for.
    pub description: Option<String>,
}

impl Store {
    /// Makes an endpoint in `CREATING`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the runtime or the version; [`StoreError::WrongStatus`] when the runtime is
    /// being deleted; [`StoreError::EndpointExists`]; [`StoreError::QuotaReached`]; [`StoreError::TooManyTags`];
    /// [`StoreError::TokenMismatch`]; or when the database fails.
    pub async fn create_endpoint(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        new: &NewEndpoint,
        idempotency: Option<&Idempotency<'_, Endpoint>>,
        now: UnixMicros,
    ) -> Result<Applied<Endpoint>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        let runtime = require_standing_runtime(&mut transaction, owner, id).await?;
        let target = match new.version {
            Some(number) => require_version(&mut transaction, id, number).await?,
            None => newest_version(&mut transaction, id).await?,
        };
        let endpoint = Endpoint::new(id, new.name.clone(), target.number, new.description.clone(), now);
        endpoint.insert(&mut transaction).await?;
        self.quotas().allow_endpoint(&mut transaction, owner, id).await?;
        let arn = EndpointArn {
            runtime: runtime.arn(),
            endpoint: new.name.clone(),
        };
        insert_tags(&mut transaction, &arn.to_string(), &new.tags).await?;
        record(&mut transaction, owner, idempotency, &endpoint, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(endpoint))
    }

    /// Begins to change an endpoint, which is in `UPDATING` until [`Store::finish_endpoint`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the runtime, the endpoint or the version; [`StoreError::DefaultEndpoint`];
    /// [`StoreError::WrongStatus`]; [`StoreError::TokenMismatch`]; or when the database fails.
    pub async fn update_endpoint(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        name: &EndpointName,
        change: &EndpointChange,
        idempotency: Option<&Idempotency<'_, Endpoint>>,
        now: UnixMicros,
    ) -> Result<Applied<Endpoint>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        require_standing_runtime(&mut transaction, owner, id).await?;
        let mut endpoint = require_named_endpoint(&mut transaction, id, name).await?;
        if !endpoint.status.allows_update() {
            return Err(StoreError::WrongStatus(endpoint.status));
        }
        if let Some(number) = change.version {
            endpoint.target_version = require_version(&mut transaction, id, number).await?.number;
        }
        if change.description.is_some() {
            endpoint.description.clone_from(&change.description);
        }
        endpoint.status = ResourceStatus::Updating;
        endpoint.failure_reason = None;
        endpoint.updated_at = now;
        endpoint.save(&mut transaction).await?;
        record(&mut transaction, owner, idempotency, &endpoint, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(endpoint))
    }

    /// Ends `CREATING` or `UPDATING` of an endpoint other than `DEFAULT`: it serves its target from now on, or
    /// failed for a reason and serves what it did.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::DefaultEndpoint`]; [`StoreError::WrongStatus`] when it has been
    /// finished already; or when the database fails.
    pub async fn finish_endpoint(
        &self,
        id: &RuntimeId,
        name: &EndpointName,
        outcome: Result<(), &str>,
        now: UnixMicros,
    ) -> Result<Endpoint, StoreError> {
        let mut transaction = self.write().await?;
        let mut endpoint = require_named_endpoint(&mut transaction, id, name).await?;
        endpoint.status = finished(endpoint.status, outcome.is_ok())?;
        endpoint.failure_reason = outcome.err().map(str::to_owned);
        if outcome.is_ok() {
            endpoint.live_version = Some(endpoint.target_version);
        }
        endpoint.updated_at = now;
        endpoint.save(&mut transaction).await?;
        transaction.commit().await?;
        Ok(endpoint)
    }

    /// An endpoint.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the runtime or the endpoint, or when the database fails.
    pub async fn endpoint(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        name: &EndpointName,
    ) -> Result<Endpoint, StoreError> {
        let mut transaction = self.read().await?;
        require_runtime(&mut transaction, owner, id).await?;
        require_endpoint(&mut transaction, id, name).await
    }

    /// The endpoints of a runtime by name. A runtime that does not exist has none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn endpoints(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        page: &Page<EndpointName>,
    ) -> Result<Listed<Endpoint, EndpointName>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.* FROM endpoint e JOIN runtime r ON r.runtime_id = e.runtime_id
             WHERE e.runtime_id = $1 AND r.account = $2 AND r.region = $3 AND e.name > $4
             ORDER BY e.name LIMIT $5",
        )
        .bind(id.as_str())
        .bind(owner.account.as_str())
        .bind(owner.region.as_str())
        .bind(page.after.as_ref().map_or("", EndpointName::as_str))
        .bind(page.fetch())
        .fetch_all(&mut *self.read().await?)
        .await?;
        let items = rows.iter().map(Endpoint::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Endpoint| item.name.clone()))
    }

    /// Every endpoint that serves a version and is not being deleted, with its runtime; of all accounts and regions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn serving_endpoints(&self) -> Result<Vec<(Runtime, Endpoint)>, StoreError> {
        let mut transaction = self.read().await?;
        let runtimes = sqlx::query("SELECT * FROM runtime WHERE deletion IS NULL")
            .fetch_all(&mut *transaction)
            .await?;
        let mut serving = Vec::new();
        for runtime in runtimes.iter().map(Runtime::from_row) {
            let runtime = runtime?;
            let endpoints = sqlx::query(
                "SELECT * FROM endpoint
                 WHERE runtime_id = $1 AND live_version IS NOT NULL AND status <> 'DELETING'",
            )
            .bind(runtime.id.as_str())
            .fetch_all(&mut *transaction)
            .await?;
            for endpoint in endpoints.iter().map(Endpoint::from_row) {
                serving.push((runtime.clone(), endpoint?));
            }
        }
        Ok(serving)
    }

    /// Begins to delete an endpoint, which is in `DELETING` until [`Store::finish_delete_endpoint`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::DefaultEndpoint`]; [`StoreError::WrongStatus`]; or when the
    /// database fails.
    pub async fn begin_delete_endpoint(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        name: &EndpointName,
        idempotency: Option<&Idempotency<'_, Endpoint>>,
        now: UnixMicros,
    ) -> Result<Applied<Endpoint>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(response) = replayed(&mut transaction, owner, idempotency, now).await? {
            return Ok(Applied::Before(response));
        }
        require_runtime(&mut transaction, owner, id).await?;
        let mut endpoint = require_named_endpoint(&mut transaction, id, name).await?;
        if !endpoint.status.allows_delete() {
            return Err(StoreError::WrongStatus(endpoint.status));
        }
        endpoint.status = ResourceStatus::Deleting;
        endpoint.failure_reason = None;
        endpoint.updated_at = now;
        endpoint.save(&mut transaction).await?;
        record(&mut transaction, owner, idempotency, &endpoint, now).await?;
        transaction.commit().await?;
        Ok(Applied::Now(endpoint))
    }

    /// Ends the deletion of an endpoint: it is gone with its tags, or remains as `DELETE_FAILED`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::WrongStatus`] unless it is `DELETING`; or when the database fails.
    pub async fn finish_delete_endpoint(
        &self,
        owner: &Owner,
        id: &RuntimeId,
        name: &EndpointName,
        outcome: Result<(), &str>,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let runtime = require_runtime(&mut transaction, owner, id).await?;
        let mut endpoint = require_named_endpoint(&mut transaction, id, name).await?;
        if endpoint.status != ResourceStatus::Deleting {
            return Err(StoreError::WrongStatus(endpoint.status));
        }
        if let Err(reason) = outcome {
            endpoint.status = ResourceStatus::DeleteFailed;
            endpoint.failure_reason = Some(reason.to_owned());
            endpoint.updated_at = now;
            endpoint.save(&mut transaction).await?;
        } else {
            let arn = EndpointArn {
                runtime: runtime.arn(),
                endpoint: name.clone(),
            };
            delete_annotations(&mut transaction, &arn.to_string()).await?;
            forget_storages_of(&mut transaction, id, name).await?;
            sqlx::query("DELETE FROM endpoint WHERE runtime_id = $1 AND name = $2")
                .bind(id.as_str())
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

pub(crate) async fn require_endpoint(
    connection: &mut Connection,
    id: &RuntimeId,
    name: &EndpointName,
) -> Result<Endpoint, StoreError> {
    let found = sqlx::query("SELECT * FROM endpoint WHERE runtime_id = $1 AND name = $2")
        .bind(id.as_str())
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?;
    Endpoint::from_row(&found.ok_or(StoreError::NotFound("the endpoint"))?)
}

/// An endpoint that may be changed by itself.
async fn require_named_endpoint(
    connection: &mut Connection,
    id: &RuntimeId,
    name: &EndpointName,
) -> Result<Endpoint, StoreError> {
    if name.is_default() {
        return Err(StoreError::DefaultEndpoint);
    }
    require_endpoint(connection, id, name).await
}

impl Endpoint {
    pub(crate) fn new(
        runtime: &RuntimeId,
        name: EndpointName,
        target_version: VersionNumber,
        description: Option<String>,
        now: UnixMicros,
    ) -> Self {
        Self {
            runtime: runtime.clone(),
            name,
            suffix: random_suffix(),
            live_version: None,
            target_version,
            description,
            status: ResourceStatus::Creating,
            failure_reason: None,
            created_at: now,
            updated_at: now,
        }
    }

    pub(crate) async fn insert(&self, connection: &mut Connection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO endpoint (runtime_id, name, suffix, target_version, description, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.runtime.as_str())
        .bind(self.name.as_str())
        .bind(&self.suffix)
        .bind(i64::from(self.target_version.get()))
        .bind(&self.description)
        .bind(self.status.as_str())
        .bind(self.created_at.0)
        .bind(self.updated_at.0)
        .execute(connection)
        .await
        .map_err(|error| unique(error, StoreError::EndpointExists))?;
        Ok(())
    }

    async fn save(&self, connection: &mut Connection) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE endpoint SET live_version = $3, target_version = $4, description = $5, status = $6,
                    failure_reason = $7, updated_at = $8
             WHERE runtime_id = $1 AND name = $2",
        )
        .bind(self.runtime.as_str())
        .bind(self.name.as_str())
        .bind(self.live_version.map(|number| i64::from(number.get())))
        .bind(i64::from(self.target_version.get()))
        .bind(&self.description)
        .bind(self.status.as_str())
        .bind(&self.failure_reason)
        .bind(self.updated_at.0)
        .execute(connection)
        .await?;
        Ok(())
    }

    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            runtime: row::parsed(found, "runtime_id")?,
            name: row::parsed(found, "name")?,
            suffix: row::text(found, "suffix")?,
            live_version: row::optional_version(found, "live_version")?,
            target_version: row::version(found, "target_version")?,
            description: row::optional_text(found, "description")?,
            status: row::parsed(found, "status")?,
            failure_reason: row::optional_text(found, "failure_reason")?,
            created_at: row::time(found, "created_at")?,
            updated_at: row::time(found, "updated_at")?,
        })
    }
}
