//! What a version of a runtime is: everything that Create or Update said about it, defaults filled in. Stored
//! as JSON and never changed afterwards.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use coracle_supervisor::driver::AgentHook;
use coracle_types::{ServerProtocol, limits};
use coracle_wire::Sensitive;
use coracle_wire::control::{
    AgentRuntimeArtifact, AllowedPort, AuthorizerConfiguration, CapacityProviderConfiguration,
    CreateAgentRuntimeRequest, FilesystemConfiguration, LifecycleConfiguration, LifecycleHookAction,
    NetworkConfiguration, NetworkMode, ProtocolConfiguration, RequestHeaderConfiguration,
    ResourceConfiguration, RuntimeHooksConfiguration, RuntimeMetadataConfiguration,
    UpdateAgentRuntimeRequest,
};
use serde::{Deserialize, Serialize};

/// The platform version of a runtime that names none.
const DEFAULT_PLATFORM_VERSION: &str = "V2";

/// The configuration of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionConfig {
    /// What to run.
    pub agent_runtime_artifact: AgentRuntimeArtifact,
    /// The role named by the developer. Stored and echoed.
    pub role_arn: String,
    /// Public unless the developer said otherwise.
    pub network_configuration: NetworkConfiguration,
    /// For people.
    pub description: Option<Sensitive<String>>,
    /// How invocations are authorised; absent means SigV4.
    pub authorizer_configuration: Option<AuthorizerConfiguration>,
    /// Which further headers reach the agent.
    pub request_header_configuration: Option<RequestHeaderConfiguration>,
    /// What the agent's server speaks; absent means HTTP.
    pub protocol_configuration: Option<ProtocolConfiguration>,
    /// When sessions end, both values filled in.
    pub lifecycle_configuration: LifecycleConfiguration,
    /// Requests at build time.
    pub hooks_configuration: Option<RuntimeHooksConfiguration>,
    /// The agent's environment.
    pub environment_variables: Option<Sensitive<BTreeMap<String, String>>>,
    /// Mounts.
    pub filesystem_configurations: Option<Vec<FilesystemConfiguration>>,
    /// Placement on instances. Stored and echoed.
    pub capacity_provider_configuration: Option<CapacityProviderConfiguration>,
    /// Whether sessions are booted (`V1`) or restored (`V2`).
    pub platform_version: String,
    /// Ports reachable from outside a session.
    pub allowed_ports: Option<Vec<AllowedPort>>,
    /// Wanted resources.
    pub resource_configurations: Option<Vec<ResourceConfiguration>>,
    /// Metadata service settings.
    pub metadata_configuration: RuntimeMetadataConfiguration,
}

impl VersionConfig {
    /// The first version of a runtime.
    pub fn created(request: CreateAgentRuntimeRequest) -> Self {
        Self {
            agent_runtime_artifact: request.agent_runtime_artifact,
            role_arn: request.role_arn,
            network_configuration: request.network_configuration.unwrap_or(PUBLIC),
            description: request.description,
            authorizer_configuration: request.authorizer_configuration,
            request_header_configuration: request.request_header_configuration,
            protocol_configuration: request.protocol_configuration,
            lifecycle_configuration: filled_in(request.lifecycle_configuration.as_ref()),
            hooks_configuration: request.hooks_configuration,
            environment_variables: request.environment_variables,
            filesystem_configurations: request.filesystem_configurations,
            capacity_provider_configuration: request.capacity_provider_configuration,
            platform_version: request
                .platform_version
                .unwrap_or_else(|| DEFAULT_PLATFORM_VERSION.to_owned()),
            allowed_ports: request.allowed_ports,
            resource_configurations: request.resource_configurations,
            metadata_configuration: RuntimeMetadataConfiguration { require_mmdsv2: true },
        }
    }

    /// The version after `previous`. An update replaces everything but platform version and metadata settings.
    pub fn updated(request: UpdateAgentRuntimeRequest, previous: Self) -> Self {
        Self {
            agent_runtime_artifact: request.agent_runtime_artifact,
            role_arn: request.role_arn,
            network_configuration: request.network_configuration.unwrap_or(PUBLIC),
            description: request.description,
            authorizer_configuration: request.authorizer_configuration,
            request_header_configuration: request.request_header_configuration,
            protocol_configuration: request.protocol_configuration,
            lifecycle_configuration: filled_in(request.lifecycle_configuration.as_ref()),
            hooks_configuration: request.hooks_configuration,
            environment_variables: request.environment_variables,
            filesystem_configurations: request.filesystem_configurations,
            capacity_provider_configuration: request.capacity_provider_configuration,
            platform_version: request.platform_version.unwrap_or(previous.platform_version),
            allowed_ports: request.allowed_ports,
            resource_configurations: request.resource_configurations,
            metadata_configuration: request
                .metadata_configuration
                .unwrap_or(previous.metadata_configuration),
        }
    }

    /// What the agent's server speaks.
    pub fn protocol(&self) -> ServerProtocol {
        self.protocol_configuration
            .as_ref()
            .map_or_else(ServerProtocol::default, |it| it.server_protocol)
    }

    /// The subnets it is in, if its network is not the public one.
    pub fn subnets(&self) -> Option<&[String]> {
        let vpc = self.network_configuration.network_mode_config.as_ref();
        match self.network_configuration.network_mode {
            NetworkMode::Public => None,
            NetworkMode::Vpc => Some(vpc.map_or(&[], |vpc| &vpc.subnets)),
        }
    }

    /// The port the agent listens on.
    pub fn port(&self) -> u16 {
        let configured = self.protocol_configuration.as_ref().and_then(|it| it.port);
        configured
            .and_then(|port| port.try_into().ok())
            .unwrap_or_else(|| self.protocol().default_port())
    }

