//! Session storage: which session has which.
//!
//! A storage belongs to the session's key, not to any run of it: the first claim makes it, later ones find it again,
//! and whoever has the claim may use it. It ends when the session is claimed for another version, when it has not been
//! used for [`SESSION_STORAGE_KEPT`], and with its endpoint. Only names are kept here; a folder without a row is to be
//! removed.

use coracle_types::limits::SESSION_STORAGE_KEPT;
use coracle_types::{EndpointName, RuntimeId, StorageId};

use crate::database::Connection;
use crate::{NewSession, Store, StoreError, UnixMicros, row};

impl Store {
    /// Forgets storages that have not been used for too long, and returns all others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_storages(&self, now: UnixMicros) -> Result<Vec<StorageId>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "DELETE FROM session_storage WHERE last_used_at <= $1
                 AND NOT EXISTS (SELECT 1 FROM session s WHERE s.runtime_id = session_storage.runtime_id
                     AND s.endpoint = session_storage.endpoint AND s.session_id = session_storage.session_id)",
        )
        .bind(now.before(SESSION_STORAGE_KEPT).0)
        .execute(&mut *transaction)
        .await?;
        let rows = sqlx::query("SELECT storage FROM session_storage")
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        rows.iter().map(|found| row::parsed(found, "storage")).collect()
    }
}

/// The storage of a session that is being claimed, if its version wants one. One that goes on keeps what it has.
pub(crate) async fn claim_storage(
    connection: &mut Connection,
    new: &NewSession,
    goes_on: bool,
    now: UnixMicros,
) -> Result<Option<StorageId>, StoreError> {
    let key = &new.key;
    sqlx::query(
        "DELETE FROM session_storage WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $3
             AND (version <> $4 OR NOT $5 OR (last_used_at <= $6 AND NOT $7))",
    )
    .bind(key.runtime.as_str())
    .bind(key.endpoint.as_str())
    .bind(key.session.as_str())
    .bind(i64::from(new.version.get()))
    .bind(new.wants_storage)
    .bind(now.before(SESSION_STORAGE_KEPT).0)
    .bind(goes_on)
    .execute(&mut *connection)
    .await?;
    if !new.wants_storage {
        return Ok(None);
    }
    let found = sqlx::query(
        "INSERT INTO session_storage (runtime_id, endpoint, session_id, version, storage, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (runtime_id, endpoint, session_id) DO UPDATE SET last_used_at = excluded.last_used_at
         RETURNING storage",
    )
    .bind(key.runtime.as_str())
    .bind(key.endpoint.as_str())
    .bind(key.session.as_str())
    .bind(i64::from(new.version.get()))
    .bind(StorageId::new().to_string())
    .bind(now.0)
    .fetch_one(connection)
    .await?;
    Ok(Some(row::parsed(&found, "storage")?))
}

/// Notes that the session of this generation has used its storage, if it has one, until now.
pub(crate) async fn storage_was_used(
    connection: &mut Connection,
    generation: i64,
    now: UnixMicros,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE session_storage SET last_used_at = $2
         WHERE EXISTS (SELECT 1 FROM session s WHERE s.generation = $1 AND s.runtime_id = session_storage.runtime_id
             AND s.endpoint = session_storage.endpoint AND s.session_id = session_storage.session_id)",
    )
    .bind(generation)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets the storages of an endpoint's sessions.
pub(crate) async fn forget_storages_of(
    connection: &mut Connection,
    runtime: &RuntimeId,
    endpoint: &EndpointName,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM session_storage WHERE runtime_id = $1 AND endpoint = $2")
        .bind(runtime.as_str())
        .bind(endpoint.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
