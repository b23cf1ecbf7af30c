//! The directory of sessions: who may run which.
//!
//! ```text
//! claim → claimed → mark_ready → ready → end → (a row of history)
//!             ▲                    │
//!             └──── hibernated ◀───┘ hibernate
//! ```
//!
//! A hibernated session runs nowhere, so it outlives the server that hibernated it. The next claim takes it over, or
//! ends it if it is of another version or has expired.
//!
//! Claim first, start second: a row exists while somebody may own the session, so the unique key makes one
//! owner of any number of claimants. Each claim gets a generation, always rising, and every later change names
//! it; one that names an old generation changes nothing. A claim of a server that has been superseded by a
//! newer start is refused.

use coracle_types::{
    Consumption, EndpointName, Generation, Incarnation, RuntimeId, SandboxId, SessionAddress, SessionId,
    SessionKey, StorageId, VersionNumber,
};

use crate::database::{Connection, Row, raise};
use crate::hibernation::{Left, take_over};
use crate::history::{End, retire};
use crate::storages::claim_storage;
use crate::{Listed, Owner, Page, Store, StoreError, UnixMicros, row};

/// A session to be claimed.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Which session.
    pub key: SessionKey,
    /// The version it will run until it ends.
    pub version: VersionNumber,
    /// The sandbox it will run in, unless it turns out to be another one once it is ready.
    pub sandbox: SandboxId,
    /// Whether its version gives it a storage.
    pub wants_storage: bool,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The session is the caller's.
    Granted(Granted),
    /// The session is somebody's already.
    AlreadyOwned(Session),
}

/// What a claimant gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The ownership.
    pub generation: Generation,
    /// When the session began; of one that was hibernated, before that.
    pub began: UnixMicros,
    /// What the session left when it was hibernated: to go on from, or of no further use.
    pub left: Option<Left>,
    /// Its storage, if its version wants one: that which it had, or a new one.
    pub storage: Option<StorageId>,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Somebody is starting it, or died while doing so.
    Claimed,
    /// It has answered.
    Ready,
    /// It runs nowhere.
    Hibernated,
}

/// A session somebody owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose runtime it is.
    pub owner: Owner,
    /// Which session.
    pub key: SessionKey,
    /// The version it runs.
    pub version: VersionNumber,
    /// The sandbox it runs in.
    pub sandbox: SandboxId,
    /// The start of the server that owns it.
    pub incarnation: Incarnation,
    /// The ownership.
    pub generation: Generation,
    /// How far it is.
    pub state: SessionState,
    /// When it began.
    pub started_at: UnixMicros,
    /// What it used before its present sandbox.
    pub used: Consumption,
}

impl Store {
    /// Claims a session for this server.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the runtime, the endpoint or the version is gone or going;
    /// [`StoreError::Superseded`] when this server is no longer the newest; or when the database fails.
    pub async fn claim(&self, new: &NewSession, now: UnixMicros) -> Result<Claim, StoreError> {
        let mut transaction = self.write().await?;
        let newest: i64 = sqlx::query_scalar("SELECT value FROM counter WHERE name = 'incarnation'")
            .fetch_one(&mut *transaction)
            .await?;
        if newest != self.incarnation().0 {
            return Err(StoreError::Superseded);
        }
        let left = match find(&mut transaction, &new.key).await? {
            None => None,
            Some(owned) if owned.state != SessionState::Hibernated => return Ok(Claim::AlreadyOwned(owned)),
            Some(hibernated) => Some(take_over(&mut transaction, &hibernated, new.version, now).await?),
        };
        require_startable(&mut transaction, new).await?;
        let generation = raise(&mut transaction, "generation").await?;
        let gone_on_from = left.filter(|left| left.usable);
        let storage = claim_storage(&mut transaction, new, gone_on_from.is_some(), now).await?;
        let used = gone_on_from.map_or_else(Consumption::default, |left| left.used);
        let began = gone_on_from.map_or(now, |left| left.started_at);
        sqlx::query(
            "INSERT INTO session
                 (runtime_id, endpoint, session_id, version, sandbox, incarnation, generation, state, started_at,
                  run_micros, cpu_micros, memory_mib_seconds, address)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'CLAIMED', $8, $9, $10, $11, $12)",
        )
        .bind(new.key.runtime.as_str())
        .bind(new.key.endpoint.as_str())
        .bind(new.key.session.as_str())
        .bind(i64::from(new.version.get()))
        .bind(new.sandbox.to_string())
        .bind(newest)
        .bind(generation)
        .bind(began.0)
        .bind(row::micros(used.time))
        .bind(row::micros(used.cpu))
        .bind(row::signed(used.memory_mib_seconds))
        .bind(new.key.address().as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Claim::Granted(Granted {
            generation: Generation(generation),
            began,
            left,
            storage,
        }))
    }

    /// Records that a session has answered, and in which sandbox it runs. False when the generation is no longer the session's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_ready(
        &self,
        key: &SessionKey,
        generation: Generation,
        sandbox: SandboxId,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let changed = sqlx::query(
            "UPDATE session SET state = 'READY', sandbox = $5
             WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $3 AND generation = $4",
        )
        .bind(key.runtime.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.session.as_str())
        .bind(generation.0)
        .bind(sandbox.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// Ends a session, so that its id may be claimed again. False when the generation is no longer the
    /// session's, and then nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end(
        &self,
        key: &SessionKey,
        generation: Generation,
        end: End<'_>,
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let owned = find(&mut transaction, key).await?;
        if owned.is_none_or(|session| session.generation != generation) {
            return Ok(false);
        }
        retire(&mut transaction, generation.0, end, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The session with this key, if somebody owns it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        find(&mut *self.read().await?, key).await
    }

    /// The session with this address, if somebody owns it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_at(&self, address: &SessionAddress) -> Result<Option<Session>, StoreError> {
        sqlx::query(
            "SELECT o.* FROM owned_session o JOIN session s ON s.generation = o.generation WHERE s.address = $1",
        )
        .bind(address.as_str())
        .fetch_optional(&mut *self.read().await?)
        .await?
        .as_ref()
        .map(Session::from_row)
        .transpose()
    }

    /// The sessions that earlier starts of the server owned, by generation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions_of_other_incarnations(
        &self,
        page: &Page<Generation>,
    ) -> Result<Listed<Session, Generation>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM owned_session WHERE incarnation <> $1 AND generation > $2 ORDER BY generation LIMIT $3",
        )
        .bind(self.incarnation().0)
        .bind(page.after.map_or(0, |generation| generation.0))
        .bind(page.fetch())
        .fetch_all(&mut *self.read().await?)
        .await?;
        let items = rows.iter().map(Session::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Session| item.generation))
    }

    /// Takes over a session that an earlier start of the server owned and left running. `None` when it has another
    /// generation by now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn adopt(
        &self,
        key: &SessionKey,
        generation: Generation,
    ) -> Result<Option<Generation>, StoreError> {
        let mut transaction = self.write().await?;
        let raised = raise(&mut transaction, "generation").await?;
        let changed = sqlx::query(
            "UPDATE session SET incarnation = $1, generation = $2, address = $7
             WHERE runtime_id = $3 AND endpoint = $4 AND session_id = $5 AND generation = $6",
        )
        .bind(self.incarnation().0)
        .bind(raised)
        .bind(key.runtime.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.session.as_str())
        .bind(generation.0)
        .bind(key.address().as_str())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok((changed == 1).then_some(Generation(raised)))
    }

    /// Ends every session of earlier starts of the server. Returns how many. Right only once their sandboxes
    /// are known to be gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_older_incarnations(&self, reason: &str, now: UnixMicros) -> Result<usize, StoreError> {
        let mut transaction = self.write().await?;
        let generations: Vec<i64> = sqlx::query_scalar(
            "SELECT generation FROM session WHERE incarnation < $1 AND state <> 'HIBERNATED'",
        )
        .bind(self.incarnation().0)
        .fetch_all(&mut *transaction)
        .await?;
        for generation in &generations {
            retire(&mut transaction, *generation, End::plain(reason), now).await?;
        }
        transaction.commit().await?;
        Ok(generations.len())
    }
}

