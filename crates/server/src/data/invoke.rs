//! InvokeAgentRuntime.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_auth::policy::SERVICE_PREFIX;
use coracle_supervisor::{AcquireError, Lease};
use coracle_types::{EndpointName, ServerProtocol, SessionId, SessionKey};
use coracle_wire::data::InvokeAgentRuntimeRequest;
use coracle_wire::data::operations::InvokeAgentRuntime;
use coracle_wire::{Error, Labels};
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::relay::{RelayError, RelayedBody, relay};
use super::routes::Served;
use super::target::Target;
use super::{DataPlane, envelope, failures, headers, mcp, trace};
use crate::gateway::Caller;
use crate::gateway::body::{BoxError, ResponseBody, Spooled, full};
use crate::gateway::rate::Class;

/// What policies call it.
const ACTION: &str = "InvokeAgentRuntime";
/// How much of an agent's error answer is read.
const MAX_ERROR_BODY: usize = 16 * 1024;
/// How long that may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Something to be said to the agent of a session.
pub(super) trait Attempt: Sync {
    /// What the agent answers.
    type Answer: Send;

    /// Says it.
    fn make(
        &self,
        lease: &Arc<Lease>,
        served: &Served,
    ) -> impl Future<Output = Result<Self::Answer, RelayError>> + Send;
}

/// An invocation on its way to its session.
struct Invocation<'a> {
    plane: &'a DataPlane,
    caller: &'a Caller,
    /// The caller's headers, with trace headers in any case.
    headers: HeaderMap,
    input: InvokeAgentRuntimeRequest,
    body: &'a Spooled,
    /// The body, if it is small enough to look into.
    peeked: Option<&'a Bytes>,
}

impl DataPlane {
    /// Passes a request to the session's agent, starting the session on first use, and the answer back. What
    /// fails is told in the form of the agent's protocol.
    ///
    /// # Errors
    /// What concerns no runtime that exists.
    pub(crate) async fn invoke(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
        body: Spooled,
    ) -> Result<Response<ResponseBody>, Error> {
        let peeked = body.in_memory();
        match self
            .try_invoke(caller, labels, parts, &body, peeked.as_ref())
            .await
        {
            Ok(response) => Ok(response),
            Err(error) => {
                self.refuse_invocation(caller, labels, parts, error, peeked.as_ref())
                    .await
            }
        }
    }

    /// Tells why an invocation failed, in the form of the agent's protocol; `body` is the request's, if it is small.
    ///
    /// # Errors
    /// The same error, where it concerns no runtime that exists.
    pub(crate) async fn refuse_invocation(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
        error: Error,
        body: Option<&Bytes>,
    ) -> Result<Response<ResponseBody>, Error> {
        let Some(served) = self.addressed(caller, labels, parts).await else {
            return Err(error);
        };
        if error.status().is_server_error() {
            let (request_id, error) = (&caller.request_id, crate::error_chain(&error));
            tracing::error!(request_id, error, "an invocation failed");
        }
        Ok(envelope::wrap(served.spec.agent.protocol, error, body))
    }

    /// Answers another method than POST on the URL of invocations: an MCP client learns that there is no stream
    /// to open and no session to delete.
    ///
    /// # Errors
    /// When there is no such runtime, or it speaks another protocol.
    pub(crate) async fn other_method(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
    ) -> Result<Response<ResponseBody>, Error> {
        let served = self.addressed(caller, labels, parts).await;
        if served.is_none_or(|served| served.spec.agent.protocol != ServerProtocol::Mcp) {
            return Err(Error::unknown_operation("No operation has this method and path"));
        }
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        Ok(response)
    }

    /// What a request addresses, whatever else may be wrong with it; nothing that is none of the caller's business.
    /// Where the runtime has no such endpoint, it is the default one.
    async fn addressed(&self, caller: &Caller, labels: &Labels, parts: &Parts) -> Option<Arc<Served>> {
        let (named, qualifier) = (
            labels.get("agentRuntimeArn")?,
            super::parameter(parts, "qualifier"),
        );
        let account = Some(caller.account.as_str());
        let target = Target::named(caller, named, qualifier.as_deref(), account)
            .or_else(|_| Target::named(caller, named, None, account))
            .ok()?;
        let action = format!("{SERVICE_PREFIX}{ACTION}");
        if target.is_foreign(caller) || caller.require(&action, &target.names()).is_err() {
            return None;
        }
        let at = |endpoint| self.routes.find(&target.owner, &target.runtime, endpoint, None);
        let served = match at(&target.endpoint).await {
            Ok(found) => found,
            Err(_) => at(&EndpointName::default_endpoint()).await.ok()?,
        };
        // Who is denied it learns as little of it as of what is not there.
        let judged = served.policies.judge(&caller.identity(), false, ACTION);
        judged.is_ok().then_some(served)
    }

