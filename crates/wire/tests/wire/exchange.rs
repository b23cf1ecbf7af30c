//! Takes a request through routing, parsing, a handler with a canned answer, and the making of the response.

use std::sync::Mutex;

use bytes::Bytes;
use coracle_wire::control::{self, ControlService};
use coracle_wire::data::{self, DataService};
use coracle_wire::{Error, OperationId, Request, route};
use http::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const BODY_LIMIT: usize = 1024 * 1024;

/// Handlers that note what they were given and answer what they were told to.
pub(crate) struct Canned {
    answer: Value,
    seen: Mutex<Option<Value>>,
}

/// What came of a request.
pub(crate) struct Exchange {
    /// The input that the handler got, as JSON, if it was called.
    pub(crate) input: Option<Value>,
    pub(crate) response: Response<Bytes>,
}

impl Canned {
    fn answer<I: Serialize, O: DeserializeOwned>(&self, input: &I) -> Result<O, Error> {
        *self.seen.lock().unwrap() = Some(serde_json::to_value(input).unwrap());
        Ok(serde_json::from_value(self.answer.clone()).unwrap())
    }
}

macro_rules! canned_handlers {
    ($service:ident: $($handler:ident($input:ident) -> $output:ident,)*) => {$(
        async fn $handler(&self, (): &(), input: $service::$input) -> Result<$service::$output, Error> {
            self.answer(&input)
        }
    )*};
}

impl ControlService for Canned {
    type Context = ();
    canned_handlers! {
        control:
        create_agent_runtime(CreateAgentRuntimeRequest) -> CreateAgentRuntimeResponse,
        update_agent_runtime(UpdateAgentRuntimeRequest) -> UpdateAgentRuntimeResponse,
        get_agent_runtime(GetAgentRuntimeRequest) -> GetAgentRuntimeResponse,
        delete_agent_runtime(DeleteAgentRuntimeRequest) -> DeleteAgentRuntimeResponse,
        list_agent_runtimes(ListAgentRuntimesRequest) -> ListAgentRuntimesResponse,
        list_agent_runtime_versions(ListAgentRuntimeVersionsRequest) -> ListAgentRuntimeVersionsResponse,
        create_agent_runtime_endpoint(CreateAgentRuntimeEndpointRequest) -> CreateAgentRuntimeEndpointResponse,
        update_agent_runtime_endpoint(UpdateAgentRuntimeEndpointRequest) -> UpdateAgentRuntimeEndpointResponse,
        get_agent_runtime_endpoint(GetAgentRuntimeEndpointRequest) -> GetAgentRuntimeEndpointResponse,
        delete_agent_runtime_endpoint(DeleteAgentRuntimeEndpointRequest) -> DeleteAgentRuntimeEndpointResponse,
        list_agent_runtime_endpoints(ListAgentRuntimeEndpointsRequest) -> ListAgentRuntimeEndpointsResponse,
        tag_resource(TagResourceRequest) -> TagResourceResponse,
        untag_resource(UntagResourceRequest) -> UntagResourceResponse,
        list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResponse,
        put_resource_policy(PutResourcePolicyRequest) -> PutResourcePolicyResponse,
        get_resource_policy(GetResourcePolicyRequest) -> GetResourcePolicyResponse,
        delete_resource_policy(DeleteResourcePolicyRequest) -> DeleteResourcePolicyResponse,
    }
}

impl DataService for Canned {
    type Context = ();
    canned_handlers! {
        data:
        get_agent_card(GetAgentCardRequest) -> GetAgentCardResponse,
        stop_runtime_session(StopRuntimeSessionRequest) -> StopRuntimeSessionResponse,
    }
}

/// A server moves requests between threads.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

/// Sends a request whose handler, if it comes to that, answers `answer`.
pub(crate) fn exchange(request: http::Request<&str>, answer: Value) -> Exchange {
    let canned = Canned {
        answer,
        seen: Mutex::new(None),
    };
    let (parts, body) = request.into_parts();
    let result = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(sendable(async {
            let route = route(&parts.method, &parts.uri.to_string())?;
            let request = Request {
                labels: &route.labels,
                parts: &parts,
                body: body.as_bytes(),
                body_limit: BODY_LIMIT,
            };
            match route.id {
                OperationId::Control(operation) => control::dispatch(&canned, &(), operation, &request).await,
                OperationId::Data(operation) => data::dispatch(&canned, &(), operation, &request).await,
                OperationId::DataStreaming(operation) => panic!("a streaming operation: {operation:?}"),
                OperationId::ControlStreaming(none) => match none {},
            }
        }));
    Exchange {
        input: canned.seen.into_inner().unwrap(),
        response: result.unwrap_or_else(Error::into_response),
    }
}

impl Exchange {
    /// The body of the response.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(self.response.body()).unwrap()
    }

    /// A header of the response, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}
