//! What agents printed, as lines of JSON.

use bytes::Bytes;
use coracle_supervisor::{LogEntry, LogQuery};
use coracle_wire::Error;
use futures::{StreamExt, TryStreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::OperatorApi;
use super::query::Query;
use crate::gateway::body::{BoxError, ResponseBody, full};

/// Lines when the caller does not say.
const DEFAULT_LINES: usize = 100;

impl OperatorApi {
    pub(super) async fn logs(&self, query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
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

fn line(entry: &LogEntry) -> Result<Bytes, BoxError> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line.into())
}

fn log_query(mut query: Query<'_>) -> Result<(LogQuery, bool), Error> {
    let follow = query.switch("follow");
    let wanted = LogQuery {
        runtime: query.required("runtime")?,
        endpoint: query.optional("endpoint")?,
        session: query.optional("session")?,
        since: query.optional("since")?,
        limit: query.optional("limit")?.unwrap_or(DEFAULT_LINES),
    };
    query.no_others()?;
    Ok((wanted, follow))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_query_is_read_and_its_mistakes_are_named() {
        let (query, follow) = log_query(Query::of(
            "runtime=hello-AbCdEf0123&since=2026-11-21T00%3A00%3A00Z&follow=true",
        ))
        .unwrap();
        assert!(follow);
        assert!(query.since.is_some());
        assert_eq!(query.limit, DEFAULT_LINES);
        let field = |query| log_query(Query::of(query)).unwrap_err().fields()[0].name.clone();
        assert_eq!(field(""), "runtime");
        assert_eq!(field("runtime=hello-AbCdEf0123&since=yesterday"), "since");
        assert_eq!(field("runtime=hello-AbCdEf0123&sine=1"), "sine");
    }
}
