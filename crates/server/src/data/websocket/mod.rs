//! WebSocket connections: `GET /runtimes/{arn}/ws` becomes `/ws` of the agent.
//!
//! ```text
//! client ── handshake ──▶ authorised ──▶ session ── handshake ──▶ agent
//!        ◀───── 101 ─────                         ◀───── 101 ────
//!        ◀═══════════════ frames, both ways ═════════════════════▶
//!                        close frame, limit, end of the session ──▶ closed
//! ```
//!
//! Until the agent has agreed, failures are HTTP errors; from then on they are close frames (see [`tunnel`]). An
//! open connection counts as a request of its session, but keeps it from being idle only while frames pass.

mod agent_side;
mod frame;
mod handshake;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coracle_supervisor::{EndReason, Lease, SessionEnd};
use coracle_types::{ServerProtocol, SessionId, SessionKey};
use coracle_wire::{Error, Labels};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;

use self::agent_side::AgentSocket;
pub(super) use self::agent_side::{Upgrade, upgrade};
pub(super) use self::frame::Closing;
pub(super) use self::handshake::{BEARER, Handshake, is_handshake, other_protocols, token_in_protocols};
pub use self::tunnel::WebSocketLimits;
use self::tunnel::{Ending, Session, Traffic};
use super::invoke::Attempt;
use super::relay::RelayError;
use super::routes::Served;
use super::target::Target;
use super::{DataPlane, headers, invoke, trace};
use crate::gateway::Caller;
use crate::gateway::body::{ResponseBody, full};
use crate::gateway::listen::ConnectionSlot;
use crate::metrics::Metrics;

/// The page of agents that speaks WebSocket.
const AGENT_PATH: &str = "/ws";
/// Where clients open WebSockets.
pub(crate) const PATH: &str = "/runtimes/{agentRuntimeArn}/ws";
/// What policies call it.
pub(crate) const ACTION: &str = "InvokeAgentRuntimeWithWebSocketStream";
const ACTION_FOR_USER: &str = "InvokeAgentRuntimeWithWebSocketStreamForUser";
/// How long the client's connection may take to change over once it was told to.
pub(super) const CHANGE_OVER: Duration = Duration::from_secs(10);

/// The open connections.
#[derive(Debug)]
pub struct WebSockets {
    limits: WebSocketLimits,
    open: TaskTracker,
}

impl WebSockets {
    /// None yet.
    pub fn new(limits: WebSocketLimits) -> Self {
        Self {
            limits,
            open: TaskTracker::new(),
        }
    }

    /// Bounds of each.
    pub(super) fn limits(&self) -> WebSocketLimits {
        self.limits
    }

    /// Serves one, which is waited for when the server ends.
    pub(super) fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) {
        self.open.spawn(serving);
    }

    /// Waits until the last one is closed; there must be no new ones.
    pub async fn closed(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

impl DataPlane {
    /// Opens a WebSocket to the session's agent, starting the session on first use.
    ///
    /// # Errors
    /// When the request is no WebSocket handshake, may not do this, or the agent does not agree.
    pub(crate) async fn open_websocket(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
    ) -> Result<Response<ResponseBody>, Error> {
        let target = Target::asked(caller, labels, parts)?;
        let for_user = parts.headers.get(headers::USER_ID).map(|_| ACTION_FOR_USER);
        let served = self
            .authorized(caller, &target, [ACTION].into_iter().chain(for_user))
            .await?;
        let mut handshake = Handshake::read(parts)?;
        caller.withhold(&mut handshake.headers);
        trace::complete(&mut handshake.headers);
        headers::check(&parts.headers, &served.allowed_headers)?;
        if !matches!(
            served.spec.agent.protocol,
            ServerProtocol::Http | ServerProtocol::Agui
        ) {
            return Err(Error::validation_field(
                "agentRuntimeArn",
                "Only runtimes with the protocol HTTP or AGUI have a WebSocket",
            ));
        }
        let client = upgradable(parts)?;
        let key = SessionKey {
            runtime: target.runtime.clone(),
            endpoint: target.endpoint.clone(),
            session: handshake.session.clone().unwrap_or_else(SessionId::random),
        };
        let opening = Opening {
            plane: self,
            caller,
            handshake: &handshake,
        };
        let (upgrade, lease, _) = self.in_session(&target, key, served, &opening).await?;
        let agent = match upgrade {
            Upgrade::Open(agent) => agent,
            Upgrade::Refused(response) => return Err(invoke::told_off(response).await),
            Upgrade::Invalid => {
                let text = "The agent's answer to the WebSocket handshake at /ws is not one";
                return Err(Error::runtime_client(text));
            }
        };
        let answer = agreed(&handshake, &agent.headers, lease.key());
        self.pass_frames(caller, parts, lease, client, agent);
        Ok(answer)
    }

    /// Passes frames between a client and an agent that have both agreed, as long as both stay.
    pub(super) fn pass_frames(
        &self,
        caller: &Caller,
        parts: &Parts,
        lease: Arc<Lease>,
        client: OnUpgrade,
        agent: AgentSocket,
    ) {
        let connection = Connection {
            lease,
            limits: self.websockets.limits,
            request_id: caller.request_id.clone(),
            metrics: self.metrics.clone(),
            _slot: parts.extensions.get().cloned(),
        };
        self.websockets.spawn(connection.run(client, agent));
    }
}

/// The client's connection, which becomes a WebSocket once it has its answer.
///
/// # Errors
/// When it cannot become one.
pub(super) fn upgradable(parts: &Parts) -> Result<OnUpgrade, Error> {
    let client = parts.extensions.get::<OnUpgrade>().cloned();
    client.ok_or_else(|| Error::internal("the connection cannot become a WebSocket"))
}

/// A WebSocket on its way to the agent.
struct Opening<'a> {
    plane: &'a DataPlane,
    caller: &'a Caller,
    handshake: &'a Handshake,
}

