//! The operator API under `/_coracle/`, for whoever holds an administrator key.
//!
//! | | |
//! |---|---|
//! | `GET /_coracle/sessions` | every session: id, state, version, memory |
//! | `GET /_coracle/pools` | every warm pool: size, how many sandboxes are wanted, ready and being made; and hits |
//! | `PUT /_coracle/pools?resource=ARN&size=1-4` | sets the warm pool of an endpoint, or of all endpoints of a runtime, by its tag `coracle:warm` |
//! | `DELETE /_coracle/pools?resource=ARN` | removes that tag |
//! | `GET /_coracle/logs?runtime=…` | what agents printed, as JSON lines; `endpoint`, `session`, `since` (RFC 3339), `limit` narrow it, `follow=true` goes on |

use std::collections::HashMap;

use bytes::Bytes;
use coracle_store::Store;
use coracle_supervisor::{
    LogEntry, LogFiles, LogQuery, PoolInfo, PoolSize, PoolTotals, SessionInfo, Supervisor,
};
use coracle_types::InvocationTarget;
use coracle_wire::Error;
use futures::{StreamExt, TryStreamExt};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::control::reconciler::Waker;
use crate::control::refusal;
use crate::gateway::body::{BoxError, ResponseBody, full};
use crate::warm;

/// Lines when the caller does not say.
const DEFAULT_LINES: usize = 100;

/// Answers operator requests.
pub struct OperatorApi {
    /// The sessions.
    pub supervisor: Supervisor,
    /// What agents printed.
    pub logs: LogFiles,
    /// Tags.
    pub store: Store,
    /// Told when tags have changed.
    pub changed: Waker,
}

impl OperatorApi {
    /// Answers one request, whose sender is known to be an administrator.
    ///
    /// # Errors
    /// What the caller did wrong.
    pub async fn answer(&self, parts: &Parts) -> Result<Response<ResponseBody>, Error> {
        match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/_coracle/sessions") => Ok(self.sessions()),
            (&Method::GET, "/_coracle/logs") => self.logs(parts.uri.query().unwrap_or_default()).await,
            (&Method::GET, "/_coracle/pools") => Ok(self.pools()),
            (&Method::PUT, "/_coracle/pools") => self.set_pool(parts.uri.query().unwrap_or_default()).await,
            (&Method::DELETE, "/_coracle/pools") => {
                self.remove_pool(parts.uri.query().unwrap_or_default()).await
            }
            (_, path) => Err(Error::not_found(format!("There is no operator API at {path}"))),
        }
    }

    fn sessions(&self) -> Response<ResponseBody> {
        let sessions: Vec<_> = self.supervisor.sessions().iter().map(described).collect();
        answer(&json!({ "sessions": sessions }))
    }

    fn pools(&self) -> Response<ResponseBody> {
        let pools: Vec<_> = self.supervisor.pools().iter().map(pool).collect();
        let PoolTotals { hits, misses } = self.supervisor.pool_totals();
        answer(&json!({ "pools": pools, "hits": hits, "misses": misses }))
    }

    async fn set_pool(&self, query: &str) -> Result<Response<ResponseBody>, Error> {
        let mut given = parameters(query);
        let resource: InvocationTarget = required(&mut given, "resource")?;
        let size: PoolSize = required(&mut given, "size")?;
        no_others(&given)?;
        let tags = [(warm::TAG.to_owned(), size.to_string())].into();
        self.store.tag(&resource, &tags).await.map_err(refusal)?;
        self.changed.wake();
        Ok(answer(&json!({ "size": size.to_string() })))
    }

    async fn remove_pool(&self, query: &str) -> Result<Response<ResponseBody>, Error> {
        let mut given = parameters(query);
        let resource: InvocationTarget = required(&mut given, "resource")?;
        no_others(&given)?;
        let keys = [warm::TAG.to_owned()];
        self.store.untag(&resource, &keys).await.map_err(refusal)?;
        self.changed.wake();
        Ok(answer(&json!({})))
    }

    async fn logs(&self, query: &str) -> Result<Response<ResponseBody>, Error> {
        let (query, follow) = log_query(query)?;
        let body = if follow {
            let lines = self
                .logs
                .follow(query)
                .map(|entry| entry.map_err(BoxError::from).and_then(|entry| line(&entry)));
            StreamBody::new(lines.map_ok(Frame::data)).boxed_unsync()
        } else {
            let entries = self.logs.read(query).await.map_err(Error::internal)?;
            let lines = entries
                .iter()
                .map(line)
                .collect::<Result<Vec<Bytes>, _>>()
                .map_err(Error::internal)?;
            full(lines.concat())
        };
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
        Ok(response)
    }
}