    /// The ports that the URL of a session reaches.
    pub fn allowed_ports(&self) -> AllowedPorts {
        let entries = self.allowed_ports.iter().flatten();
        AllowedPorts(
            entries
                .filter_map(|entry| {
                    let (from, to) = match entry {
                        AllowedPort::Port(port) => (*port, *port),
                        AllowedPort::PortRange(range) => (range.from, range.to),
                    };
                    Some(from.try_into().ok()?..=to.try_into().ok()?)
                })
                .collect(),
        )
    }

    /// The path of an invocation.
    pub fn path(&self) -> &str {
        let configured = self
            .protocol_configuration
            .as_ref()
            .and_then(|it| it.path.as_deref());
        configured.unwrap_or_else(|| self.protocol().default_path())
    }

    /// How long the agent may take until its first healthy ping: directly deployed code has less time on platform
    /// V1, which boots every session, than on V2.
    pub fn init_timeout(&self) -> Duration {
        let is_code = matches!(
            self.agent_runtime_artifact,
            AgentRuntimeArtifact::CodeConfiguration(_)
        );
        if is_code && self.platform_version == "V1" {
            limits::CODE_INIT_TIMEOUT
        } else {
            limits::CONTAINER_INIT_TIMEOUT
        }
    }

    /// Whether sessions are to be restored from a template rather than booted.
    pub fn wants_template(&self) -> bool {
        self.platform_version != "V1"
    }

    /// Where its sessions find what they keep, if they keep anything.
    pub fn session_storage(&self) -> Option<&str> {
        let filesystems = self.filesystem_configurations.as_deref().unwrap_or_default();
        filesystems.iter().find_map(|filesystem| match filesystem {
            FilesystemConfiguration::SessionStorage(storage) => {
                Some(storage.mount_path.trim_end_matches('/'))
            }
            FilesystemConfiguration::S3FilesAccessPoint(_)
            | FilesystemConfiguration::EfsAccessPoint(_)
            | FilesystemConfiguration::CapacityProviderVolume(_) => None,
        })
    }

    /// The access points that its sessions mount: ARN and place of each.
    pub fn access_points(&self) -> impl Iterator<Item = (&str, &str)> {
        let filesystems = self.filesystem_configurations.as_deref().unwrap_or_default();
        filesystems.iter().filter_map(|filesystem| {
            let (arn, mount_path) = match filesystem {
                FilesystemConfiguration::EfsAccessPoint(it) => (&it.access_point_arn, &it.mount_path),
                FilesystemConfiguration::S3FilesAccessPoint(it) => (&it.access_point_arn, &it.mount_path),
                FilesystemConfiguration::SessionStorage(_)
                | FilesystemConfiguration::CapacityProviderVolume(_) => return None,
            };
            Some((arn.as_str(), mount_path.trim_end_matches('/')))
        })
    }

    /// The request that warms the agent up before its template is kept.
    pub fn warm_up(&self) -> Option<AgentHook> {
        let hook = self
            .hooks_configuration
            .as_ref()?
            .build
            .as_ref()?
            .warmup
            .as_ref()?;
        let LifecycleHookAction::HttpPost(action) = &hook.action;
        let port = action.port.and_then(|port| port.try_into().ok());
        Some(AgentHook {
            port: port.unwrap_or_else(|| self.port()),
            path: action.path.clone(),
        })
    }

    /// Names of the further headers that reach the agent.
    pub fn allowed_headers(&self) -> &[String] {
        match &self.request_header_configuration {
            Some(RequestHeaderConfiguration::RequestHeaderAllowlist(names)) => names,
            None => &[],
        }
    }
}

/// Ports that are reachable from outside a session, besides the invocations of its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedPorts(Vec<RangeInclusive<u16>>);

impl AllowedPorts {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this port is one of them.
    pub fn contain(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

const PUBLIC: NetworkConfiguration = NetworkConfiguration {
    network_mode: NetworkMode::Public,
    network_mode_config: None,
};

/// Both lifecycle values, in seconds, by the service's rules for the one that is missing.
fn filled_in(given: Option<&LifecycleConfiguration>) -> LifecycleConfiguration {
    let idle = given.and_then(|it| it.idle_runtime_session_timeout);
    let lifetime = given.and_then(|it| it.max_lifetime);
    let default_idle = limits::DEFAULT_IDLE_TIMEOUT_SECS.cast_signed();
    let default_lifetime = limits::DEFAULT_MAX_LIFETIME_SECS.cast_signed();
    LifecycleConfiguration {
        idle_runtime_session_timeout: Some(
            idle.unwrap_or_else(|| lifetime.map_or(default_idle, |lifetime| lifetime.min(default_idle))),
        ),
        max_lifetime: Some(lifetime.unwrap_or(default_lifetime)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_defaults() {
        let lifecycle = |idle, lifetime| {
            let filled = filled_in(Some(&LifecycleConfiguration {
                idle_runtime_session_timeout: idle,
                max_lifetime: lifetime,
            }));
            (
                filled.idle_runtime_session_timeout.unwrap(),
                filled.max_lifetime.unwrap(),
            )
        };
        assert_eq!(lifecycle(None, None), (900, 28_800));
        assert_eq!(lifecycle(None, Some(600)), (600, 600));
        assert_eq!(lifecycle(None, Some(3600)), (900, 3600));
        assert_eq!(lifecycle(Some(120), None), (120, 28_800));
        assert_eq!(lifecycle(Some(120), Some(240)), (120, 240));
    }
}