/// A session may start only while its runtime stands and has the endpoint and the version.
async fn require_startable(connection: &mut Connection, new: &NewSession) -> Result<(), StoreError> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM runtime r
         JOIN endpoint e ON e.runtime_id = r.runtime_id AND e.name = $2 AND e.status <> 'DELETING'
         JOIN version v ON v.runtime_id = r.runtime_id AND v.version = $3
         WHERE r.runtime_id = $1 AND r.deletion IS NULL",
    )
    .bind(new.key.runtime.as_str())
    .bind(new.key.endpoint.as_str())
    .bind(i64::from(new.version.get()))
    .fetch_optional(connection)
    .await?;
    found
        .map(drop)
        .ok_or(StoreError::NotFound("the runtime, endpoint or version"))
}

async fn find(connection: &mut Connection, key: &SessionKey) -> Result<Option<Session>, StoreError> {
    sqlx::query("SELECT * FROM owned_session WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $3")
        .bind(key.runtime.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.session.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(Session::from_row)
        .transpose()
}

/// Ends every session of a runtime.
pub(crate) async fn end_sessions_of(
    connection: &mut Connection,
    runtime: &RuntimeId,
    reason: &str,
    now: UnixMicros,
) -> Result<(), StoreError> {
    let generations: Vec<i64> = sqlx::query_scalar("SELECT generation FROM session WHERE runtime_id = $1")
        .bind(runtime.as_str())
        .fetch_all(&mut *connection)
        .await?;
    for generation in generations {
        retire(connection, generation, End::plain(reason), now).await?;
    }
    Ok(())
}

pub(crate) fn key_from_row(found: &Row) -> Result<SessionKey, StoreError> {
    Ok(SessionKey {
        runtime: row::parsed::<RuntimeId>(found, "runtime_id")?,
        endpoint: row::parsed::<EndpointName>(found, "endpoint")?,
        session: row::parsed::<SessionId>(found, "session_id")?,
    })
}

impl Session {
    pub(crate) fn from_row(found: &Row) -> Result<Self, StoreError> {
        let state = match row::text(found, "state")?.as_str() {
            "CLAIMED" => SessionState::Claimed,
            "READY" => SessionState::Ready,
            "HIBERNATED" => SessionState::Hibernated,
            _ => return Err(StoreError::Corrupt { column: "state" }),
        };
        Ok(Self {
            owner: Owner {
                account: row::parsed(found, "account")?,
                region: row::parsed(found, "region")?,
            },
            key: key_from_row(found)?,
            version: row::version(found, "version")?,
            sandbox: row::parsed(found, "sandbox")?,
            incarnation: Incarnation(row::number(found, "incarnation")?),
            generation: Generation(row::number(found, "generation")?),
            state,
            started_at: row::time(found, "started_at")?,
            used: row::consumption(found)?,
        })
    }
}
