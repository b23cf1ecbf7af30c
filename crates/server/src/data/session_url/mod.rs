//! The URL of a session, which reaches whatever listens on the allowed ports of its sandbox: pages, other HTTP
//! interfaces, event streams, WebSockets.
//!
//! ```text
//! /sessions/{address}/{port}/path?query
//!      │         │       └── in the version's allowedPorts, else 403
//!      │         └── of a session that runs or is hibernated, else 404: none is started here
//!      └── authorised for its runtime, as for an invocation
//! ```
//!
//! The body is taken whole before it is passed on, because the signature covers it; the answer comes as it is made,
//! whatever its status. Refusals of this server are told apart by their headers (see [`bare`]). HTTP/1.1 only, so no
//! gRPC.

mod crossing;
mod refusal;
mod url;

use std::sync::Arc;

use coracle_store::SessionState;
use coracle_supervisor::Lease;
use coracle_types::{SessionAddress, SessionKey};
use coracle_wire::Error;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;

pub(crate) use self::refusal::bare;
use self::url::SessionUrl;
pub(super) use self::url::address_in;
pub(crate) use self::url::is_session_url;
use super::invoke::Attempt;
use super::relay::{RelayError, RelayedBody, relay};
use super::routes::Served;
use super::target::Target;
use super::websocket::{self, BEARER, Handshake, Upgrade};
use super::{DataPlane, failures};
use crate::control::refusal as store_refusal;
use crate::gateway::Caller;
use crate::gateway::body::{ResponseBody, Spooled};

/// What policies call it.
pub(crate) const ACTION: &str = "InvokeAgentRuntimeProxy";

impl DataPlane {
    /// The URL of a session, as this client reaches the server.
    pub(super) fn session_url(&self, parts: &Parts, key: &SessionKey) -> String {
        format!("{}{}", self.base_url(parts), url::path_of(&key.address()))
    }

    /// The session with this address, and the endpoint it belongs to.
    pub(super) async fn session_at(
        &self,
        address: &SessionAddress,
    ) -> Result<Option<(Target, SessionKey)>, Error> {
        let found = self.store.session_at(address).await.map_err(store_refusal)?;
        Ok(found.map(|session| {
            let target = Target {
                owner: session.owner,
                runtime: session.key.runtime.clone(),
                endpoint: session.key.endpoint.clone(),
            };
            (target, session.key)
        }))
    }

    /// A session that runs, or goes on from where it was hibernated, and what it serves.
    async fn session_that_is_there(
        &self,
        target: &Target,
        key: SessionKey,
        served: Arc<Served>,
    ) -> Result<(Arc<Lease>, Arc<Served>), Error> {
        let running = self.supervisor.acquire_running(&key).await;
        if let Some(lease) = running.map_err(failures::not_acquired)? {
            return self.with_its_version(target, lease, served).await;
        }
        let found = self.store.session(&key).await.map_err(store_refusal)?;
        let begins = self
            .routes
            .to_begin_with(target, &key.session, served.clone())
            .await;
        let can_wake = found.is_some_and(|session| {
            session.state == SessionState::Hibernated && session.version == begins.spec.version
        });
        if !can_wake {
            return Err(ended());
        }
        self.session(target, key, served).await
    }

