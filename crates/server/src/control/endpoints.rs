//! Runtime endpoints other than what happens to `DEFAULT` by itself.

use coracle_store::{Applied, Endpoint, EndpointChange, Idempotency, NewEndpoint, StoreError, UnixMicros};
use coracle_types::{EndpointArn, ResourceStatus, RuntimeArn};
use coracle_wire::control::{
    AgentRuntimeEndpoint, CreateAgentRuntimeEndpointRequest, CreateAgentRuntimeEndpointResponse,
    DeleteAgentRuntimeEndpointRequest, DeleteAgentRuntimeEndpointResponse, GetAgentRuntimeEndpointRequest,
    GetAgentRuntimeEndpointResponse, ListAgentRuntimeEndpointsRequest, ListAgentRuntimeEndpointsResponse,
    UpdateAgentRuntimeEndpointRequest, UpdateAgentRuntimeEndpointResponse,
};
use coracle_wire::{Error, Sensitive};

use super::view::timestamp;
use super::{ControlPlane, owner, refusal, repeatable, token};
use crate::digest;
use crate::gateway::Caller;

/// The ARNs of an endpoint: its runtime's and its own.
fn arns(caller: &Caller, endpoint: &Endpoint) -> (String, String) {
    let runtime = RuntimeArn {
        region: caller.region.clone(),
        account: caller.account.clone(),
        runtime: endpoint.runtime.clone(),
    };
    let own = EndpointArn {
        runtime: runtime.clone(),
        endpoint: endpoint.name.clone(),
    };
    (runtime.to_string(), own.to_string())
}

fn id(endpoint: &Endpoint) -> String {
    format!("{}-{}", endpoint.name, endpoint.suffix)
}

fn created(caller: &Caller, endpoint: &Endpoint) -> CreateAgentRuntimeEndpointResponse {
    let (agent_runtime_arn, agent_runtime_endpoint_arn) = arns(caller, endpoint);
    CreateAgentRuntimeEndpointResponse {
        target_version: endpoint.target_version,
        agent_runtime_endpoint_arn,
        agent_runtime_arn,
        agent_runtime_id: Some(endpoint.runtime.clone()),
        endpoint_name: Some(Sensitive::from(endpoint.name.clone())),
        status: endpoint.status,
        created_at: timestamp(endpoint.created_at),
    }
}

fn updated(caller: &Caller, endpoint: &Endpoint) -> UpdateAgentRuntimeEndpointResponse {
    let (agent_runtime_arn, agent_runtime_endpoint_arn) = arns(caller, endpoint);
    UpdateAgentRuntimeEndpointResponse {
        live_version: endpoint.live_version,
        target_version: Some(endpoint.target_version),
        agent_runtime_endpoint_arn,
        agent_runtime_arn,
        status: endpoint.status,
        created_at: timestamp(endpoint.created_at),
        last_updated_at: timestamp(endpoint.updated_at),
    }
}

fn listed(caller: &Caller, endpoint: Endpoint) -> AgentRuntimeEndpoint {
    let (agent_runtime_arn, agent_runtime_endpoint_arn) = arns(caller, &endpoint);
    AgentRuntimeEndpoint {
        id: id(&endpoint),
        name: Sensitive::from(endpoint.name),
        live_version: endpoint.live_version,
        target_version: Some(endpoint.target_version),
        agent_runtime_endpoint_arn,
        agent_runtime_arn,
        status: endpoint.status,
        description: endpoint.description,
        created_at: timestamp(endpoint.created_at),
        last_updated_at: timestamp(endpoint.updated_at),
    }
}

impl ControlPlane {
    pub(super) async fn create_endpoint(
        &self,
        caller: &Caller,
        mut input: CreateAgentRuntimeEndpointRequest,
    ) -> Result<CreateAgentRuntimeEndpointResponse, Error> {
        caller.require_to_tag(input.tags.as_ref(), input.agent_runtime_id.as_str())?;
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let response = |endpoint: &Endpoint| digest::recorded(&created(caller, endpoint));
        let idempotency = client_token.as_deref().map(|token| Idempotency {
            operation: "CreateAgentRuntimeEndpoint",
            token,
            digest: &digest,
            response: &response,
        });
        let new = NewEndpoint {
            name: input.name.into_inner(),
            version: input.agent_runtime_version,
            description: input.description,
            tags: input.tags.unwrap_or_default(),
        };
        let (owner, id, now) = (owner(caller), input.agent_runtime_id, UnixMicros::now());
        let applied = self
            .store
            .create_endpoint(&owner, &id, &new, idempotency.as_ref(), now)
            .await;
        match applied.map_err(refusal)? {
            Applied::Before(response) => serde_json::from_str(&response).map_err(Error::internal),
            Applied::Now(endpoint) => {
                self.reconciler.wake();
                Ok(created(caller, &endpoint))
            }
        }
    }

