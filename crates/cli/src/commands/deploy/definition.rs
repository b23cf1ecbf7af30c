//! What the project says a runtime should be, in the words of the API. Pure.

use coracle_types::{AccountId, RuntimeName};
use coracle_wire::control::{
    AgentRuntimeArtifact, Code, CodeConfiguration, CreateAgentRuntimeRequest, GetAgentRuntimeResponse,
    LifecycleConfiguration, NetworkConfiguration, NetworkMode, ProtocolConfiguration,
    RequestHeaderConfiguration, S3Location, UpdateAgentRuntimeRequest, VpcConfig,
};

use crate::aws::control::client_token;
use crate::failure::Failure;
use crate::package::deployed_entry_file;
use crate::project::{Lifecycle, RuntimeEntry};

const OTEL_LAUNCHER: &str = "opentelemetry-instrument";

/// The role of the runtime. Coracle does not look roles up, so a name will do there.
pub(super) fn role(entry: &RuntimeEntry, account: &AccountId, is_aws: bool) -> Result<String, Failure> {
    match &entry.execution_role_arn {
        Some(role) => Ok(role.clone()),
        None if is_aws => Err(Failure::usage(
            "AWS needs an execution role for the runtime",
            "set `executionRoleArn` of the runtime in agentcore/agentcore.json",
        )),
        None => Ok(format!("arn:aws:iam::{account}:role/AgentCoreRuntime")),
    }
}

/// Code that has been uploaded.
pub(super) fn code(
    entry: &RuntimeEntry,
    location: S3Location,
    has_otel_launcher: bool,
) -> AgentRuntimeArtifact {
    let launcher = entry.instrumentation.enable_otel && has_otel_launcher;
    let entry_point = launcher.then(|| OTEL_LAUNCHER.to_owned()).into_iter();
    AgentRuntimeArtifact::CodeConfiguration(CodeConfiguration {
        code: Code::S3(location),
        runtime: entry.runtime_version,
        entry_point: entry_point
            .chain([deployed_entry_file(entry.entry_file())])
            .collect(),
    })
}

/// The whole definition of the runtime.
pub(super) fn desired(
    entry: &RuntimeEntry,
    name: RuntimeName,
    role_arn: String,
    artifact: AgentRuntimeArtifact,
) -> Result<CreateAgentRuntimeRequest, Failure> {
    let environment = entry.environment();
    Ok(CreateAgentRuntimeRequest {
        agent_runtime_name: name,
        agent_runtime_artifact: artifact,
        role_arn,
        network_configuration: Some(network(entry)?),
        client_token: client_token(),
        description: entry.description.clone().map(Into::into),
        authorizer_configuration: None,
        request_header_configuration: entry
            .request_header_allowlist
            .clone()
            .filter(|names| !names.is_empty())
            .map(RequestHeaderConfiguration::RequestHeaderAllowlist),
        protocol_configuration: Some(ProtocolConfiguration {
            server_protocol: entry.protocol,
            port: None,
            path: None,
        }),
        lifecycle_configuration: entry.lifecycle_configuration.map(lifecycle),
        hooks_configuration: None,
        environment_variables: (!environment.is_empty()).then(|| environment.into()),
        filesystem_configurations: entry.filesystem_configurations.clone(),
        capacity_provider_configuration: None,
        tags: None,
        platform_version: None,
        allowed_ports: None,
        resource_configurations: None,
    })
}

fn network(entry: &RuntimeEntry) -> Result<NetworkConfiguration, Failure> {
    match (entry.network_mode.as_str(), &entry.network_config) {
        ("PUBLIC", _) => Ok(NetworkConfiguration {
            network_mode: NetworkMode::Public,
            network_mode_config: None,
        }),
        ("VPC", Some(config)) => Ok(NetworkConfiguration {
            network_mode: NetworkMode::Vpc,
            network_mode_config: Some(VpcConfig {
                security_groups: config.security_groups.clone(),
                subnets: config.subnets.clone(),
                require_service_s3_endpoint: None,
            }),
        }),
        ("VPC", None) => Err(Failure::usage(
            "network mode VPC needs subnets and security groups",
            "set `networkConfig` of the runtime in agentcore/agentcore.json",
        )),
        (mode, _) => Err(Failure::usage(
            format!("there is no network mode `{mode}`"),
            "`networkMode` is PUBLIC or VPC",
        )),
    }
}

fn lifecycle(lifecycle: Lifecycle) -> LifecycleConfiguration {
    LifecycleConfiguration {
        idle_runtime_session_timeout: lifecycle.idle_runtime_session_timeout,
        max_lifetime: lifecycle.max_lifetime,
    }
}

/// Whether the runtime is already what it should be. Lifetimes and file systems that the project leaves open are the
/// server's.
pub(super) fn is_same(desired: &CreateAgentRuntimeRequest, runtime: &GetAgentRuntimeResponse) -> bool {
    let open_or_same = |wanted: Option<i32>, is: Option<i32>| wanted.is_none() || wanted == is;
    let wanted = desired.lifecycle_configuration.clone().unwrap_or_default();
    let is = &runtime.lifecycle_configuration;
    runtime.agent_runtime_artifact.as_ref() == Some(&desired.agent_runtime_artifact)
        && runtime.role_arn == desired.role_arn
        && runtime.network_configuration == desired.network_configuration
        && runtime.description.as_deref().unwrap_or(&String::new())
            == desired.description.as_deref().unwrap_or(&String::new())
        && runtime.request_header_configuration == desired.request_header_configuration
        && runtime
            .environment_variables
            .as_deref()
            .unwrap_or(&Default::default())
            == desired
                .environment_variables
                .as_deref()
                .unwrap_or(&Default::default())
        && runtime
            .protocol_configuration
            .as_ref()
            .map(|protocol| protocol.server_protocol)
            .unwrap_or_default()
            == desired
                .protocol_configuration
                .as_ref()
                .map(|protocol| protocol.server_protocol)
                .unwrap_or_default()
        && (desired.filesystem_configurations.is_none()
            || desired.filesystem_configurations == runtime.filesystem_configurations)
        && open_or_same(
            wanted.idle_runtime_session_timeout,
            is.idle_runtime_session_timeout,
        )
        && open_or_same(wanted.max_lifetime, is.max_lifetime)
}

/// The update that makes a runtime what it should be. An update replaces everything, so what the project file has
/// no words for is carried over.
pub(super) fn update(
    desired: CreateAgentRuntimeRequest,
    runtime: &GetAgentRuntimeResponse,
) -> UpdateAgentRuntimeRequest {
    let current = runtime.clone();
    UpdateAgentRuntimeRequest {
        agent_runtime_id: current.agent_runtime_id,
        agent_runtime_artifact: desired.agent_runtime_artifact,
        role_arn: desired.role_arn,
        network_configuration: desired.network_configuration,
        description: desired.description,
        authorizer_configuration: current.authorizer_configuration,
        request_header_configuration: desired.request_header_configuration,
        protocol_configuration: desired.protocol_configuration,
        lifecycle_configuration: desired.lifecycle_configuration,
        hooks_configuration: current.hooks_configuration,
        metadata_configuration: current.metadata_configuration,
        environment_variables: desired.environment_variables,
        filesystem_configurations: desired
            .filesystem_configurations
            .or(current.filesystem_configurations),
        capacity_provider_configuration: current.capacity_provider_configuration,
        platform_version: current.platform_version,
        allowed_ports: current.allowed_ports,
        resource_configurations: current.resource_configurations,
        client_token: desired.client_token,
    }
}