    /// Passes a request on a session's URL to the server that it is for, and the answer back.
    ///
    /// # Errors
    /// When there is no such session, the caller may not do this, the port is not allowed, or nothing answers there.
    pub(crate) async fn pass_through(
        &self,
        caller: &Caller,
        parts: &Parts,
        body: &Spooled,
    ) -> Result<Response<ResponseBody>, Error> {
        let url = SessionUrl::read(&parts.uri)?;
        let found = self.session_at(&url.address).await?;
        let (target, key) = found
            .filter(|(target, _)| target.owner.region == caller.region)
            .ok_or_else(ended)?;
        let served = self.authorized(caller, &target, [ACTION]).await?;
        let handshake = if websocket::is_handshake(&parts.headers) {
            Some((Handshake::read(parts)?, websocket::upgradable(parts)?))
        } else {
            None
        };
        let passage = Passage {
            plane: self,
            caller,
            parts,
            url: &url,
            body,
            handshake: handshake.as_ref().map(|(handshake, _)| handshake),
        };
        let (lease, serves) = self.session_that_is_there(&target, key, served).await?;
        let reached = match passage.make(&lease, &serves).await {
            Ok(reached) => reached,
            Err(error) => return Err(failures::unanswered(&error, lease.why_failed().await.as_ref())),
        };
        let session = &lease.key().session;
        let passed = |head: &HeaderMap| crossing::to_caller(head, session);
        match (reached, handshake) {
            (Reached::Forbidden, _) => Err(Error::access_denied(format!(
                "Port {} is not in the allowedPorts of the session's version",
                url.port
            ))),
            (Reached::Answered(response), _) => {
                let headers = passed(response.headers());
                Ok(answer(response.map(|body| body.boxed_unsync()), headers))
            }
            (Reached::Shaken(Upgrade::Refused(response)), _) => {
                let headers = passed(response.headers());
                let response = response.map(|body| body.map_err(Into::into).boxed_unsync());
                Ok(answer(response, headers))
            }
            (Reached::Shaken(Upgrade::Open(agent)), Some((handshake, client))) => {
                let mut headers = passed(&agent.headers);
                if handshake.offers_bearer {
                    let bearer = HeaderValue::from_static(BEARER);
                    headers.entry(SEC_WEBSOCKET_PROTOCOL).or_insert(bearer);
                }
                let answer = websocket::switching(&handshake, headers);
                self.pass_frames(caller, parts, lease, client, agent);
                Ok(answer)
            }
            (Reached::Shaken(_), _) => Err(Error::runtime_client(
                "What listens on the port answered the WebSocket handshake with something else",
            )),
        }
    }
}

fn ended() -> Error {
    Error::not_found("The session has ended, or is in another region")
}

fn answer(mut response: Response<ResponseBody>, headers: HeaderMap) -> Response<ResponseBody> {
    *response.headers_mut() = headers;
    response
}

/// A request on its way to a server in a session.
struct Passage<'a> {
    plane: &'a DataPlane,
    caller: &'a Caller,
    parts: &'a Parts,
    url: &'a SessionUrl,
    body: &'a Spooled,
    handshake: Option<&'a Handshake>,
}

/// How far it got.
enum Reached {
    /// The session's version does not allow the port.
    Forbidden,
    /// It was answered.
    Answered(Response<RelayedBody<Arc<Lease>>>),
    /// It was a WebSocket handshake.
    Shaken(Upgrade),
}

impl Attempt for Passage<'_> {
    type Answer = Reached;

    async fn make(&self, lease: &Arc<Lease>, served: &Served) -> Result<Reached, RelayError> {
        let port = self.url.port;
        if !served.allowed_ports.contain(port) {
            return Ok(Reached::Forbidden);
        }
        let (timeout, stream_timeout) = (self.plane.request_timeout, self.plane.stream_timeout);
        let mut headers = self.headers_to_server(lease, served);
        if let Some(handshake) = self.handshake {
            lease.become_quiet();
            headers.remove(SEC_WEBSOCKET_PROTOCOL);
            if let Some(others) = websocket::other_protocols(&self.parts.headers) {
                headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
            }
            let stream = lease.connect_to(port).await.map_err(RelayError::Unreachable)?;
            let upgrade = websocket::upgrade(stream, self.target(), headers, &handshake.key, timeout);
            return upgrade.await.map(Reached::Shaken);
        }
        let mut request = Request::new(self.body.body());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.target();
        *request.headers_mut() = headers;
        let stream = lease.connect_to(port).await.map_err(RelayError::Unreachable)?;
        let relayed = relay(stream, request, timeout, stream_timeout, lease.clone());
        relayed.await.map(Reached::Answered)
    }
}

impl Passage<'_> {
    fn target(&self) -> Uri {
        self.url.target.clone().into()
    }

    fn headers_to_server(&self, lease: &Lease, served: &Served) -> HeaderMap {
        let scheme = self.parts.extensions.get().unwrap_or(&Scheme::HTTP).as_str();
        let session = &lease.key().session;
        let allowed = &served.allowed_headers;
        crossing::to_server(
            self.caller,
            &self.parts.headers,
            allowed,
            session,
            self.url,
            scheme,
        )
    }
}
