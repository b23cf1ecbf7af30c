// Written by `cargo xtask generate`.
//! The implemented operations of the control service: their types, handlers and dispatcher.

use std::future::Future;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::control_shapes as shapes;
use crate::dispatch::call;
use crate::shape::Shape;
use crate::{Error, Modelled, Request};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRuntime {
    pub agent_runtime_arn: String,
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub agent_runtime_version: coracle_types::VersionNumber,
    pub agent_runtime_name: coracle_types::RuntimeName,
    pub description: crate::Sensitive<String>,
    pub last_updated_at: jiff::Timestamp,
    pub status: coracle_types::ResourceStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentRuntimeArtifact {
    ContainerConfiguration(ContainerConfiguration),
    CodeConfiguration(CodeConfiguration),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentRuntimeEndpoint {
    pub name: crate::Sensitive<coracle_types::EndpointName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_version: Option<coracle_types::VersionNumber>,
    pub agent_runtime_endpoint_arn: String,
    pub agent_runtime_arn: String,
    pub status: coracle_types::ResourceStatus,
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created_at: jiff::Timestamp,
    pub last_updated_at: jiff::Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AllowedPort {
    Port(i32),
    PortRange(PortRange),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedWorkloadConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosting_environments: Option<Vec<HostingEnvironment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identities: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthorizerConfiguration {
    CustomJWTAuthorizer(CustomJWTAuthorizerConfiguration),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizingClaimMatchValueType {
    pub claim_match_value: ClaimMatchValueType,
    pub claim_match_operator: ClaimMatchOperatorType,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildLifecycleHooks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<LifecycleHook>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProviderConfiguration {
    pub capacity_provider_arn: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProviderVolumeConfiguration {
    pub volume_name: String,
    pub mount_path: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificateConfiguration {
    S3(S3CertificateConfiguration),
    SecretsManager(SecretsManagerCertificateConfiguration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClaimMatchOperatorType {
    #[serde(rename = "EQUALS")]
    Equals,
    #[serde(rename = "CONTAINS")]
    Contains,
    #[serde(rename = "CONTAINS_ANY")]
    ContainsAny,
}

impl ClaimMatchOperatorType {
    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "EQUALS",
            Self::Contains => "CONTAINS",
            Self::ContainsAny => "CONTAINS_ANY",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimMatchValueType {
    MatchValueString(String),
    MatchValueStringList(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Code {
    S3(S3Location),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeConfiguration {
    pub code: Code,
    pub runtime: coracle_types::RuntimeKind,
    pub entry_point: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerConfiguration {
    pub container_uri: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAgentRuntimeEndpointRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub name: crate::Sensitive<coracle_types::EndpointName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAgentRuntimeEndpointResponse {
    pub target_version: coracle_types::VersionNumber,
    pub agent_runtime_endpoint_arn: String,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_id: Option<coracle_types::RuntimeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_name: Option<crate::Sensitive<coracle_types::EndpointName>>,
    pub status: coracle_types::ResourceStatus,
    pub created_at: jiff::Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAgentRuntimeRequest {
    pub agent_runtime_name: coracle_types::RuntimeName,
    pub agent_runtime_artifact: AgentRuntimeArtifact,
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<crate::Sensitive<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer_configuration: Option<AuthorizerConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_configuration: Option<RequestHeaderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_configuration: Option<ProtocolConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_configuration: Option<LifecycleConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks_configuration: Option<RuntimeHooksConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<crate::Sensitive<std::collections::BTreeMap<String, String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_configurations: Option<Vec<FilesystemConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_configuration: Option<CapacityProviderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ports: Option<Vec<AllowedPort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_configurations: Option<Vec<ResourceConfiguration>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateAgentRuntimeResponse {
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity_details: Option<WorkloadIdentityDetails>,
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub agent_runtime_version: coracle_types::VersionNumber,
    pub created_at: jiff::Timestamp,
    pub status: coracle_types::ResourceStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomClaimValidationType {
    pub inbound_token_claim_name: String,
    pub inbound_token_claim_value_type: InboundTokenClaimValueType,
    pub authorizing_claim_match_value: AuthorizingClaimMatchValueType,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomJWTAuthorizerConfiguration {
    pub discovery_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_audience: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_clients: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_scope_mapping: Option<std::collections::BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_claims: Option<Vec<CustomClaimValidationType>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_endpoint: Option<PrivateEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_endpoint_overrides: Option<Vec<PrivateEndpointOverride>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_configurations: Option<Vec<CertificateConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_workload_configuration: Option<AllowedWorkloadConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAgentRuntimeEndpointRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub endpoint_name: crate::Sensitive<coracle_types::EndpointName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAgentRuntimeEndpointResponse {
    pub status: coracle_types::ResourceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_id: Option<coracle_types::RuntimeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_name: Option<crate::Sensitive<coracle_types::EndpointName>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAgentRuntimeRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteAgentRuntimeResponse {
    pub status: coracle_types::ResourceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_id: Option<coracle_types::RuntimeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_version: Option<coracle_types::VersionNumber>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteResourcePolicyRequest {
    pub resource_arn: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteResourcePolicyResponse {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EfsAccessPointConfiguration {
    pub access_point_arn: String,
    pub mount_path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndpointIpAddressType {
    #[serde(rename = "IPV4")]
    Ipv4,
    #[serde(rename = "IPV6")]
    Ipv6,
}

impl EndpointIpAddressType {
    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPV4",
            Self::Ipv6 => "IPV6",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FilesystemConfiguration {
    SessionStorage(SessionStorageConfiguration),
    S3FilesAccessPoint(S3FilesAccessPointConfiguration),
    EfsAccessPoint(EfsAccessPointConfiguration),
    CapacityProviderVolume(CapacityProviderVolumeConfiguration),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentRuntimeEndpointRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub endpoint_name: crate::Sensitive<coracle_types::EndpointName>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentRuntimeEndpointResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_version: Option<coracle_types::VersionNumber>,
    pub agent_runtime_endpoint_arn: String,
    pub agent_runtime_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub status: coracle_types::ResourceStatus,
    pub created_at: jiff::Timestamp,
    pub last_updated_at: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    pub name: crate::Sensitive<coracle_types::EndpointName>,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentRuntimeRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_version: Option<coracle_types::VersionNumber>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetAgentRuntimeResponse {
    pub agent_runtime_arn: String,
    pub agent_runtime_name: coracle_types::RuntimeName,
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub agent_runtime_version: coracle_types::VersionNumber,
    pub created_at: jiff::Timestamp,
    pub last_updated_at: jiff::Timestamp,
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    pub status: coracle_types::ResourceStatus,
    pub lifecycle_configuration: LifecycleConfiguration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks_configuration: Option<RuntimeHooksConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<crate::Sensitive<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity_details: Option<WorkloadIdentityDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_artifact: Option<AgentRuntimeArtifact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_configuration: Option<ProtocolConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<crate::Sensitive<std::collections::BTreeMap<String, String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer_configuration: Option<AuthorizerConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_configuration: Option<RequestHeaderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_configuration: Option<RuntimeMetadataConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_configurations: Option<Vec<FilesystemConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_configuration: Option<CapacityProviderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ports: Option<Vec<AllowedPort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_configurations: Option<Vec<ResourceConfiguration>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetResourcePolicyRequest {
    pub resource_arn: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetResourcePolicyResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostingEnvironment {
    pub arn: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPostLifecycleHookAction {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InboundTokenClaimValueType {
    #[serde(rename = "STRING")]
    String,
    #[serde(rename = "STRING_ARRAY")]
    StringArray,
}

impl InboundTokenClaimValueType {
    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::StringArray => "STRING_ARRAY",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_runtime_session_timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleHook {
    pub action: LifecycleHookAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LifecycleHookAction {
    HttpPost(HttpPostLifecycleHookAction),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimeEndpointsRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimeEndpointsResponse {
    pub runtime_endpoints: Vec<AgentRuntimeEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimeVersionsRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimeVersionsResponse {
    pub agent_runtimes: Vec<AgentRuntime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimesRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListAgentRuntimesResponse {
    pub agent_runtimes: Vec<AgentRuntime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResourceRequest {
    pub resource_arn: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTagsForResourceResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedVpcResource {
    pub vpc_identifier: String,
    pub subnet_ids: Vec<String>,
    pub endpoint_ip_address_type: EndpointIpAddressType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_domain: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfiguration {
    pub network_mode: NetworkMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode_config: Option<VpcConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NetworkMode {
    #[serde(rename = "PUBLIC")]
    Public,
    #[serde(rename = "VPC")]
    Vpc,
}

impl NetworkMode {
    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC",
            Self::Vpc => "VPC",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortRange {
    pub from: i32,
    pub to: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PrivateEndpoint {
    SelfManagedLatticeResource(SelfManagedLatticeResource),
    ManagedVpcResource(ManagedVpcResource),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateEndpointOverride {
    pub domain: String,
    pub private_endpoint: PrivateEndpoint,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolConfiguration {
    pub server_protocol: coracle_types::ServerProtocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutResourcePolicyRequest {
    pub resource_arn: String,
    pub policy: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutResourcePolicyResponse {
    pub policy: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestHeaderConfiguration {
    RequestHeaderAllowlist(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceConfiguration {
    pub minimum_memory_in_mi_b: i32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeHooksConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildLifecycleHooks>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeMetadataConfiguration {
    #[serde(rename = "requireMMDSV2")]
    pub require_mmdsv2: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3CertificateConfiguration {
    pub uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_owner_account_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3FilesAccessPointConfiguration {
    pub access_point_arn: String,
    pub mount_path: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Location {
    pub bucket: String,
    pub prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretsManagerCertificateConfiguration {
    pub secret_arn: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SelfManagedLatticeResource {
    ResourceConfigurationIdentifier(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStorageConfiguration {
    pub mount_path: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResourceRequest {
    pub resource_arn: String,
    pub tags: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagResourceResponse {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagResourceRequest {
    pub resource_arn: String,
    pub tag_keys: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UntagResourceResponse {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAgentRuntimeEndpointRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub endpoint_name: crate::Sensitive<coracle_types::EndpointName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_runtime_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAgentRuntimeEndpointResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_version: Option<coracle_types::VersionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_version: Option<coracle_types::VersionNumber>,
    pub agent_runtime_endpoint_arn: String,
    pub agent_runtime_arn: String,
    pub status: coracle_types::ResourceStatus,
    pub created_at: jiff::Timestamp,
    pub last_updated_at: jiff::Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAgentRuntimeRequest {
    pub agent_runtime_id: coracle_types::RuntimeId,
    pub agent_runtime_artifact: AgentRuntimeArtifact,
    pub role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<crate::Sensitive<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer_configuration: Option<AuthorizerConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_header_configuration: Option<RequestHeaderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_configuration: Option<ProtocolConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_configuration: Option<LifecycleConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks_configuration: Option<RuntimeHooksConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_configuration: Option<RuntimeMetadataConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_variables: Option<crate::Sensitive<std::collections::BTreeMap<String, String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_configurations: Option<Vec<FilesystemConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_configuration: Option<CapacityProviderConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ports: Option<Vec<AllowedPort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_configurations: Option<Vec<ResourceConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAgentRuntimeResponse {
    pub agent_runtime_arn: String,
    pub agent_runtime_id: coracle_types::RuntimeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity_details: Option<WorkloadIdentityDetails>,
    pub agent_runtime_version: coracle_types::VersionNumber,
    pub created_at: jiff::Timestamp,
    pub last_updated_at: jiff::Timestamp,
    pub status: coracle_types::ResourceStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcConfig {
    pub security_groups: Vec<String>,
    pub subnets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_service_s3_endpoint: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentityDetails {
    pub workload_identity_arn: String,
}

/// Implemented operations whose bodies are collected before they are dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffered {
    CreateAgentRuntime,
    UpdateAgentRuntime,
    GetAgentRuntime,
    DeleteAgentRuntime,
    ListAgentRuntimes,
    ListAgentRuntimeVersions,
    CreateAgentRuntimeEndpoint,
    UpdateAgentRuntimeEndpoint,
    GetAgentRuntimeEndpoint,
    DeleteAgentRuntimeEndpoint,
    ListAgentRuntimeEndpoints,
    TagResource,
    UntagResource,
    ListTagsForResource,
    PutResourcePolicy,
    GetResourcePolicy,
    DeleteResourcePolicy,
}

/// Implemented operations whose bodies the caller streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Streaming {}

/// The handlers of the control service. Every buffered operation needs one.
pub trait ControlService: Send + Sync {
    /// What a handler learns of a request beside its input, such as who sent it.
    type Context: Send + Sync;

    /// `PUT /runtimes/`
    fn create_agent_runtime(
        &self,
        context: &Self::Context,
        input: CreateAgentRuntimeRequest,
    ) -> impl Future<Output = Result<CreateAgentRuntimeResponse, Error>> + Send;

    /// `PUT /runtimes/{agentRuntimeId}/`
    fn update_agent_runtime(
        &self,
        context: &Self::Context,
        input: UpdateAgentRuntimeRequest,
    ) -> impl Future<Output = Result<UpdateAgentRuntimeResponse, Error>> + Send;

    /// `GET /runtimes/{agentRuntimeId}/`
    fn get_agent_runtime(
        &self,
        context: &Self::Context,
        input: GetAgentRuntimeRequest,
    ) -> impl Future<Output = Result<GetAgentRuntimeResponse, Error>> + Send;

    /// `DELETE /runtimes/{agentRuntimeId}/`
    fn delete_agent_runtime(
        &self,
        context: &Self::Context,
        input: DeleteAgentRuntimeRequest,
    ) -> impl Future<Output = Result<DeleteAgentRuntimeResponse, Error>> + Send;

    /// `POST /runtimes/`
    fn list_agent_runtimes(
        &self,
        context: &Self::Context,
        input: ListAgentRuntimesRequest,
    ) -> impl Future<Output = Result<ListAgentRuntimesResponse, Error>> + Send;

    /// `POST /runtimes/{agentRuntimeId}/versions/`
    fn list_agent_runtime_versions(
        &self,
        context: &Self::Context,
        input: ListAgentRuntimeVersionsRequest,
    ) -> impl Future<Output = Result<ListAgentRuntimeVersionsResponse, Error>> + Send;

    /// `PUT /runtimes/{agentRuntimeId}/runtime-endpoints/`
    fn create_agent_runtime_endpoint(
        &self,
        context: &Self::Context,
        input: CreateAgentRuntimeEndpointRequest,
    ) -> impl Future<Output = Result<CreateAgentRuntimeEndpointResponse, Error>> + Send;

    /// `PUT /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/`
    fn update_agent_runtime_endpoint(
        &self,
        context: &Self::Context,
        input: UpdateAgentRuntimeEndpointRequest,
    ) -> impl Future<Output = Result<UpdateAgentRuntimeEndpointResponse, Error>> + Send;

    /// `GET /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/`
    fn get_agent_runtime_endpoint(
        &self,
        context: &Self::Context,
        input: GetAgentRuntimeEndpointRequest,
    ) -> impl Future<Output = Result<GetAgentRuntimeEndpointResponse, Error>> + Send;

    /// `DELETE /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/`
    fn delete_agent_runtime_endpoint(
        &self,
        context: &Self::Context,
        input: DeleteAgentRuntimeEndpointRequest,
    ) -> impl Future<Output = Result<DeleteAgentRuntimeEndpointResponse, Error>> + Send;

    /// `POST /runtimes/{agentRuntimeId}/runtime-endpoints/`
    fn list_agent_runtime_endpoints(
        &self,
        context: &Self::Context,
        input: ListAgentRuntimeEndpointsRequest,
    ) -> impl Future<Output = Result<ListAgentRuntimeEndpointsResponse, Error>> + Send;

    /// `POST /tags/{resourceArn}`
    fn tag_resource(
        &self,
        context: &Self::Context,
        input: TagResourceRequest,
    ) -> impl Future<Output = Result<TagResourceResponse, Error>> + Send;

    /// `DELETE /tags/{resourceArn}`
    fn untag_resource(
        &self,
        context: &Self::Context,
        input: UntagResourceRequest,
    ) -> impl Future<Output = Result<UntagResourceResponse, Error>> + Send;

    /// `GET /tags/{resourceArn}`
    fn list_tags_for_resource(
        &self,
        context: &Self::Context,
        input: ListTagsForResourceRequest,
    ) -> impl Future<Output = Result<ListTagsForResourceResponse, Error>> + Send;

    /// `PUT /resourcepolicy/{resourceArn}`
    fn put_resource_policy(
        &self,
        context: &Self::Context,
        input: PutResourcePolicyRequest,
    ) -> impl Future<Output = Result<PutResourcePolicyResponse, Error>> + Send;

    /// `GET /resourcepolicy/{resourceArn}`
    fn get_resource_policy(
        &self,
        context: &Self::Context,
        input: GetResourcePolicyRequest,
    ) -> impl Future<Output = Result<GetResourcePolicyResponse, Error>> + Send;

    /// `DELETE /resourcepolicy/{resourceArn}`
    fn delete_resource_policy(
        &self,
        context: &Self::Context,
        input: DeleteResourcePolicyRequest,
    ) -> impl Future<Output = Result<DeleteResourcePolicyResponse, Error>> + Send;
}

/// Reads and validates a request, calls its handler and makes the response.
///
/// # Errors
/// What the request breaks, or what the handler says.
pub async fn dispatch<S: ControlService>(
    service: &S,
    context: &S::Context,
    operation: Buffered,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Error> {
    match operation {
        Buffered::CreateAgentRuntime => {
            call::<operations::CreateAgentRuntime, _>(request, |input| {
                service.create_agent_runtime(context, input)
            })
            .await
        }
        Buffered::UpdateAgentRuntime => {
            call::<operations::UpdateAgentRuntime, _>(request, |input| {
                service.update_agent_runtime(context, input)
            })
            .await
        }
        Buffered::GetAgentRuntime => {
            call::<operations::GetAgentRuntime, _>(request, |input| service.get_agent_runtime(context, input))
                .await
        }
        Buffered::DeleteAgentRuntime => {
            call::<operations::DeleteAgentRuntime, _>(request, |input| {
                service.delete_agent_runtime(context, input)
            })
            .await
        }
        Buffered::ListAgentRuntimes => {
            call::<operations::ListAgentRuntimes, _>(request, |input| {
                service.list_agent_runtimes(context, input)
            })
            .await
        }
        Buffered::ListAgentRuntimeVersions => {
            call::<operations::ListAgentRuntimeVersions, _>(request, |input| {
                service.list_agent_runtime_versions(context, input)
            })
            .await
        }
        Buffered::CreateAgentRuntimeEndpoint => {
            call::<operations::CreateAgentRuntimeEndpoint, _>(request, |input| {
                service.create_agent_runtime_endpoint(context, input)
            })
            .await
        }
        Buffered::UpdateAgentRuntimeEndpoint => {
            call::<operations::UpdateAgentRuntimeEndpoint, _>(request, |input| {
                service.update_agent_runtime_endpoint(context, input)
            })
            .await
        }
        Buffered::GetAgentRuntimeEndpoint => {
            call::<operations::GetAgentRuntimeEndpoint, _>(request, |input| {
                service.get_agent_runtime_endpoint(context, input)
            })
            .await
        }
        Buffered::DeleteAgentRuntimeEndpoint => {
            call::<operations::DeleteAgentRuntimeEndpoint, _>(request, |input| {
                service.delete_agent_runtime_endpoint(context, input)
            })
            .await
        }
        Buffered::ListAgentRuntimeEndpoints => {
            call::<operations::ListAgentRuntimeEndpoints, _>(request, |input| {
                service.list_agent_runtime_endpoints(context, input)
            })
            .await
        }
        Buffered::TagResource => {
            call::<operations::TagResource, _>(request, |input| service.tag_resource(context, input)).await
        }
        Buffered::UntagResource => {
            call::<operations::UntagResource, _>(request, |input| service.untag_resource(context, input))
                .await
        }
        Buffered::ListTagsForResource => {
            call::<operations::ListTagsForResource, _>(request, |input| {
                service.list_tags_for_resource(context, input)
            })
            .await
        }
        Buffered::PutResourcePolicy => {
            call::<operations::PutResourcePolicy, _>(request, |input| {
                service.put_resource_policy(context, input)
            })
            .await
        }
        Buffered::GetResourcePolicy => {
            call::<operations::GetResourcePolicy, _>(request, |input| {
                service.get_resource_policy(context, input)
            })
            .await
        }
        Buffered::DeleteResourcePolicy => {
            call::<operations::DeleteResourcePolicy, _>(request, |input| {
                service.delete_resource_policy(context, input)
            })
            .await
        }
    }
}

/// The implemented operations as types, for [`crate::parse`] and its relatives.
pub mod operations {
    use super::{Modelled, Shape, StatusCode, shapes};

    #[derive(Debug, Clone, Copy)]
    pub enum CreateAgentRuntime {}

    impl Modelled for CreateAgentRuntime {
        type Input = super::CreateAgentRuntimeRequest;
        type Output = super::CreateAgentRuntimeResponse;
        const NAME: &'static str = "CreateAgentRuntime";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::CREATE_AGENT_RUNTIME_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::CREATE_AGENT_RUNTIME_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum CreateAgentRuntimeEndpoint {}

    impl Modelled for CreateAgentRuntimeEndpoint {
        type Input = super::CreateAgentRuntimeEndpointRequest;
        type Output = super::CreateAgentRuntimeEndpointResponse;
        const NAME: &'static str = "CreateAgentRuntimeEndpoint";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::CREATE_AGENT_RUNTIME_ENDPOINT_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::CREATE_AGENT_RUNTIME_ENDPOINT_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum DeleteAgentRuntime {}

    impl Modelled for DeleteAgentRuntime {
        type Input = super::DeleteAgentRuntimeRequest;
        type Output = super::DeleteAgentRuntimeResponse;
        const NAME: &'static str = "DeleteAgentRuntime";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::DELETE_AGENT_RUNTIME_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::DELETE_AGENT_RUNTIME_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum DeleteAgentRuntimeEndpoint {}

    impl Modelled for DeleteAgentRuntimeEndpoint {
        type Input = super::DeleteAgentRuntimeEndpointRequest;
        type Output = super::DeleteAgentRuntimeEndpointResponse;
        const NAME: &'static str = "DeleteAgentRuntimeEndpoint";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::DELETE_AGENT_RUNTIME_ENDPOINT_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::DELETE_AGENT_RUNTIME_ENDPOINT_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum DeleteResourcePolicy {}

    impl Modelled for DeleteResourcePolicy {
        type Input = super::DeleteResourcePolicyRequest;
        type Output = super::DeleteResourcePolicyResponse;
        const NAME: &'static str = "DeleteResourcePolicy";
        const STATUS: StatusCode = StatusCode::NO_CONTENT;

        fn input_shape() -> &'static Shape {
            &shapes::DELETE_RESOURCE_POLICY_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::DELETE_RESOURCE_POLICY_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum GetAgentRuntime {}

    impl Modelled for GetAgentRuntime {
        type Input = super::GetAgentRuntimeRequest;
        type Output = super::GetAgentRuntimeResponse;
        const NAME: &'static str = "GetAgentRuntime";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::GET_AGENT_RUNTIME_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::GET_AGENT_RUNTIME_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum GetAgentRuntimeEndpoint {}

    impl Modelled for GetAgentRuntimeEndpoint {
        type Input = super::GetAgentRuntimeEndpointRequest;
        type Output = super::GetAgentRuntimeEndpointResponse;
        const NAME: &'static str = "GetAgentRuntimeEndpoint";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::GET_AGENT_RUNTIME_ENDPOINT_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::GET_AGENT_RUNTIME_ENDPOINT_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum GetResourcePolicy {}

    impl Modelled for GetResourcePolicy {
        type Input = super::GetResourcePolicyRequest;
        type Output = super::GetResourcePolicyResponse;
        const NAME: &'static str = "GetResourcePolicy";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::GET_RESOURCE_POLICY_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::GET_RESOURCE_POLICY_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum ListAgentRuntimeEndpoints {}

    impl Modelled for ListAgentRuntimeEndpoints {
        type Input = super::ListAgentRuntimeEndpointsRequest;
        type Output = super::ListAgentRuntimeEndpointsResponse;
        const NAME: &'static str = "ListAgentRuntimeEndpoints";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIME_ENDPOINTS_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIME_ENDPOINTS_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum ListAgentRuntimeVersions {}

    impl Modelled for ListAgentRuntimeVersions {
        type Input = super::ListAgentRuntimeVersionsRequest;
        type Output = super::ListAgentRuntimeVersionsResponse;
        const NAME: &'static str = "ListAgentRuntimeVersions";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIME_VERSIONS_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIME_VERSIONS_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum ListAgentRuntimes {}

    impl Modelled for ListAgentRuntimes {
        type Input = super::ListAgentRuntimesRequest;
        type Output = super::ListAgentRuntimesResponse;
        const NAME: &'static str = "ListAgentRuntimes";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIMES_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::LIST_AGENT_RUNTIMES_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum ListTagsForResource {}

    impl Modelled for ListTagsForResource {
        type Input = super::ListTagsForResourceRequest;
        type Output = super::ListTagsForResourceResponse;
        const NAME: &'static str = "ListTagsForResource";
        const STATUS: StatusCode = StatusCode::OK;

        fn input_shape() -> &'static Shape {
            &shapes::LIST_TAGS_FOR_RESOURCE_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::LIST_TAGS_FOR_RESOURCE_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum PutResourcePolicy {}

    impl Modelled for PutResourcePolicy {
        type Input = super::PutResourcePolicyRequest;
        type Output = super::PutResourcePolicyResponse;
        const NAME: &'static str = "PutResourcePolicy";
        const STATUS: StatusCode = StatusCode::CREATED;

        fn input_shape() -> &'static Shape {
            &shapes::PUT_RESOURCE_POLICY_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::PUT_RESOURCE_POLICY_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum TagResource {}

    impl Modelled for TagResource {
        type Input = super::TagResourceRequest;
        type Output = super::TagResourceResponse;
        const NAME: &'static str = "TagResource";
        const STATUS: StatusCode = StatusCode::NO_CONTENT;

        fn input_shape() -> &'static Shape {
            &shapes::TAG_RESOURCE_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::TAG_RESOURCE_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum UntagResource {}

    impl Modelled for UntagResource {
        type Input = super::UntagResourceRequest;
        type Output = super::UntagResourceResponse;
        const NAME: &'static str = "UntagResource";
        const STATUS: StatusCode = StatusCode::NO_CONTENT;

        fn input_shape() -> &'static Shape {
            &shapes::UNTAG_RESOURCE_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::UNTAG_RESOURCE_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum UpdateAgentRuntime {}

    impl Modelled for UpdateAgentRuntime {
        type Input = super::UpdateAgentRuntimeRequest;
        type Output = super::UpdateAgentRuntimeResponse;
        const NAME: &'static str = "UpdateAgentRuntime";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::UPDATE_AGENT_RUNTIME_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::UPDATE_AGENT_RUNTIME_RESPONSE
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub enum UpdateAgentRuntimeEndpoint {}

    impl Modelled for UpdateAgentRuntimeEndpoint {
        type Input = super::UpdateAgentRuntimeEndpointRequest;
        type Output = super::UpdateAgentRuntimeEndpointResponse;
        const NAME: &'static str = "UpdateAgentRuntimeEndpoint";
        const STATUS: StatusCode = StatusCode::ACCEPTED;

        fn input_shape() -> &'static Shape {
            &shapes::UPDATE_AGENT_RUNTIME_ENDPOINT_REQUEST
        }

        fn output_shape() -> &'static Shape {
            &shapes::UPDATE_AGENT_RUNTIME_ENDPOINT_RESPONSE
        }
    }
}
