//! The control plane: runtimes, versions, endpoints, and what is attached to them.
//!
//! A handler checks the request, writes what is wanted in one transaction, and answers. What takes time (making
//! a version ready, ending sessions) is done afterwards by the [`reconciler`], which finds it in the store, so a
//! server that dies in between finishes it when it starts again.

mod endpoints;
mod failure;
mod policies;
pub mod reconciler;
mod rules;
mod runtimes;
mod tags;
mod token;
pub mod version;
mod view;

use coracle_store::{Idempotency, Owner, Store};
use coracle_types::InvocationTarget;
use coracle_wire::Error;
use coracle_wire::control::{
    ControlService, CreateAgentRuntimeEndpointRequest, CreateAgentRuntimeEndpointResponse,
    CreateAgentRuntimeRequest, CreateAgentRuntimeResponse, DeleteAgentRuntimeEndpointRequest,
    DeleteAgentRuntimeEndpointResponse, DeleteAgentRuntimeRequest, DeleteAgentRuntimeResponse,
    DeleteResourcePolicyRequest, DeleteResourcePolicyResponse, GetAgentRuntimeEndpointRequest,
    GetAgentRuntimeEndpointResponse, GetAgentRuntimeRequest, GetAgentRuntimeResponse,
    GetResourcePolicyRequest, GetResourcePolicyResponse, ListAgentRuntimeEndpointsRequest,
    ListAgentRuntimeEndpointsResponse, ListAgentRuntimeVersionsRequest, ListAgentRuntimeVersionsResponse,
    ListAgentRuntimesRequest, ListAgentRuntimesResponse, ListTagsForResourceRequest,
    ListTagsForResourceResponse, PutResourcePolicyRequest, PutResourcePolicyResponse, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse, UpdateAgentRuntimeEndpointRequest,
    UpdateAgentRuntimeEndpointResponse, UpdateAgentRuntimeRequest, UpdateAgentRuntimeResponse,
};

pub(crate) use self::failure::refusal;
pub(crate) use self::policies::arn;
use self::reconciler::Waker;
pub(crate) use self::view::timestamp;
use crate::folders::Folders;
use crate::gateway::Caller;

/// Answers control-plane operations.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    store: Store,
    reconciler: Waker,
    folders: Folders,
}

impl ControlPlane {
    /// A control plane on this store, which wakes this reconciler when there is work. Agents can mount these folders.
    pub fn new(store: Store, reconciler: Waker, folders: Folders) -> Self {
        Self {
            store,
            reconciler,
            folders,
        }
    }
}

/// Whose resources a caller reaches.
pub(crate) fn owner(caller: &Caller) -> Owner {
    Owner {
        account: caller.account.clone(),
        region: caller.region.clone(),
    }
}

/// The token of a deletion that may be repeated. The answer to a repetition is made anew: it says what the request does.
fn repeatable<'a, T>(
    operation: &'a str,
    client_token: Option<&'a str>,
    digest: &'a str,
) -> Option<Idempotency<'a, T>> {
    client_token.map(|token| Idempotency {
        operation,
        token,
        digest,
        response: &|_: &T| String::new(),
    })
}

/// The runtime or endpoint that a tag or a policy belongs to. An ARN that names something else, or something
/// elsewhere, names nothing that exists here.
fn resource(caller: &Caller, arn: &str) -> Result<InvocationTarget, Error> {
    let Ok(target) = arn.parse::<InvocationTarget>() else {
        return Err(if arn.starts_with("arn:") {
            Error::not_found(format!("{arn} does not exist"))
        } else {
            Error::validation_field(
                "resourceArn",
                "Member must be the ARN of an agent runtime or of an endpoint",
            )
        });
    };
    let runtime = target.runtime();
    if runtime.account != caller.account {
        return Err(caller.not_authorized(arn));
    }
    if runtime.region != caller.region {
        return Err(Error::not_found(format!(
            "{arn} does not exist in region {}",
            caller.region
        )));
    }
    Ok(target)
}

impl ControlService for ControlPlane {
    type Context = Caller;

