//! InvokeAgentRuntime.

use std::sync::Arc;
use std::time::Duration;

use coracle_supervisor::Lease;
use coracle_types::{SessionId, SessionKey};
use coracle_wire::data::operations::InvokeAgentRuntime;
use coracle_wire::{Error, Labels};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};

use super::relay::{RelayedBody, relay};
use super::routes::Served;
use super::{DataPlane, failures, headers, target};
use crate::control::owner;
use crate::gateway::Caller;
use crate::gateway::body::{ResponseBody, Spooled};

/// How much of an agent's error answer is read.
const MAX_ERROR_BODY: usize = 16 * 1024;
/// How long that may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

impl DataPlane {
    /// Passes a request to the session's agent, starting the session on first use, and the answer back.
    pub(crate) async fn invoke(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
        body: Spooled,
    ) -> Result<Response<ResponseBody>, Error> {
        let input = coracle_wire::parse_head::<InvokeAgentRuntime>(labels, parts)?;
        let (runtime, endpoint) = target(
            caller,
            &input.agent_runtime_arn,
            input.qualifier.as_deref(),
            input.account_id.as_deref(),
        )?;
        let owner = owner(caller);
        let served = self.routes.find(&owner, &runtime, &endpoint, None).await?;
        let session = input.runtime_session_id.unwrap_or_else(SessionId::random);
        let key = SessionKey {
            runtime,
            endpoint,
            session,
        };
        let acquired = self.supervisor.acquire(key.clone(), served.spec.clone()).await;
        let lease = acquired.map_err(failures::not_acquired)?;
        if lease.started_now() {
            let phases = lease.start_phases();
            tracing::info!(session = %key, version = %lease.version(), ?phases, "session started");
            self.metrics
                .session_started(phases.queue + phases.disks + phases.machine + phases.kernel + phases.agent);
        }
        let served = if lease.version() == served.spec.version {
            served
        } else {
            self.routes
                .find(&owner, &key.runtime, &key.endpoint, Some(lease.version()))
                .await?
        };
        self.exchange(caller, parts, body, lease, &served).await
    }

    async fn exchange(
        &self,
        caller: &Caller,
        parts: &Parts,
        body: Spooled,
        lease: Lease,
        served: &Served,
    ) -> Result<Response<ResponseBody>, Error> {
        let session = lease.key().session.clone();
        let mut request = Request::new(body.into_body());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = served.spec.agent.path.parse().map_err(Error::internal)?;
        *request.headers_mut() = headers::to_agent(
            &parts.headers,
            &session,
            &caller.request_id,
            &served.allowed_headers,
        );
        let lease = Arc::new(lease);
        let stream = match lease.connect().await {
            Ok(stream) => stream,
            Err(error) => return Err(failures::unreachable(&error, lease.why_failed().await.as_ref())),
        };
        let held = lease.clone();
        let relayed = relay(stream, request, self.request_timeout, self.stream_timeout, held).await;
        let response = match relayed {
            Ok(response) => response,
            Err(error) => return Err(failures::unanswered(&error, lease.why_failed().await.as_ref())),
        };
        if !response.status().is_success() {
            return Err(told_off(response).await);
        }
        let (head, body) = response.into_parts();
        let mut answer = Response::new(body.boxed_unsync());
        *answer.status_mut() = head.status;
        *answer.headers_mut() = headers::to_caller(&head.headers, &parts.headers, &session);
        Ok(answer)
    }
}

/// The error for an agent's answer that is no success.
async fn told_off<T: Unpin>(response: Response<RelayedBody<T>>) -> Error {
    let (head, body) = response.into_parts();
    // What cannot be read of it, or not soon, is left out.
    let body = tokio::time::timeout(ERROR_BODY_TIMEOUT, Limited::new(body, MAX_ERROR_BODY).collect()).await;
    let body = body
        .ok()
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    failures::answered(head.status, &body)
}
