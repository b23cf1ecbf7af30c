//! One health probe: `GET /ping` on a connection of its own. And the calls of an agent's hooks.
//!
//! Any 200 is healthy; only the exact text `HealthyBusy` is busy, and the exact text `Unhealthy` is a failed
//! probe. An MCP server without a `/ping` is healthy when it answers at all.

use std::time::Duration;

use bytes::Bytes;
use coracle_types::ServerProtocol;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;

use crate::connection::{AgentConnection, ConnectError};
use crate::driver::AgentHook;
use crate::guest::Guest;
use crate::session::life::Probe;

/// How much of an answer is read, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// How much of an answer's head is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of an answer.
const MAX_HEADERS: usize = 64;

/// Probes the agent once. Takes as long as the agent does: the caller bounds it.
pub(crate) async fn ping(guest: &Guest, port: u16, protocol: ServerProtocol) -> Probe {
    let stream = match guest.dial(port).await {
        Ok(stream) => stream,
        Err(error) => return Probe::Failed(error.to_string()),
    };
    match exchange(stream, Method::GET, Uri::from_static("/ping")).await {
        Ok((status, body)) => judge(protocol, status, &body),
        Err(error) => Probe::Failed(match ConnectError::behind(&error) {
            Some(reason) => reason.to_string(),
            None => format!("GET /ping failed: {error}"),
        }),
    }
}

/// Calls a hook of the agent, which must answer 2xx in this time; else says what became of it.
pub(crate) async fn call(guest: &Guest, hook: &AgentHook, within: Duration) -> Result<(), String> {
    let asked = format!("POST {} on port {}", hook.path, hook.port);
    match tokio::time::timeout(within, post(guest, hook.port, &hook.path)).await {
        Ok(Ok(status)) if status.is_success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{asked} answered {status}")),
        Ok(Err(failure)) => Err(format!("{asked} failed: {failure}")),
        Err(_) => Err(format!("{asked} was not answered within {within:?}")),
    }
}

/// Sends an empty `POST`. Takes as long as the agent does.
async fn post(guest: &Guest, port: u16, path: &str) -> Result<StatusCode, String> {
    let path = path.parse().map_err(|error| format!("{path}: {error}"))?;
    let stream = guest.dial(port).await.map_err(|error| error.to_string())?;
    let answered = exchange(stream, Method::POST, path).await;
    answered
        .map(|(status, _)| status)
        .map_err(|error| ConnectError::behind(&error).map_or_else(|| error.to_string(), ToString::to_string))
}

async fn exchange(
    stream: AgentConnection,
    method: Method,
    uri: Uri,
) -> Result<(StatusCode, Bytes), hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    if method == Method::POST {
        // Many servers insist on it, though nothing follows.
        let none = header::HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request
        .headers_mut()
        .insert(header::HOST, header::HeaderValue::from_static("localhost"));
    request
        .headers_mut()
        .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        // A body that is too long or breaks off says nothing, and the status has said enough.
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end while the last of the answer is still in its queue.
        _ = &mut connection => answer.await,
    }
}

fn judge(protocol: ServerProtocol, status: StatusCode, body: &[u8]) -> Probe {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Ping {
        status: serde_json::Value,
        time_of_last_update: serde_json::Value,
    }

    let speaks_without_ping = protocol == ServerProtocol::Mcp
        && matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    if status != StatusCode::OK && !speaks_without_ping {
        return Probe::Failed(format!("GET /ping answered {status}"));
    }
    let ping: Ping = serde_json::from_slice(body).unwrap_or_default();
    if ping.status == "Unhealthy" {
        return Probe::Failed("GET /ping answered Unhealthy".to_owned());
    }
    Probe::Healthy {
        busy: ping.status == "HealthyBusy",
        time_of_last_update: seconds(&ping.time_of_last_update),
    }
}

/// Unix seconds, with or without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction is dropped on purpose, and the cast saturates"
)]
fn seconds(value: &serde_json::Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(body: &str) -> Probe {
        judge(ServerProtocol::Http, StatusCode::OK, body.as_bytes())
    }

    #[test]
    fn answers_are_read_as_the_contract_says() {
        let healthy = Probe::Healthy {
            busy: false,
            time_of_last_update: None,
        };
        for body in [
            "",
            "ok",
            "null",
            "[]",
            r#"{"status":"healthy"}"#,
            r#"{"status":7}"#,
            r#"{"status":"healthybusy"}"#,
        ] {
            assert_eq!(judged(body), healthy, "{body}");
        }
        let busy = Probe::Healthy {
            busy: true,
            time_of_last_update: Some(12),
        };
        assert_eq!(
            judged(r#"{"status":"HealthyBusy","time_of_last_update":12}"#),
            busy
        );
        assert_eq!(
            judged(r#"{"status":"HealthyBusy","time_of_last_update":12.9}"#),
            busy
        );
        assert!(matches!(judged(r#"{"status":"Unhealthy"}"#), Probe::Failed(_)));
    }

    #[test]
    fn only_an_mcp_server_may_lack_a_ping() {
        let missing = |protocol| judge(protocol, StatusCode::NOT_FOUND, b"");
        assert!(matches!(missing(ServerProtocol::Http), Probe::Failed(_)));
        assert!(matches!(
            missing(ServerProtocol::Mcp),
            Probe::Healthy { busy: false, .. }
        ));
        assert!(matches!(
            judge(ServerProtocol::Http, StatusCode::NO_CONTENT, b""),
            Probe::Failed(_)
        ));
    }

    proptest! {
        #[test]
        fn any_body_is_read(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            judge(ServerProtocol::Http, StatusCode::OK, &body);
        }
    }
}
