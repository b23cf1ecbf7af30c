// Written by `cargo xtask generate`.
//! The implemented operations of the data service: their types, handlers and dispatcher.

use std::future::Future;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::data_shapes as shapes;
use crate::dispatch::call;
use crate::shape::Shape;
use crate::{Error, Modelled, Request};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentCardRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<coracle_types::SessionId>,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentCardResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<String>,
    pub agent_card: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAgentRuntimeCommandRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<coracle_types::SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    pub body: InvokeAgentRuntimeCommandRequestBody,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAgentRuntimeCommandRequestBody {
    pub command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAgentRuntimeCommandResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    pub content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAgentRuntimeRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<coracle_types::SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAgentRuntimeResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_endpoint_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
    pub content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRuntimeSessionRequest {
    pub runtime_session_id: coracle_types::SessionId,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRuntimeSessionResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
}

/// Implemented operations whose bodies are collected before they are dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffered {
    GetAgentCard,
    StopRuntimeSession,
}

/// Implemented operations whose bodies the caller streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Streaming {
    InvokeAgentRuntime,
    InvokeAgentRuntimeCommand,
}

/// The handlers of the data service. Every buffered operation needs one.
pub trait DataService: Send + Sync {
    /// What a handler learns of a request beside its input, such as who sent it.
    type Context: Send + Sync;

    /// `GET /runtimes/{agentRuntimeArn}/invocations/.well-known/agent-card.json`
    fn get_agent_card(
        &self,
        context: &Self::Context,
        input: GetAgentCardRequest,
    ) -> impl Future<Output = Result<GetAgentCardResponse, Error>> + Send;

    /// `POST /runtimes/{agentRuntimeArn}/stopruntimesession`
    fn stop_runtime_session(
        &self,
        context: &Self::Context,
        input: StopRuntimeSessionRequest,
    ) -> impl Future<Output = Result<StopRuntimeSessionResponse, Error>> + Send;
}

/// Reads and validates a request, calls its handler and makes the response.
///
/// # Errors
/// What the request breaks, or what the handler says.
pub async fn dispatch<S: DataService>(
    service: &S,
    context: &S::Context,
    operation: Buffered,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Error> {
    match operation {
        Buffered::GetAgentCard => {
            call::<operations::GetAgentCard, _>(request, |input| service.get_agent_card(context, input)).await
        }
        Buffered::StopRuntimeSession => {
            call::<operations::StopRuntimeSession, _>(request, |input| {
                service.stop_runtime_session(context, input)
            })
            .await
        }
    }
}

/// The implemented operations as types, for [`crate::parse`] and its relatives.
pub mod operations {
    use super::{Modelled, Shape, StatusCode, shapes};

    #[derive(Debug, Clone, Copy)]
    pub enum GetAgentCard {}

    impl Modelled for GetAgentCard {
        type Input = super::GetAgentCardRequest;
        type Output = super::GetAgentCardResponse;
        const NAME: &'static str = "GetAgentCard";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::GET_AGENT_CARD_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::GET_AGENT_CARD_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum InvokeAgentRuntime {}

    impl Modelled for InvokeAgentRuntime {
        type Input = super::InvokeAgentRuntimeRequest;
        type Output = super::InvokeAgentRuntimeResponse;
        const NAME: &'static str = "InvokeAgentRuntime";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::INVOKE_AGENT_RUNTIME_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::INVOKE_AGENT_RUNTIME_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum InvokeAgentRuntimeCommand {}

    impl Modelled for InvokeAgentRuntimeCommand {
        type Input = super::InvokeAgentRuntimeCommandRequest;
        type Output = super::InvokeAgentRuntimeCommandResponse;
        const NAME: &'static str = "InvokeAgentRuntimeCommand";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::INVOKE_AGENT_RUNTIME_COMMAND_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::INVOKE_AGENT_RUNTIME_COMMAND_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum StopRuntimeSession {}

    impl Modelled for StopRuntimeSession {
        type Input = super::StopRuntimeSessionRequest;
        type Output = super::StopRuntimeSessionResponse;
        const NAME: &'static str = "StopRuntimeSession";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::STOP_RUNTIME_SESSION_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::STOP_RUNTIME_SESSION_RESPONSE
        }
    }
}