    async fn try_invoke(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
        body: &Spooled,
        peeked: Option<&Bytes>,
    ) -> Result<Response<ResponseBody>, Error> {
        let input = coracle_wire::parse_head::<InvokeAgentRuntime>(labels, parts)?;
        let target = Target::named(
            caller,
            &input.agent_runtime_arn,
            input.qualifier.as_deref(),
            input.account_id.as_deref(),
        )?;
        let for_user = input.runtime_user_id.as_ref();
        let actions = [ACTION]
            .into_iter()
            .chain(for_user.map(|_| "InvokeAgentRuntimeForUser"));
        let served = self.authorized(caller, &target, actions).await?;
        headers::check(&parts.headers, &served.allowed_headers)?;
        let is_mcp = served.spec.agent.protocol == ServerProtocol::Mcp;
        if is_mcp && !mcp::accepts_both(&parts.headers) {
            return Ok(envelope::not_acceptable(peeked));
        }
        let key = if is_mcp {
            self.mcp_session(&target, input.mcp_session_id.as_deref()).await?
        } else {
            SessionKey {
                runtime: target.runtime.clone(),
                endpoint: target.endpoint.clone(),
                session: input.runtime_session_id.clone().unwrap_or_else(SessionId::random),
            }
        };
        let mut headers = parts.headers.clone();
        caller.withhold(&mut headers);
        trace::complete(&mut headers);
        let invocation = Invocation {
            plane: self,
            caller,
            headers,
            input,
            body,
            peeked,
        };
        let (response, lease, served) = self.in_session(&target, key, served, &invocation).await?;
        let answer = self.passed_on(&invocation, response, &lease, &served).await;
        self.metrics.invoked(lease.key(), lease.version(), answer.is_ok());
        let mut answer = answer?;
        if !served.allowed_ports.is_empty()
            && let Ok(url) = HeaderValue::from_str(&self.session_url(parts, lease.key()))
        {
            answer.headers_mut().insert(headers::SESSION_ENDPOINT_URL, url);
        }
        Ok(answer)
    }

    /// Makes an attempt to talk to the agent of a session, which is started if need be, and once more if the agent
    /// turns out to have ended before: then nothing was sent, and it is started anew.
    pub(super) async fn in_session<A: Attempt>(
        &self,
        target: &Target,
        key: SessionKey,
        served: Arc<Served>,
        attempt: &A,
    ) -> Result<(A::Answer, Arc<Lease>, Arc<Served>), Error> {
        let (lease, serves) = self.session(target, key.clone(), served.clone()).await?;
        let error = match attempt.make(&lease, &serves).await {
            Ok(answer) => return Ok((answer, lease, serves)),
            Err(error) => error,
        };
        let end = lease.why_failed().await;
        if end.is_none() || lease.started_now() || !error.nothing_sent() {
            self.metrics.invoked(&key, lease.version(), false);
            return Err(failures::unanswered(&error, end.as_ref()));
        }
        drop(lease);
        let (lease, serves) = self.session(target, key, served).await?;
        match attempt.make(&lease, &serves).await {
            Ok(answer) => Ok((answer, lease, serves)),
            Err(error) => {
                self.metrics.invoked(lease.key(), lease.version(), false);
                Err(failures::unanswered(&error, lease.why_failed().await.as_ref()))
            }
        }
    }

