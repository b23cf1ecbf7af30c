//! Requests with a client token have one effect, however often they arrive. The outcome is recorded in the
//! transaction of the effect and kept for 24 hours; a repeated request gets the recorded response.

use std::time::Duration;

use crate::database::Connection;
use crate::{Owner, Store, StoreError, UnixMicros};

const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of a request, and how to record the outcome.
pub struct Idempotency<'a, T> {
    /// The operation's name; tokens of different operations are different tokens.
    pub operation: &'a str,
    /// The client's token.
    pub token: &'a str,
    /// A digest of everything else in the request.
    pub digest: &'a str,
    /// The response to the request, as text, made from its effect.
    pub response: &'a (dyn Fn(&T) -> String + Send + Sync),
}

/// What a request with an optional client token came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<T> {
    /// It has had its effect now.
    Now(T),
    /// It had its effect before; this is the response recorded then.
    Before(String),
}

/// What is known of a client token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing.
    New,
    /// The same request was answered with this.
    Replay(String),
    /// Another request used it.
    Mismatch,
}

impl Store {
    /// What is known of a client token, for requests whose validation should not be repeated.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn idempotent_outcome(
        &self,
        owner: &Owner,
        operation: &str,
        token: &str,
        digest: &str,
        now: UnixMicros,
    ) -> Result<Lookup, StoreError> {
        find(&mut *self.read().await?, owner, operation, token, digest, now).await
    }

    /// Records the response to a request whose effect is not in the store.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_outcome(
        &self,
        owner: &Owner,
        operation: &str,
        token: &str,
        digest: &str,
        response: &str,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let outcome = Idempotency {
            operation,
            token,
            digest,
            response: &|()| response.to_owned(),
        };
        record(&mut transaction, owner, Some(&outcome), &(), now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets outcomes older than 24 hours. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn purge_idempotency(&self, now: UnixMicros) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let purged = sqlx::query("DELETE FROM idempotency WHERE created_at <= $1")
            .bind(now.before(KEPT).0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(purged)
    }
}

/// The response recorded for this request, if it is a repetition.
pub(crate) async fn replayed<T>(
    connection: &mut Connection,
    owner: &Owner,
    request: Option<&Idempotency<'_, T>>,
    now: UnixMicros,
) -> Result<Option<String>, StoreError> {
    let Some(request) = request else { return Ok(None) };
    match find(
        connection,
        owner,
        request.operation,
        request.token,
        request.digest,
        now,
    )
    .await?
    {
        Lookup::New => Ok(None),
        Lookup::Replay(response) => Ok(Some(response)),
        Lookup::Mismatch => Err(StoreError::TokenMismatch),
    }
}

/// Records the outcome of a request, in place of one that is too old to count.
pub(crate) async fn record<T>(
    connection: &mut Connection,
    owner: &Owner,
    request: Option<&Idempotency<'_, T>>,
    effect: &T,
    now: UnixMicros,
) -> Result<(), StoreError> {
    let Some(request) = request else { return Ok(()) };
    sqlx::query(
        "INSERT INTO idempotency (account, region, operation, token, digest, response, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (account, region, operation, token) DO UPDATE
         SET digest = excluded.digest, response = excluded.response, created_at = excluded.created_at",
    )
    .bind(owner.account.as_str())
    .bind(owner.region.as_str())
    .bind(request.operation)
    .bind(request.token)
    .bind(request.digest)
    .bind((request.response)(effect))
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn find(
    connection: &mut Connection,
    owner: &Owner,
    operation: &str,
    token: &str,
    digest: &str,
    now: UnixMicros,
) -> Result<Lookup, StoreError> {
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT digest, response FROM idempotency
         WHERE account = $1 AND region = $2 AND operation = $3 AND token = $4 AND created_at > $5",
    )
    .bind(owner.account.as_str())
    .bind(owner.region.as_str())
    .bind(operation)
    .bind(token)
    .bind(now.before(KEPT).0)
    .fetch_optional(connection)
    .await?;
    Ok(match found {
        None => Lookup::New,
        Some((recorded, response)) if recorded == digest => Lookup::Replay(response),
        Some(_) => Lookup::Mismatch,
    })
}
