//! The handshake with the agent: this server is the client.

use std::time::Duration;

use bytes::Bytes;
use coracle_supervisor::AgentConnection;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;
use tungstenite::handshake::derive_accept_key;

use crate::data::relay::RelayError;

/// Largest answer head of an agent, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines in an answer of an agent.
const MAX_HEADERS: usize = 128;

/// What the agent said to the handshake.
pub(in crate::data) enum Upgrade {
    /// It agreed.
    Open(AgentSocket),
    /// It answered, but not with an upgrade.
    Refused(Response<Incoming>),
    /// It agreed to something else.
    Invalid,
}

/// An open WebSocket to the agent.
pub(in crate::data) struct AgentSocket {
    pub(super) stream: TokioIo<Upgraded>,
    /// The head of its answer.
    pub(in crate::data) headers: HeaderMap,
}

/// Shakes hands with the agent, with the client's key so that the answer fits the client.
///
/// # Errors
/// When the agent does not answer as HTTP, or not in time.
pub(in crate::data) async fn upgrade(
    stream: AgentConnection,
    target: Uri,
    mut headers: HeaderMap,
    key: &HeaderValue,
    timeout: Duration,
) -> Result<Upgrade, RelayError> {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    tokio::time::timeout(timeout, exchange(stream, request, key))
        .await
        .map_err(|_| RelayError::Silent(timeout))?
        .map_err(RelayError::Broken)
}

async fn exchange(
    stream: AgentConnection,
    request: Request<Empty<Bytes>>,
    key: &HeaderValue,
) -> hyper::Result<Upgrade> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let mut response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // Whoever reads the rest of the answer needs the connection; it ends with that.
        connection.detach();
        return Ok(Upgrade::Refused(response));
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Ok(Upgrade::Invalid);
    }
    let upgraded = hyper::upgrade::on(&mut response).await?;
    Ok(Upgrade::Open(AgentSocket {
        stream: TokioIo::new(upgraded),
        headers: std::mem::take(response.headers_mut()),
    }))
}