    /// The session, started if need be, and what it serves: a session that runs keeps its version.
    pub(super) async fn session(
        &self,
        target: &Target,
        key: SessionKey,
        served: Arc<Served>,
    ) -> Result<(Arc<Lease>, Arc<Served>), Error> {
        let served = self.routes.to_begin_with(target, &key.session, served).await;
        let account = &target.owner.account;
        if self.supervisor.session(&key).is_none() {
            self.rates.take(account, Class::NewSession)?;
            self.caps.admit(&key.runtime, &served.spec.runtime_caps).await?;
        }
        let _counted = self.sessions.admit(account, &key, &self.supervisor)?;
        let acquired = self.supervisor.acquire(key.clone(), served.spec.clone()).await;
        let is_agents = |error: &AcquireError| {
            matches!(
                error,
                AcquireError::AgentExited { .. }
                    | AcquireError::NotStarted { .. }
                    | AcquireError::NeverHealthy { .. }
            )
        };
        if acquired.as_ref().is_err_and(is_agents) {
            self.metrics.invoked(&key, served.spec.version, false);
        }
        let lease = acquired.map_err(failures::not_acquired)?;
        if lease.started_now() {
            let phases = lease.start_phases();
            tracing::info!(session = %key, version = %lease.version(), ?phases, "session started");
            self.metrics.session_started(lease.sandbox(), phases);
        }
        self.with_its_version(target, lease, served).await
    }

    /// A session and what it serves, when its endpoint serves this.
    pub(super) async fn with_its_version(
        &self,
        target: &Target,
        lease: Lease,
        served: Arc<Served>,
    ) -> Result<(Arc<Lease>, Arc<Served>), Error> {
        let pinned = lease.version();
        if pinned == served.spec.version {
            return Ok((Arc::new(lease), served));
        }
        let served = self
            .routes
            .find(&target.owner, &target.runtime, &target.endpoint, Some(pinned))
            .await?;
        Ok((Arc::new(lease), served))
    }

    /// The caller's answer, made of the agent's.
    async fn passed_on(
        &self,
        invocation: &Invocation<'_>,
        response: Response<RelayedBody<Arc<Lease>>>,
        lease: &Lease,
        served: &Served,
    ) -> Result<Response<ResponseBody>, Error> {
        let key = lease.key();
        let is_mcp = served.spec.agent.protocol == ServerProtocol::Mcp;
        // An MCP client whose session the agent no longer knows has to begin anew, which it does on a 404.
        let named = invocation.input.mcp_session_id.is_some();
        let unknown_session = is_mcp && named && response.status() == StatusCode::NOT_FOUND;
        if !response.status().is_success() && !unknown_session {
            return Err(told_off(response).await);
        }
        let (head, body) = response.into_parts();
        let mut answer = Response::new(body.boxed_unsync());
        *answer.status_mut() = head.status;
        *answer.headers_mut() = headers::to_caller(&head.headers, &invocation.headers, &key.session);
        if is_mcp {
            let sent = invocation.input.mcp_session_id.as_deref();
            self.learn_mcp_session(key, sent, &head.headers).await?;
            let sent = invocation.headers.get(&mcp::SESSION_ID).cloned();
            if let Some(id) = sent.or_else(|| HeaderValue::from_str(key.session.as_str()).ok()) {
                answer.headers_mut().entry(mcp::SESSION_ID).or_insert(id);
            }
        }
        Ok(answer)
    }
}

impl Attempt for Invocation<'_> {
    type Answer = Response<RelayedBody<Arc<Lease>>>;

    async fn make(&self, lease: &Arc<Lease>, served: &Served) -> Result<Self::Answer, RelayError> {
        let mut request = Request::new(self.body.body());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = served.path.clone();
        *request.headers_mut() = self.headers_to_agent(&lease.key().session, served);
        let stream = lease.connect().await.map_err(RelayError::Unreachable)?;
        relay(
            stream,
            request,
            self.plane.request_timeout,
            self.plane.stream_timeout,
            lease.clone(),
        )
        .await
    }
}

impl Invocation<'_> {
    fn headers_to_agent(&self, session: &SessionId, served: &Served) -> HeaderMap {
        let protocol = served.spec.agent.protocol;
        let request_id = &self.caller.request_id;
        let mut headers = headers::to_agent(
            &self.headers,
            session,
            request_id,
            protocol,
            &served.allowed_headers,
        );
        if protocol == ServerProtocol::Mcp
            && self.input.mcp_session_id.is_none()
            && let Some(given) = mcp::given_id(session, self.peeked)
        {
            headers.insert(mcp::SESSION_ID, given);
        }
        headers
    }
}

/// The error for an agent's answer that is no success.
pub(super) async fn told_off<B>(response: Response<B>) -> Error
where
    B: Body,
    B::Error: Into<BoxError>,
{
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
