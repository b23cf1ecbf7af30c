//! Rows of the store as the service shows them.

use coracle_store::{Runtime, RuntimeVersion, UnixMicros};
use coracle_types::RuntimeArn;
use coracle_wire::control::{
    AgentRuntime, CreateAgentRuntimeResponse, GetAgentRuntimeResponse, UpdateAgentRuntimeResponse,
    WorkloadIdentityDetails,
};
use coracle_wire::{Error, Sensitive};
use jiff::Timestamp;

use super::version::VersionConfig;

/// A stored moment as the wire shows it.
pub(crate) fn timestamp(micros: UnixMicros) -> Timestamp {
    Timestamp::from_microsecond(micros.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What a version was made of.
pub(super) fn config(stored: &RuntimeVersion) -> Result<VersionConfig, Error> {
    serde_json::from_str(&stored.version.configuration).map_err(Error::internal)
}

/// The workload identity that belongs to a runtime.
fn workload_identity(runtime: &Runtime) -> WorkloadIdentityDetails {
    let RuntimeArn {
        region,
        account,
        runtime,
    } = runtime.arn();
    let directory = "workload-identity-directory/default/workload-identity";
    WorkloadIdentityDetails {
        workload_identity_arn: format!("arn:aws:bedrock-agentcore:{region}:{account}:{directory}/{runtime}"),
    }
}

pub(super) fn created(stored: &RuntimeVersion) -> CreateAgentRuntimeResponse {
    CreateAgentRuntimeResponse {
        agent_runtime_arn: stored.runtime.arn().to_string(),
        workload_identity_details: Some(workload_identity(&stored.runtime)),
        agent_runtime_id: stored.runtime.id.clone(),
        agent_runtime_version: stored.version.number,
        created_at: timestamp(stored.runtime.created_at),
        status: stored.status(),
    }
}

pub(super) fn updated(stored: &RuntimeVersion) -> UpdateAgentRuntimeResponse {
    UpdateAgentRuntimeResponse {
        agent_runtime_arn: stored.runtime.arn().to_string(),
        agent_runtime_id: stored.runtime.id.clone(),
        workload_identity_details: Some(workload_identity(&stored.runtime)),
        agent_runtime_version: stored.version.number,
        created_at: timestamp(stored.runtime.created_at),
        last_updated_at: timestamp(stored.version.updated_at),
        status: stored.status(),
    }
}

pub(super) fn described(stored: &RuntimeVersion) -> Result<GetAgentRuntimeResponse, Error> {
    let config = config(stored)?;
    Ok(GetAgentRuntimeResponse {
        agent_runtime_arn: stored.runtime.arn().to_string(),
        agent_runtime_name: stored.runtime.name.clone(),
        agent_runtime_id: stored.runtime.id.clone(),
        agent_runtime_version: stored.version.number,
        created_at: timestamp(stored.runtime.created_at),
        last_updated_at: timestamp(stored.version.updated_at),
        role_arn: config.role_arn,
        network_configuration: Some(config.network_configuration),
        status: stored.status(),
        lifecycle_configuration: config.lifecycle_configuration,
        hooks_configuration: config.hooks_configuration,
        failure_reason: stored.failure_reason().map(str::to_owned),
        description: config.description,
        workload_identity_details: Some(workload_identity(&stored.runtime)),
        agent_runtime_artifact: Some(config.agent_runtime_artifact),
        protocol_configuration: config.protocol_configuration,
        environment_variables: config.environment_variables,
        authorizer_configuration: config.authorizer_configuration,
        request_header_configuration: config.request_header_configuration,
        metadata_configuration: Some(config.metadata_configuration),
        filesystem_configurations: config.filesystem_configurations,
        capacity_provider_configuration: config.capacity_provider_configuration,
        platform_version: Some(config.platform_version),
        allowed_ports: config.allowed_ports,
        resource_configurations: config.resource_configurations,
    })
}

pub(super) fn listed(stored: &RuntimeVersion) -> Result<AgentRuntime, Error> {
    Ok(AgentRuntime {
        agent_runtime_arn: stored.runtime.arn().to_string(),
        agent_runtime_id: stored.runtime.id.clone(),
        agent_runtime_version: stored.version.number,
        agent_runtime_name: stored.runtime.name.clone(),
        description: config(stored)?
            .description
            .unwrap_or_else(|| Sensitive::from(String::new())),
        last_updated_at: timestamp(stored.version.updated_at),
        status: stored.status(),
    })
}
