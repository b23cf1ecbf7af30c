//! The data plane: invocations and the end of sessions.

use coracle_types::{EndpointName, RuntimeArn, SessionId};
use coracle_wire::data::{
    GetAgentCardRequest, InvokeAgentRuntimeCommandRequest, InvokeAgentRuntimeCommandRequestBody,
    InvokeAgentRuntimeRequest, StopRuntimeSessionRequest, operations,
};
use http::HeaderMap;
use reqwest::Response;
use secrecy::SecretString;
use tokio_util::bytes::Bytes;

use super::control::client_token;
use super::modelled::request;
use super::{Client, ClientError};

/// One invocation.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    pub(crate) runtime: &'a RuntimeArn,
    pub(crate) endpoint: &'a EndpointName,
    pub(crate) session: &'a SessionId,
    pub(crate) user: Option<&'a str>,
    pub(crate) payload: Bytes,
    /// Headers beside those of the operation.
    pub(crate) headers: HeaderMap,
    /// Says who calls, instead of a signature.
    pub(crate) bearer: Option<SecretString>,
}

/// A session, and where it belongs.
#[derive(Debug)]
pub(crate) struct Whereabouts<'a> {
    pub(crate) runtime: &'a RuntimeArn,
    pub(crate) endpoint: &'a EndpointName,
    pub(crate) session: &'a SessionId,
    /// Says who calls, instead of a signature.
    pub(crate) bearer: Option<&'a SecretString>,
}

impl Client {
    /// Invokes an agent; the body of the answer arrives as the agent produces it.
    pub(crate) async fn invoke(&self, invocation: Invocation<'_>) -> Result<Response, ClientError> {
        let input = InvokeAgentRuntimeRequest {
            content_type: Some("application/json".to_owned()),
            accept: Some("application/json, text/event-stream".to_owned()),
            mcp_session_id: None,
            runtime_session_id: Some(invocation.session.clone()),
            mcp_protocol_version: None,
            mcp_method: None,
            mcp_name: None,
            runtime_user_id: invocation.user.map(str::to_owned),
            trace_id: None,
            trace_parent: None,
            trace_state: None,
            baggage: None,
            agent_runtime_arn: invocation.runtime.to_string(),
            qualifier: Some(invocation.endpoint.to_string()),
            account_id: None,
        };
        let mut call = request::<operations::InvokeAgentRuntime>(&self.settings.endpoints.value, &input)?;
        call.body = invocation.payload;
        call.headers.extend(invocation.headers);
        call.bearer = invocation.bearer;
        self.stream(call).await
    }

    /// The card of an A2A agent.
    pub(crate) async fn agent_card(
        &self,
        runtime: &RuntimeArn,
        endpoint: &EndpointName,
        session: &SessionId,
        bearer: Option<SecretString>,
    ) -> Result<serde_json::Value, ClientError> {
        let input = GetAgentCardRequest {
            runtime_session_id: Some(session.clone()),
            agent_runtime_arn: runtime.to_string(),
            qualifier: Some(endpoint.to_string()),
        };
        let mut call = request::<operations::GetAgentCard>(&self.settings.endpoints.value, &input)?;
        call.bearer = bearer;
        self.json(call).await
    }

    /// Runs a command beside an agent; what becomes of it arrives as an AWS event stream.
    pub(crate) async fn run_command(
        &self,
        place: &Whereabouts<'_>,
        command: String,
        timeout_secs: i32,
    ) -> Result<Response, ClientError> {
        let input = InvokeAgentRuntimeCommandRequest {
            content_type: Some("application/json".to_owned()),
            accept: Some("application/vnd.amazon.eventstream".to_owned()),
            runtime_session_id: Some(place.session.clone()),
            trace_id: None,
            trace_parent: None,
            trace_state: None,
            baggage: None,
            agent_runtime_arn: place.runtime.to_string(),
            qualifier: Some(place.endpoint.to_string()),
            account_id: None,
            body: InvokeAgentRuntimeCommandRequestBody {
                command,
                timeout: Some(timeout_secs),
            },
        };
        let mut call =
            request::<operations::InvokeAgentRuntimeCommand>(&self.settings.endpoints.value, &input)?;
        call.bearer = place.bearer.cloned();
        self.stream(call).await
    }

    /// Ends a session.
    pub(crate) async fn stop_session(
        &self,
        runtime: &RuntimeArn,
        endpoint: &EndpointName,
        session: &SessionId,
    ) -> Result<(), ClientError> {
        let input = StopRuntimeSessionRequest {
            runtime_session_id: session.clone(),
            agent_runtime_arn: runtime.to_string(),
            qualifier: Some(endpoint.to_string()),
            client_token: client_token(),
        };
        let call = request::<operations::StopRuntimeSession>(&self.settings.endpoints.value, &input)?;
        self.bytes(call).await.map(drop)
    }
}
