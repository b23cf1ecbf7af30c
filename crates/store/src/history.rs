//! Sessions that have ended. Rows are added when a session is given back and removed when they are old; nothing
//! changes them in between.

use coracle_types::{
    AccountId, Consumption, EndpointName, Generation, RuntimeId, SessionId, SessionKey, VersionNumber,
};

use crate::database::{Connection, Row};
use crate::mcp_sessions::forget_mcp_sessions;
use crate::sessions::key_from_row;
use crate::storages::storage_was_used;
use crate::{Listed, Page, Store, StoreError, UnixMicros, row};

/// Why a session ended, and what there is to tell of it.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Why, in one word.
    pub reason: &'a str,
    /// What it used since it was claimed, beside what its row says already.
    pub used: Consumption,
    /// Text the store does not look into.
    pub report: Option<&'a str>,
}

impl<'a> End<'a> {
    /// An end of which there is nothing else to tell.
    pub fn plain(reason: &'a str) -> Self {
        Self {
            reason,
            used: Consumption::default(),
            report: None,
        }
    }
}

/// A session that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// Which session.
    pub key: SessionKey,
    /// Whose runtime it was; unknown of sessions that ended under an earlier release.
    pub account: Option<AccountId>,
    /// The version it ran.
    pub version: VersionNumber,
    /// The ownership that ended.
    pub generation: Generation,
    /// When it was claimed.
    pub started_at: UnixMicros,
    /// When it ended.
    pub ended_at: UnixMicros,
    /// Why.
    pub reason: String,
    /// What it used.
    pub used: Consumption,
    /// What there is to tell of it.
    pub report: Option<String>,
}

/// Which ended sessions are wanted; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct EndedQuery {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this runtime.
    pub runtime: Option<RuntimeId>,
    /// Of endpoints with this name.
    pub endpoint: Option<EndpointName>,
    /// With this id.
    pub session: Option<SessionId>,
    /// Of this version.
    pub version: Option<VersionNumber>,
}

impl Store {
    /// Ended sessions, last claimed first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ended_sessions(
        &self,
        query: &EndedQuery,
        page: &Page<Generation>,
    ) -> Result<Listed<EndedSession, Generation>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM session_end
             WHERE generation < $1 AND ($2 IS NULL OR runtime_id = $2) AND ($3 IS NULL OR endpoint = $3)
                   AND ($4 IS NULL OR session_id = $4) AND ($5 IS NULL OR version = $5)
                   AND ($6 IS NULL OR account = $6)
             ORDER BY generation DESC LIMIT $7",
        )
        .bind(page.after.map_or(i64::MAX, |generation| generation.0))
        .bind(query.runtime.as_ref().map(RuntimeId::as_str))
        .bind(query.endpoint.as_ref().map(EndpointName::as_str))
        .bind(query.session.as_ref().map(SessionId::as_str))
        .bind(query.version.map(|version| i64::from(version.get())))
        .bind(query.account.as_ref().map(AccountId::as_str))
        .bind(page.fetch())
        .fetch_all(&mut *self.read().await?)
        .await?;
        let items = rows
            .iter()
            .map(EndedSession::from_row)
            .collect::<Result<_, _>>()?;
        Ok(page.cut(items, |item: &EndedSession| item.generation))
    }

    /// What sessions of a runtime have used that ended at this moment or later.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn used_by_ended_sessions(
        &self,
        runtime: &RuntimeId,
        since: UnixMicros,
    ) -> Result<Consumption, StoreError> {
        let found = sqlx::query(
            "SELECT COALESCE(SUM(run_micros), 0) AS run_micros, COALESCE(SUM(cpu_micros), 0) AS cpu_micros,
                    COALESCE(SUM(memory_mib_seconds), 0) AS memory_mib_seconds
             FROM session_end WHERE runtime_id = $1 AND ended_at >= $2",
        )
        .bind(runtime.as_str())
        .bind(since.0)
        .fetch_one(&mut *self.read().await?)
        .await?;
        row::consumption(&found)
    }

    /// Forgets sessions that ended before this moment. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn purge_ended_sessions(&self, before: UnixMicros) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let purged = sqlx::query("DELETE FROM session_end WHERE ended_at < $1")
            .bind(before.0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(purged)
    }
}

/// Turns the session of this generation into history.
pub(crate) async fn retire(
    connection: &mut Connection,
    generation: i64,
    end: End<'_>,
    now: UnixMicros,
) -> Result<(), StoreError> {
    storage_was_used(&mut *connection, generation, now).await?;
    sqlx::query(
        "INSERT INTO session_end
             (generation, runtime_id, endpoint, session_id, version, started_at, ended_at, reason,
              account, run_micros, cpu_micros, memory_mib_seconds, report)
         SELECT generation, runtime_id, endpoint, session_id, version, s.started_at, $2, $3,
                (SELECT account FROM runtime r WHERE r.runtime_id = s.runtime_id),
                run_micros + $4, cpu_micros + $5, memory_mib_seconds + $6, $7
         FROM session s WHERE generation = $1",
    )
    .bind(generation)
    .bind(now.0)
    .bind(end.reason)
    .bind(row::micros(end.used.time))
    .bind(row::micros(end.used.cpu))
    .bind(row::signed(end.used.memory_mib_seconds))
    .bind(end.report)
    .execute(&mut *connection)
    .await?;
    forget_mcp_sessions(connection, generation).await?;
    sqlx::query("DELETE FROM session WHERE generation = $1")
        .bind(generation)
        .execute(connection)
        .await?;
    Ok(())
}

impl EndedSession {
    fn from_row(found: &Row) -> Result<Self, StoreError> {
        let account = row::text(found, "account")?;
        Ok(Self {
            key: key_from_row(found)?,
            account: account.parse().ok(),
            version: row::version(found, "version")?,
            generation: Generation(row::number(found, "generation")?),
            started_at: row::time(found, "started_at")?,
            ended_at: row::time(found, "ended_at")?,
            reason: row::text(found, "reason")?,
            used: row::consumption(found)?,
            report: row::optional_text(found, "report")?,
        })
    }
}
