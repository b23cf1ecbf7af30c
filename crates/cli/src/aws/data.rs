//! The data plane: invocations and the end of sessions.

use coracle_types::{EndpointName, RuntimeArn, SessionId};
use coracle_wire::data::{InvokeAgentRuntimeRequest, StopRuntimeSessionRequest, operations};
use reqwest::Response;
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