    pub(super) async fn update_endpoint(
        &self,
        caller: &Caller,
        mut input: UpdateAgentRuntimeEndpointRequest,
    ) -> Result<UpdateAgentRuntimeEndpointResponse, Error> {
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let response = |endpoint: &Endpoint| digest::recorded(&updated(caller, endpoint));
        let idempotency = client_token.as_deref().map(|token| Idempotency {
            operation: "UpdateAgentRuntimeEndpoint",
            token,
            digest: &digest,
            response: &response,
        });
        let change = EndpointChange {
            version: input.agent_runtime_version,
            description: input.description,
        };
        let (owner, id, now) = (owner(caller), input.agent_runtime_id, UnixMicros::now());
        let name = input.endpoint_name;
        let applied = self
            .store
            .update_endpoint(&owner, &id, &name, &change, idempotency.as_ref(), now)
            .await;
        let applied = applied.map_err(|error| match error {
            StoreError::DefaultEndpoint => {
                Error::conflict("Default endpoints follow the newest version of the agent")
            }
            error => refusal(error),
        });
        match applied? {
            Applied::Before(response) => serde_json::from_str(&response).map_err(Error::internal),
            Applied::Now(endpoint) => {
                self.reconciler.wake();
                Ok(updated(caller, &endpoint))
            }
        }
    }

    pub(super) async fn get_endpoint(
        &self,
        caller: &Caller,
        input: GetAgentRuntimeEndpointRequest,
    ) -> Result<GetAgentRuntimeEndpointResponse, Error> {
        let stored = self
            .store
            .endpoint(&owner(caller), &input.agent_runtime_id, &input.endpoint_name)
            .await;
        let endpoint = stored.map_err(refusal)?;
        let (agent_runtime_arn, agent_runtime_endpoint_arn) = arns(caller, &endpoint);
        Ok(GetAgentRuntimeEndpointResponse {
            live_version: endpoint.live_version,
            target_version: Some(endpoint.target_version),
            agent_runtime_endpoint_arn,
            agent_runtime_arn,
            status: endpoint.status,
            created_at: timestamp(endpoint.created_at),
            last_updated_at: timestamp(endpoint.updated_at),
            id: id(&endpoint),
            name: Sensitive::from(endpoint.name),
            description: endpoint.description,
            failure_reason: endpoint.failure_reason,
        })
    }

    /// Deletes an endpoint.
    pub(super) async fn delete_endpoint(
        &self,
        caller: &Caller,
        mut input: DeleteAgentRuntimeEndpointRequest,
    ) -> Result<DeleteAgentRuntimeEndpointResponse, Error> {
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let idempotency = repeatable("DeleteAgentRuntimeEndpoint", client_token.as_deref(), &digest);
        let (owner, id, name) = (owner(caller), input.agent_runtime_id, input.endpoint_name);
        let now = UnixMicros::now();
        let begun = self
            .store
            .begin_delete_endpoint(&owner, &id, &name, idempotency.as_ref(), now);
        if let Applied::Now(_) = begun.await.map_err(refusal)? {
            self.reconciler.wake();
        }
        Ok(DeleteAgentRuntimeEndpointResponse {
            status: ResourceStatus::Deleting,
            agent_runtime_id: Some(id),
            endpoint_name: Some(name),
        })
    }

    pub(super) async fn list_endpoints(
        &self,
        caller: &Caller,
        input: ListAgentRuntimeEndpointsRequest,
    ) -> Result<ListAgentRuntimeEndpointsResponse, Error> {
        let page = token::page(input.max_results, input.next_token.as_deref())?;
        let found = self
            .store
            .endpoints(&owner(caller), &input.agent_runtime_id, &page)
            .await
            .map_err(refusal)?;
        Ok(ListAgentRuntimeEndpointsResponse {
            runtime_endpoints: found
                .items
                .into_iter()
                .map(|endpoint| listed(caller, endpoint))
                .collect(),
            next_token: found.next.as_ref().map(token::token).transpose()?,
        })
    }
}
