//! Runtimes and their versions.

use coracle_store::{Applied, Idempotency, NewRuntime, RuntimeVersion, UnixMicros};
use coracle_types::ResourceStatus;
use coracle_wire::Error;
use coracle_wire::control::{
    CreateAgentRuntimeRequest, CreateAgentRuntimeResponse, DeleteAgentRuntimeRequest,
    DeleteAgentRuntimeResponse, GetAgentRuntimeRequest, GetAgentRuntimeResponse,
    ListAgentRuntimeVersionsRequest, ListAgentRuntimeVersionsResponse, ListAgentRuntimesRequest,
    ListAgentRuntimesResponse, UpdateAgentRuntimeRequest, UpdateAgentRuntimeResponse,
};

use super::version::VersionConfig;
use super::{ControlPlane, owner, refusal, repeatable, rules, token, view};
use crate::digest;
use crate::gateway::Caller;

/// What client tokens of deletions are kept for.
const DELETE: &str = "DeleteAgentRuntime";

impl ControlPlane {
    pub(super) async fn create_runtime(
        &self,
        caller: &Caller,
        mut input: CreateAgentRuntimeRequest,
    ) -> Result<CreateAgentRuntimeResponse, Error> {
        caller.require_to_create(&input)?;
        rules::check_create(&input, &caller.account, &self.folders)?;
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let idempotency = client_token.as_deref().map(|token| Idempotency {
            operation: "CreateAgentRuntime",
            token,
            digest: &digest,
            response: &|created: &RuntimeVersion| digest::recorded(&view::created(created)),
        });
        let new = NewRuntime {
            id: input.agent_runtime_name.new_id(),
            owner: owner(caller),
            name: input.agent_runtime_name.clone(),
            tags: input.tags.take().unwrap_or_default(),
            configuration: serde_json::to_string(&VersionConfig::created(input)).map_err(Error::internal)?,
        };
        let applied = self
            .store
            .create_runtime(&new, idempotency.as_ref(), UnixMicros::now())
            .await;
        match applied.map_err(refusal)? {
            Applied::Before(response) => serde_json::from_str(&response).map_err(Error::internal),
            Applied::Now(created) => {
                tracing::info!(runtime = %created.runtime.id, principal = caller.principal, "runtime created");
                self.reconciler.wake();
                Ok(view::created(&created))
            }
        }
    }

    pub(super) async fn update_runtime(
        &self,
        caller: &Caller,
        mut input: UpdateAgentRuntimeRequest,
    ) -> Result<UpdateAgentRuntimeResponse, Error> {
        caller.require_to_update(&input)?;
        rules::check_update(&input, &caller.account, &self.folders)?;
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let idempotency = client_token.as_deref().map(|token| Idempotency {
            operation: "UpdateAgentRuntime",
            token,
            digest: &digest,
            response: &|created: &RuntimeVersion| digest::recorded(&view::updated(created)),
        });
        let (owner, id) = (owner(caller), input.agent_runtime_id.clone());
        let previous = self.store.runtime(&owner, &id, None).await.map_err(refusal)?;
        let config = VersionConfig::updated(input, view::config(&previous)?);
        let config = serde_json::to_string(&config).map_err(Error::internal)?;
        let now = UnixMicros::now();
        let applied = self
            .store
            .create_version(&owner, &id, &config, idempotency.as_ref(), now)
            .await;
        match applied.map_err(refusal)? {
            Applied::Before(response) => serde_json::from_str(&response).map_err(Error::internal),
            Applied::Now(created) => {
                let version = created.version.number;
                tracing::info!(runtime = %id, %version, principal = caller.principal, "runtime updated");
                self.reconciler.wake();
                Ok(view::updated(&created))
            }
        }
    }

    pub(super) async fn get_runtime(
        &self,
        caller: &Caller,
        input: GetAgentRuntimeRequest,
    ) -> Result<GetAgentRuntimeResponse, Error> {
        let stored = self
            .store
            .runtime(
                &owner(caller),
                &input.agent_runtime_id,
                input.agent_runtime_version,
            )
            .await;
        view::described(&stored.map_err(refusal)?)
    }

    /// Deletes a runtime, or one version of it.
    pub(super) async fn delete_runtime(
        &self,
        caller: &Caller,
        mut input: DeleteAgentRuntimeRequest,
    ) -> Result<DeleteAgentRuntimeResponse, Error> {
        let digest = digest::of(&input)?;
        let client_token = input.client_token.take();
        let (owner, id, now) = (owner(caller), input.agent_runtime_id, UnixMicros::now());
        match input.agent_runtime_version {
            Some(number) => {
                let idempotency = repeatable(DELETE, client_token.as_deref(), &digest);
                let deleted = self
                    .store
                    .delete_version(&owner, &id, number, idempotency.as_ref(), now);
                deleted.await.map_err(refusal)?;
            }
            None => {
                let idempotency = repeatable(DELETE, client_token.as_deref(), &digest);
                let begun = self
                    .store
                    .begin_delete_runtime(&owner, &id, idempotency.as_ref(), now);
                if let Applied::Now(_) = begun.await.map_err(refusal)? {
                    tracing::info!(runtime = %id, principal = caller.principal, "runtime being deleted");
                    self.reconciler.wake();
                }
            }
        }
        Ok(DeleteAgentRuntimeResponse {
            status: ResourceStatus::Deleting,
            agent_runtime_id: Some(id),
            agent_runtime_version: input.agent_runtime_version,
        })
    }

    pub(super) async fn list_runtimes(
        &self,
        caller: &Caller,
        input: ListAgentRuntimesRequest,
    ) -> Result<ListAgentRuntimesResponse, Error> {
        let page = token::page(input.max_results, input.next_token.as_deref())?;
        let listed = self
            .store
            .runtimes(&owner(caller), &page)
            .await
            .map_err(refusal)?;
        Ok(ListAgentRuntimesResponse {
            agent_runtimes: listed.items.iter().map(view::listed).collect::<Result<_, _>>()?,
            next_token: listed.next.as_ref().map(token::token).transpose()?,
        })
    }

    pub(super) async fn list_versions(
        &self,
        caller: &Caller,
        input: ListAgentRuntimeVersionsRequest,
    ) -> Result<ListAgentRuntimeVersionsResponse, Error> {
        let page = token::page(input.max_results, input.next_token.as_deref())?;
        let listed = self
            .store
            .versions(&owner(caller), &input.agent_runtime_id, &page)
            .await
            .map_err(refusal)?;
        Ok(ListAgentRuntimeVersionsResponse {
            agent_runtimes: listed.items.iter().map(view::listed).collect::<Result<_, _>>()?,
            next_token: listed.next.as_ref().map(token::token).transpose()?,
        })
    }
}
