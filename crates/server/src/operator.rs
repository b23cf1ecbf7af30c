//! The operator API under `/_coracle/`, for whoever holds an administrator key.
//!
//! | | |
//! |---|---|
//! | `GET /_coracle/sessions` | every session: id, state, version, memory |
//! | `GET /_coracle/logs?runtime=…` | what agents printed, as JSON lines; `endpoint`, `session`, `since` (RFC 3339), `limit` narrow it, `follow=true` goes on |

use std::collections::HashMap;

use bytes::Bytes;
use coracle_supervisor::{LogEntry, LogFiles, LogQuery, SessionInfo, Supervisor};
use coracle_wire::Error;
use futures::{StreamExt, TryStreamExt};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::gateway::body::{BoxError, ResponseBody, full};

/// Lines when the caller does not say.
const DEFAULT_LINES: usize = 100;

/// Answers operator requests.
pub struct OperatorApi {
    /// The sessions.
    pub supervisor: Supervisor,
    /// What agents printed.
    pub logs: LogFiles,
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
            (_, path) => Err(Error::not_found(format!("There is no operator API at {path}"))),
        }
    }

    fn sessions(&self) -> Response<ResponseBody> {
        let sessions: Vec<_> = self.supervisor.sessions().iter().map(described).collect();
        let mut response = Response::new(full(json!({ "sessions": sessions }).to_string()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
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

fn line(entry: &LogEntry) -> Result<Bytes, BoxError> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line.into())
}

fn log_query(query: &str) -> Result<(LogQuery, bool), Error> {
    let mut given: HashMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, percent_decode_str(value).decode_utf8_lossy().into_owned()))
        .collect();
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
    match given.keys().next() {
        None => Ok((query, follow)),
        Some(name) => Err(Error::validation_field(*name, "There is no such parameter")),
    }
}

fn parsed<T: std::str::FromStr>(given: &mut HashMap<&str, String>, name: &str) -> Result<Option<T>, Error>
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