impl Attempt for Opening<'_> {
    type Answer = Upgrade;

    async fn make(&self, lease: &Arc<Lease>, served: &Served) -> Result<Upgrade, RelayError> {
        lease.become_quiet();
        let headers = self.headers_to_agent(&lease.key().session, served);
        let stream = lease.connect().await.map_err(RelayError::Unreachable)?;
        let (target, timeout) = (Uri::from_static(AGENT_PATH), self.plane.request_timeout);
        upgrade(stream, target, headers, &self.handshake.key, timeout).await
    }
}

impl Opening<'_> {
    fn headers_to_agent(&self, session: &SessionId, served: &Served) -> HeaderMap {
        let sent = &self.handshake.headers;
        let allowed = [&served.allowed_headers[..], &self.handshake.custom].concat();
        let protocol = served.spec.agent.protocol;
        let mut headers = headers::to_agent(sent, session, &self.caller.request_id, protocol, &allowed);
        // There is no body.
        headers.remove(CONTENT_TYPE);
        headers.remove(ACCEPT);
        headers
    }
}

/// The answer that makes the connection a WebSocket.
pub(super) fn agreed(handshake: &Handshake, agent: &HeaderMap, key: &SessionKey) -> Response<ResponseBody> {
    let mut headers = headers::to_caller(agent, &handshake.headers, &key.session);
    headers.remove(CONTENT_TYPE);
    if handshake.offers_bearer {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BEARER));
    }
    switching(handshake, headers)
}

/// An answer with these headers that makes the connection a WebSocket.
pub(super) fn switching(handshake: &Handshake, headers: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(handshake.key.as_bytes());
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// One open connection.
struct Connection {
    lease: Arc<Lease>,
    limits: WebSocketLimits,
    request_id: String,
    metrics: Arc<Metrics>,
    /// The client's place among the server's connections.
    _slot: Option<ConnectionSlot>,
}

impl Connection {
    async fn run(self, client: OnUpgrade, agent: AgentSocket) {
        let opened = Instant::now();
        let client = match tokio::time::timeout(CHANGE_OVER, client).await {
            Ok(Ok(client)) => TokioIo::new(client),
            // The client went away before it had its answer.
            Ok(Err(_)) | Err(_) => return,
        };
        let _counted = self.metrics.websocket_opened();
        let traffic = Traffic::default();
        let ending = tunnel::run(client, agent.stream, &self.limits, &self, &traffic).await;
        let (kind, why) = match &ending {
            Ending::Closed => ("closed", String::new()),
            Ending::ClientGone => ("client_gone", String::new()),
            Ending::Ended(Closing { code, reason }) => (kind(*code), format!("{code} {reason}")),
        };
        self.metrics.websocket_ended(kind);
        tracing::info!(
            session = %self.lease.key(),
            request_id = self.request_id,
            ending = kind,
            why,
            elapsed = ?opened.elapsed(),
            frames_in = traffic.from_client.frames.load(Ordering::Relaxed),
            bytes_in = traffic.from_client.bytes.load(Ordering::Relaxed),
            frames_out = traffic.from_agent.frames.load(Ordering::Relaxed),
            bytes_out = traffic.from_agent.bytes.load(Ordering::Relaxed),
            "websocket ended",
        );
    }
}

impl Session for Connection {
    fn used(&self) {
        self.lease.used();
    }

    async fn ended(&self) -> Closing {
        closing(&self.lease.ended().await)
    }

    async fn why_gone(&self) -> Closing {
        match self.lease.why_failed().await {
            Some(end) => closing(&end),
            None => Closing::new(
                CloseCode::Error,
                "the agent closed the connection without a close frame",
            ),
        }
    }
}

/// What the client is told when its session ends.
pub(super) fn closing(end: &SessionEnd) -> Closing {
    let code = match end.reason {
        EndReason::Stopped
        | EndReason::Drained
        | EndReason::Hibernated
        | EndReason::Idle
        | EndReason::LifetimeOver => CloseCode::Away,
        _ => CloseCode::Error,
    };
    let reason = match end.reason {
        // Nobody's business but the operator's.
        EndReason::HostFailed(_) => "the session failed".to_owned(),
        ref reason => reason.to_string(),
    };
    Closing::new(code, reason)
}

/// One word for metrics and logs.
pub(super) fn kind(code: CloseCode) -> &'static str {
    match code {
        CloseCode::Away => "going_away",
        CloseCode::Protocol => "protocol",
        CloseCode::Policy => "policy",
        CloseCode::Size => "too_big",
        _ => "failed",
    }
}
