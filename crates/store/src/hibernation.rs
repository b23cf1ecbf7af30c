//! Sessions that run nowhere. Their rows stay among those of the [`sessions`](crate::sessions).

use coracle_types::{Consumption, EndpointName, Generation, RuntimeId, SandboxId, SessionKey, VersionNumber};

use crate::database::Connection;
use crate::history::{End, retire};
use crate::sessions::Session;
use crate::{Listed, Page, Store, StoreError, UnixMicros, row};

/// What a hibernated session left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The sandbox it ran in.
    pub sandbox: SandboxId,
    /// When that was claimed first.
    pub started_at: UnixMicros,
    /// What the session had used by then.
    pub used: Consumption,
    /// Whether the session may go on from it.
    pub usable: bool,
}

/// Hibernated sessions.
#[derive(Debug, Clone, Copy)]
pub enum Hibernated<'a> {
    /// One.
    Session(&'a SessionKey),
    /// Those of a runtime, or of one of its endpoints.
    Runtime(&'a RuntimeId, Option<&'a EndpointName>),
    /// Those that have expired.
    Expired,
}

impl Store {
    /// Records that a session has been hibernated, in which sandbox, when it is to be forgotten, and what that sandbox
    /// used. False when the generation is no longer the session's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hibernate(
        &self,
        key: &SessionKey,
        generation: Generation,
        sandbox: SandboxId,
        expires_at: UnixMicros,
        used: Consumption,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let changed = sqlx::query(
            "UPDATE session SET state = 'HIBERNATED', expires_at = $5, run_micros = run_micros + $6,
                    cpu_micros = cpu_micros + $7, memory_mib_seconds = memory_mib_seconds + $8, sandbox = $9
             WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $3 AND generation = $4",
        )
        .bind(key.runtime.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.session.as_str())
        .bind(generation.0)
        .bind(expires_at.0)
        .bind(row::micros(used.time))
        .bind(row::micros(used.cpu))
        .bind(row::signed(used.memory_mib_seconds))
        .bind(sandbox.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(changed == 1)
    }

    /// The sandboxes that hibernated sessions have left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hibernated_sandboxes(&self) -> Result<Vec<SandboxId>, StoreError> {
        let rows = sqlx::query("SELECT sandbox FROM session WHERE state = 'HIBERNATED'")
            .fetch_all(&mut *self.read().await?)
            .await?;
        rows.iter().map(|found| row::parsed(found, "sandbox")).collect()
    }

    /// Hibernated sessions, by generation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hibernated_sessions(
        &self,
        page: &Page<Generation>,
    ) -> Result<Listed<Session, Generation>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM owned_session WHERE state = 'HIBERNATED' AND generation > $1 ORDER BY generation LIMIT $2",
        )
        .bind(page.after.map_or(0, |generation| generation.0))
        .bind(page.fetch())
        .fetch_all(&mut *self.read().await?)
        .await?;
        let items = rows.iter().map(Session::from_row).collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &Session| item.generation))
    }

    /// Ends hibernated sessions, and returns the sandboxes that they have left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_hibernated(
        &self,
        which: Hibernated<'_>,
        reason: &str,
        now: UnixMicros,
    ) -> Result<Vec<SandboxId>, StoreError> {
        let mut transaction = self.write().await?;
        let (runtime, endpoint, session, expired) = match which {
            Hibernated::Session(key) => (
                Some(key.runtime.as_str()),
                Some(key.endpoint.as_str()),
                Some(key.session.as_str()),
                None,
            ),
            Hibernated::Runtime(runtime, endpoint) => (
                Some(runtime.as_str()),
                endpoint.map(EndpointName::as_str),
                None,
                None,
            ),
            Hibernated::Expired => (None, None, None, Some(now.0)),
        };
        let rows = sqlx::query(
            "SELECT generation, sandbox FROM session
             WHERE state = 'HIBERNATED' AND ($1 IS NULL OR runtime_id = $1) AND ($2 IS NULL OR endpoint = $2)
                   AND ($3 IS NULL OR session_id = $3) AND ($4 IS NULL OR expires_at <= $4)",
        )
        .bind(runtime)
        .bind(endpoint)
        .bind(session)
        .bind(expired)
        .fetch_all(&mut *transaction)
        .await?;
        let mut left = Vec::new();
        for found in &rows {
            let generation = row::number(found, "generation")?;
            retire(&mut transaction, generation, End::plain(reason), now).await?;
            left.push(row::parsed(found, "sandbox")?);
        }
        transaction.commit().await?;
        Ok(left)
    }
}

/// Removes the row of a hibernated session for the claimant's own; an end only if it cannot be gone on with.
pub(crate) async fn take_over(
    connection: &mut Connection,
    hibernated: &Session,
    version: VersionNumber,
    now: UnixMicros,
) -> Result<Left, StoreError> {
    let generation = hibernated.generation.0;
    let expires_at: Option<i64> = sqlx::query_scalar("SELECT expires_at FROM session WHERE generation = $1")
        .bind(generation)
        .fetch_one(&mut *connection)
        .await?;
    let usable = hibernated.version == version && expires_at.is_some_and(|moment| moment > now.0);
    if usable {
        sqlx::query("DELETE FROM session WHERE generation = $1")
            .bind(generation)
            .execute(connection)
            .await?;
    } else {
        retire(connection, generation, End::plain("outdated"), now).await?;
    }
    Ok(Left {
        sandbox: hibernated.sandbox,
        started_at: hibernated.started_at,
        used: hibernated.used,
        usable,
    })
}
