//! The ids that agents gave MCP sessions of their own. Each leads to the session in which the agent said it, for as
//! long as somebody owns that, hibernated or not; with its end it is forgotten.

use coracle_types::{SessionId, SessionKey};

use crate::database::Connection;
use crate::{Store, StoreError, row};

/// Most ids of one session; an agent may make up any number.
const MAX_OF_A_SESSION: i64 = 1000;

impl Store {
    /// The session that this one's name leads to, if it is an id that an agent made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_of_mcp(&self, named: &SessionKey) -> Result<Option<SessionId>, StoreError> {
        sqlx::query(
            "SELECT session_id FROM mcp_session WHERE runtime_id = $1 AND endpoint = $2 AND mcp_session = $3",
        )
        .bind(named.runtime.as_str())
        .bind(named.endpoint.as_str())
        .bind(named.session.as_str())
        .fetch_optional(&mut *self.read().await?)
        .await?
        .map(|found| row::parsed(&found, "session_id"))
        .transpose()
    }

    /// Remembers that the agent in `session` made the id `own`. One that leads somewhere already goes on doing so, and
    /// one that names a session stays that session's: no agent can draw another session's requests to itself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn learn_mcp_session(&self, session: &SessionKey, own: &SessionId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO mcp_session (runtime_id, endpoint, mcp_session, session_id)
             SELECT $1, $2, $3, $4
             WHERE EXISTS (SELECT 1 FROM session WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $4)
                   AND NOT EXISTS (SELECT 1 FROM session WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $3)
                   AND (SELECT COUNT(*) FROM mcp_session
                        WHERE runtime_id = $1 AND endpoint = $2 AND session_id = $4) < $5
             ON CONFLICT DO NOTHING",
        )
        .bind(session.runtime.as_str())
        .bind(session.endpoint.as_str())
        .bind(own.as_str())
        .bind(session.session.as_str())
        .bind(MAX_OF_A_SESSION)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Forgets what leads to the session of this generation, which ends.
pub(crate) async fn forget_mcp_sessions(
    connection: &mut Connection,
    generation: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM mcp_session WHERE (runtime_id, endpoint, session_id) IN
             (SELECT runtime_id, endpoint, session_id FROM session WHERE generation = $1)",
    )
    .bind(generation)
    .execute(connection)
    .await?;
    Ok(())
}