fn described(session: &SessionInfo) -> serde_json::Value {
    json!({
        "runtime": session.key.runtime,
        "endpoint": session.key.endpoint,
        "session": session.key.session,
        "version": session.version,
        "sandbox": session.sandbox.to_string(),
        "state": session.state,
        "started": session.started,
        "lastUsed": session.last_used,
        "requests": session.requests,
        "privateMemoryBytes": session.memory.private,
        "sharedMemoryBytes": session.memory.shared,
    })
}

fn pool(pool: &PoolInfo) -> serde_json::Value {
    json!({
        "runtime": pool.runtime,
        "endpoint": pool.endpoint,
        "version": pool.version,
        "size": pool.size.to_string(),
        "wanted": pool.wanted,
        "ready": pool.ready,
        "starting": pool.starting,
    })
}

fn answer(content: &serde_json::Value) -> Response<ResponseBody> {
    let mut response = Response::new(full(content.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn line(entry: &LogEntry) -> Result<Bytes, BoxError> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line.into())
}

fn log_query(query: &str) -> Result<(LogQuery, bool), Error> {
    let mut given = parameters(query);
    let follow = given.remove("follow").is_some_and(|follow| follow == "true");
    let query = LogQuery {
        runtime: parsed(&mut given, "runtime")?.ok_or_else(|| {
            Error::validation_field("runtime", "Member is required: the id of an agent runtime")
        })?,
        endpoint: parsed(&mut given, "endpoint")?,
        session: parsed(&mut given, "session")?,
        since: parsed(&mut given, "since")?,
        limit: parsed(&mut given, "limit")?.unwrap_or(DEFAULT_LINES),
    };
    no_others(&given)?;
    Ok((query, follow))
}

type Parameters<'a> = HashMap<&'a str, String>;

fn parameters(query: &str) -> Parameters<'_> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
        .collect()
}

fn no_others(given: &Parameters<'_>) -> Result<(), Error> {
    match given.keys().next() {
        None => Ok(()),
        Some(name) => Err(Error::validation_field(*name, "There is no such parameter")),
    }
}

fn required<T: std::str::FromStr>(given: &mut Parameters<'_>, name: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    parsed(given, name)?.ok_or_else(|| Error::validation_field(name, "Member is required"))
}

fn parsed<T: std::str::FromStr>(given: &mut Parameters<'_>, name: &str) -> Result<Option<T>, Error>
where
    T::Err: std::fmt::Display,
{
    let value = given.remove(name).map(|value| value.parse());
    value
        .transpose()
        .map_err(|error: T::Err| Error::validation_field(name, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_query_is_read_and_its_mistakes_are_named() {
        let (query, follow) =
            log_query("runtime=hello-AbCdEf0123&since=2026-11-21T00%3A00%3A00Z&follow=true").unwrap();
        assert!(follow);
        assert!(query.since.is_some());
        assert_eq!(query.limit, DEFAULT_LINES);
        let field = |query| log_query(query).unwrap_err().fields()[0].name.clone();
        assert_eq!(field(""), "runtime");
        assert_eq!(field("runtime=hello-AbCdEf0123&since=yesterday"), "since");
        assert_eq!(field("runtime=hello-AbCdEf0123&sine=1"), "sine");
    }
}
