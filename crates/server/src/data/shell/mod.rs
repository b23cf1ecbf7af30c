//! Command shells: `GET /runtimes/{arn}/ws/shells` is a terminal beside the session's agent.
//!
//! ```text
//! client ── handshake ──▶ authorised ──▶ session ── attach ──▶ shell in the sandbox
//!        ◀── 101, status ──                      ◀─ attached ──
//!        ◀══════════════ channels, both ways (see [`frames`]) ═▶
//!                    exit, limit, newer client, end of the session ──▶ closed
//! ```
//!
//! The shell is the guest's: it outlives the connection, and whoever names its id again gets it back, with the output
//! in between. Until it is attached, failures are HTTP errors; from then on they are close codes (see [`connection`]).

mod connection;
mod frames;

use std::sync::Arc;

use coracle_supervisor::{AttachedShell, Lease, ShellError};
use coracle_types::{SessionId, SessionKey, ShellId};
use coracle_wire::{Error, Labels};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::json;

use self::connection::Connection;
use super::invoke::Attempt;
use super::relay::RelayError;
use super::routes::Served;
use super::target::Target;
use super::websocket::{Handshake, agreed, upgradable};
use super::{DataPlane, trace};
use crate::gateway::Caller;
use crate::gateway::body::{ResponseBody, full};

/// Where clients open shells.
pub(crate) const PATH: &str = "/runtimes/{agentRuntimeArn}/ws/shells";
/// What policies call it.
pub(crate) const ACTION: &str = "InvokeAgentRuntimeCommandShell";
const SHELL_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-shell-id");

impl DataPlane {
    /// Attaches a client to a shell of a session; either is started if need be.
    ///
    /// # Errors
    /// When the request is no WebSocket handshake, may not do this, or there is no session.
    pub(crate) async fn open_shell(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
    ) -> Result<Response<ResponseBody>, Error> {
        let target = Target::asked(caller, labels, parts)?;
        let served = self.authorized(caller, &target, [ACTION]).await?;
        let mut handshake = Handshake::read(parts)?;
        trace::complete(&mut handshake.headers);
        let id = match super::parameter(parts, "shellId").map(|text| text.parse::<ShellId>()) {
            None => ShellId::random(),
            Some(Ok(id)) => id,
            Some(Err(error)) => return Ok(refused(&format!("shellId: {error}"))),
        };
        let client = upgradable(parts)?;
        let key = SessionKey {
            runtime: target.runtime.clone(),
            endpoint: target.endpoint.clone(),
            session: handshake.session.clone().unwrap_or_else(SessionId::random),
        };
        let (shell, lease, _) = self
            .in_session(&target, key, served, &Attachment(id.clone()))
            .await?;
        let shell = match shell {
            Ok(shell) => shell,
            Err(reason) => return Ok(refused(&reason)),
        };
        self.note_beside(caller, lease.key(), ACTION, id.as_str()).await;
        let mut response = agreed(&handshake, &HeaderMap::new(), lease.key());
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(SHELL_ID, value);
        }
        let connection = Connection {
            id,
            lease,
            limits: self.websockets.limits(),
            request_id: caller.request_id.clone(),
            metrics: self.metrics.clone(),
            _slot: parts.extensions.get().cloned(),
        };
        self.websockets.spawn(connection.run(client, shell));
        Ok(response)
    }
}

/// The answer to a client that gets no shell, whatever its session may have: the clients of shells read `error`.
fn refused(reason: &str) -> Response<ResponseBody> {
    let mut response = Error::runtime_client(reason).into_response();
    *response.body_mut() = json!({"error": reason, "message": reason}).to_string().into();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.map(full)
}

/// A shell to attach to: it is there, or the guest says why not.
struct Attachment(ShellId);

impl Attempt for Attachment {
    type Answer = Result<AttachedShell, String>;

    async fn make(&self, lease: &Arc<Lease>, _: &Served) -> Result<Self::Answer, RelayError> {
        lease.become_quiet();
        match lease.shell(&self.0).await {
            Ok(shell) => Ok(Ok(shell)),
            Err(ShellError::Refused(reason)) => Ok(Err(reason)),
            Err(ShellError::Unreachable(error)) => Err(RelayError::Unreachable(error)),
        }
    }
}