    async fn create_agent_runtime(
        &self,
        caller: &Caller,
        input: CreateAgentRuntimeRequest,
    ) -> Result<CreateAgentRuntimeResponse, Error> {
        self.create_runtime(caller, input).await
    }

    async fn update_agent_runtime(
        &self,
        caller: &Caller,
        input: UpdateAgentRuntimeRequest,
    ) -> Result<UpdateAgentRuntimeResponse, Error> {
        self.update_runtime(caller, input).await
    }

    async fn get_agent_runtime(
        &self,
        caller: &Caller,
        input: GetAgentRuntimeRequest,
    ) -> Result<GetAgentRuntimeResponse, Error> {
        self.get_runtime(caller, input).await
    }

    async fn delete_agent_runtime(
        &self,
        caller: &Caller,
        input: DeleteAgentRuntimeRequest,
    ) -> Result<DeleteAgentRuntimeResponse, Error> {
        self.delete_runtime(caller, input).await
    }

    async fn list_agent_runtimes(
        &self,
        caller: &Caller,
        input: ListAgentRuntimesRequest,
    ) -> Result<ListAgentRuntimesResponse, Error> {
        self.list_runtimes(caller, input).await
    }

    async fn list_agent_runtime_versions(
        &self,
        caller: &Caller,
        input: ListAgentRuntimeVersionsRequest,
    ) -> Result<ListAgentRuntimeVersionsResponse, Error> {
        self.list_versions(caller, input).await
    }

    async fn create_agent_runtime_endpoint(
        &self,
        caller: &Caller,
        input: CreateAgentRuntimeEndpointRequest,
    ) -> Result<CreateAgentRuntimeEndpointResponse, Error> {
        self.create_endpoint(caller, input).await
    }

    async fn update_agent_runtime_endpoint(
        &self,
        caller: &Caller,
        input: UpdateAgentRuntimeEndpointRequest,
    ) -> Result<UpdateAgentRuntimeEndpointResponse, Error> {
        self.update_endpoint(caller, input).await
    }

    async fn get_agent_runtime_endpoint(
        &self,
        caller: &Caller,
        input: GetAgentRuntimeEndpointRequest,
    ) -> Result<GetAgentRuntimeEndpointResponse, Error> {
        self.get_endpoint(caller, input).await
    }

    async fn delete_agent_runtime_endpoint(
        &self,
        caller: &Caller,
        input: DeleteAgentRuntimeEndpointRequest,
    ) -> Result<DeleteAgentRuntimeEndpointResponse, Error> {
        self.delete_endpoint(caller, input).await
    }

    async fn list_agent_runtime_endpoints(
        &self,
        caller: &Caller,
        input: ListAgentRuntimeEndpointsRequest,
    ) -> Result<ListAgentRuntimeEndpointsResponse, Error> {
        self.list_endpoints(caller, input).await
    }

    async fn tag_resource(
        &self,
        caller: &Caller,
        input: TagResourceRequest,
    ) -> Result<TagResourceResponse, Error> {
        self.add_tags(caller, input).await
    }

    async fn untag_resource(
        &self,
        caller: &Caller,
        input: UntagResourceRequest,
    ) -> Result<UntagResourceResponse, Error> {
        self.remove_tags(caller, input).await
    }

    async fn list_tags_for_resource(
        &self,
        caller: &Caller,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Error> {
        self.list_tags(caller, input).await
    }

    async fn put_resource_policy(
        &self,
        caller: &Caller,
        input: PutResourcePolicyRequest,
    ) -> Result<PutResourcePolicyResponse, Error> {
        self.put_policy(caller, input).await
    }

    async fn get_resource_policy(
        &self,
        caller: &Caller,
        input: GetResourcePolicyRequest,
    ) -> Result<GetResourcePolicyResponse, Error> {
        self.get_policy(caller, input).await
    }

    async fn delete_resource_policy(
        &self,
        caller: &Caller,
        input: DeleteResourcePolicyRequest,
    ) -> Result<DeleteResourcePolicyResponse, Error> {
        self.delete_policy(caller, input).await
    }
}
