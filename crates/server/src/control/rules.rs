//! Rules that span several members of a request, which the service model cannot say. All broken ones are
//! reported at once, like those of the model.

use std::collections::HashSet;

use coracle_types::{AccountId, limits};
use coracle_wire::control::{
    AgentRuntimeArtifact, AllowedPort, AuthorizerConfiguration, ClaimMatchOperatorType,
    CreateAgentRuntimeRequest, CustomJWTAuthorizerConfiguration, FilesystemConfiguration,
    InboundTokenClaimValueType, LifecycleConfiguration, LifecycleHookAction, NetworkConfiguration,
    NetworkMode, ProtocolConfiguration, RequestHeaderConfiguration, RuntimeHooksConfiguration,
    UpdateAgentRuntimeRequest,
};
use coracle_wire::{Error, FieldErrors};

use crate::folders::Folders;

/// A port that the platform keeps for itself.
const RESERVED_PORT: i32 = 8443;
/// Prefix of the only `x-amzn-` headers that may be allow-listed.
const CUSTOM_HEADER_PREFIX: &str = "x-amzn-bedrock-agentcore-runtime-custom-";

/// Most access points of each kind.
const MOST_ACCESS_POINTS: usize = 2;
const ONLY_VOLUMES: &str = "With a capacity provider only capacityProviderVolume is valid";

/// Headers that may not be allow-listed, lower-case, as the service documents them.
const RESTRICTED_HEADERS: &[&str] = &[
    "accept",
    "accept-ch",
    "accept-ch-lifetime",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "cache-control",
    "cf-connecting-ip",
    "cf-ray",
    "clear-site-data",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "content-type",
    "cookie",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "downlink",
    "dpr",
    "ect",
    "etag",
    "expect-ct",
    "expires",
    "feature-policy",
    "forwarded",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "permissions-policy",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "public-key-pins",
    "public-key-pins-report-only",
    "range",
    "referer",
    "referrer-policy",
    "retry-after",
    "rtt",
    "save-data",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "viewport-width",
    "width",
    "www-authenticate",
    "x-amz-cf-id",
    "x-cache",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-content-type-options",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-frame-options",
    "x-original-host",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-requested-with",
    "x-rewrite-url",
    "x-served-by",
    "x-source-ip",
    "x-xss-protection",
];
const RESTRICTED_PREFIXES: &[&str] = &["access-control-", "sec-websocket-"];

/// The rules over a Create or an Update, which name their common members alike.
macro_rules! rules_of {
    ($request:expr, $account:expr, $folders:expr) => {
        Rules {
            account: $account,
            folders: $folders,
            artifact: &$request.agent_runtime_artifact,
            network: $request.network_configuration.as_ref(),
            authorizer: $request.authorizer_configuration.as_ref(),
            headers: $request.request_header_configuration.as_ref(),
            protocol: $request.protocol_configuration.as_ref(),
            lifecycle: $request.lifecycle_configuration.as_ref(),
            hooks: $request.hooks_configuration.as_ref(),
            filesystems: $request.filesystem_configurations.as_deref().unwrap_or_default(),
            with_capacity_provider: $request.capacity_provider_configuration.is_some(),
            ports: $request.allowed_ports.as_deref().unwrap_or_default(),
        }
    };
}

/// Checks a Create.
pub(super) fn check_create(
    request: &CreateAgentRuntimeRequest,
    account: &AccountId,
    folders: &Folders,
) -> Result<(), Error> {
    rules_of!(request, account, folders).check()
}

/// Checks an Update.
pub(super) fn check_update(
    request: &UpdateAgentRuntimeRequest,
    account: &AccountId,
    folders: &Folders,
) -> Result<(), Error> {
    rules_of!(request, account, folders).check()
}

/// What Create and Update have in common.
struct Rules<'a> {
    account: &'a AccountId,
    folders: &'a Folders,
    artifact: &'a AgentRuntimeArtifact,
    network: Option<&'a NetworkConfiguration>,
    authorizer: Option<&'a AuthorizerConfiguration>,
    headers: Option<&'a RequestHeaderConfiguration>,
    protocol: Option<&'a ProtocolConfiguration>,
    lifecycle: Option<&'a LifecycleConfiguration>,
    hooks: Option<&'a RuntimeHooksConfiguration>,
    filesystems: &'a [FilesystemConfiguration],
    with_capacity_provider: bool,
    ports: &'a [AllowedPort],
}

impl Rules<'_> {
    fn check(&self) -> Result<(), Error> {
        let mut errors = FieldErrors::new();
        self.artifact(&mut errors);
        self.network(&mut errors);
        self.headers(&mut errors);
        self.lifecycle(&mut errors);
        self.protocol_and_hooks(&mut errors);
        self.filesystems(&mut errors);
        self.ports(&mut errors);
        if let Some(AuthorizerConfiguration::CustomJWTAuthorizer(jwt)) = self.authorizer {
            check_authorizer(jwt, &mut errors);
        }
        errors.into_result()
    }

    fn artifact(&self, errors: &mut FieldErrors) {
        let AgentRuntimeArtifact::CodeConfiguration(code) = self.artifact else {
            return;
        };
        let file = code.entry_point.last();
        if !file.is_some_and(|file| file.ends_with(code.runtime.entry_point_extension())) {
            errors.push(
                "agentRuntimeArtifact.codeConfiguration.entryPoint",
                "Entrypoint file type does not match your selected runtime",
            );
        }
    }

    fn network(&self, errors: &mut FieldErrors) {
        let Some(network) = self.network else { return };
        match (network.network_mode, &network.network_mode_config) {
            (NetworkMode::Vpc, None) => {
                errors.push(
                    "networkConfiguration.networkModeConfig",
                    "Member is required with network mode VPC",
                );
            }
            (_, Some(config)) if config.require_service_s3_endpoint.is_some() => errors.push(
                "networkConfiguration.networkModeConfig.requireServiceS3Endpoint",
                "Member cannot be set for this runtime",
            ),
            _ => {}
        }
    }

    fn headers(&self, errors: &mut FieldErrors) {
        let Some(RequestHeaderConfiguration::RequestHeaderAllowlist(names)) = self.headers else {
            return;
        };
        let mut seen = HashSet::new();
        for (index, name) in names.iter().enumerate() {
            let name = name.to_ascii_lowercase();
            let problem = if name == "authorization" && self.authorizer.is_none() {
                Some("Authorization can be allow-listed only with a customJWTAuthorizer")
            } else if RESTRICTED_HEADERS.contains(&name.as_str())
                || RESTRICTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || name.starts_with("x-amz-")
                || (name.starts_with("x-amzn-") && !name.starts_with(CUSTOM_HEADER_PREFIX))
            {
                Some("This header cannot be allow-listed")
            } else if !seen.insert(name) {
                Some("This header is already in the list")
            } else {
                None
            };
            if let Some(problem) = problem {
                errors.push(
                    format!("requestHeaderConfiguration.requestHeaderAllowlist.{}", index + 1),
                    problem,
                );
            }
        }
    }

    fn lifecycle(&self, errors: &mut FieldErrors) {
        let Some(lifecycle) = self.lifecycle else { return };
        let lifetime = lifecycle
            .max_lifetime
            .unwrap_or(limits::DEFAULT_MAX_LIFETIME_SECS.cast_signed());
        if lifecycle
            .idle_runtime_session_timeout
            .is_some_and(|idle| idle > lifetime)
        {
            errors.push(
                "lifecycleConfiguration.idleRuntimeSessionTimeout",
                "idleRuntimeSessionTimeout must be less than or equal to maxLifeTime",
            );
        }
    }

    fn protocol_and_hooks(&self, errors: &mut FieldErrors) {
        let reserved = "Port 8443 is reserved";
        if self
            .protocol
            .is_some_and(|protocol| protocol.port == Some(RESERVED_PORT))
        {
            errors.push("protocolConfiguration.port", reserved);
        }
        let warmup = self
            .hooks
            .and_then(|hooks| hooks.build.as_ref())
            .and_then(|build| build.warmup.as_ref());
        let Some(LifecycleHookAction::HttpPost(post)) = warmup.map(|warmup| &warmup.action) else {
            return;
        };
        let path = "hooksConfiguration.build.warmup.action.httpPost";
        if post.port == Some(RESERVED_PORT) {
            errors.push(format!("{path}.port"), reserved);
        }
        let protocol = self
            .protocol
            .map_or_else(Default::default, |protocol| protocol.server_protocol);
        let configured = self.protocol.and_then(|protocol| protocol.path.as_deref());
        if post.path == "/ping" || post.path == configured.unwrap_or(protocol.default_path()) {
            errors.push(
                format!("{path}.path"),
                "The path must differ from the invocation path and from /ping",
            );
        }
    }

    fn filesystems(&self, errors: &mut FieldErrors) {
        let mut mounts = HashSet::new();
        let (mut session_storages, mut s3_files, mut efs) = (0, 0, 0);
        for (index, filesystem) in self.filesystems.iter().enumerate() {
            let path = format!("filesystemConfigurations.{}", index + 1);
            let (mount, problem) = match filesystem {
                FilesystemConfiguration::SessionStorage(it) => {
                    session_storages += 1;
                    let problem = if self.with_capacity_provider {
                        Some(ONLY_VOLUMES.to_owned())
                    } else if session_storages > 1 {
                        Some("At most one sessionStorage configuration is allowed".to_owned())
                    } else {
                        None
                    };
                    (&it.mount_path, problem)
                }
                FilesystemConfiguration::S3FilesAccessPoint(it) => {
                    s3_files += 1;
                    (&it.mount_path, self.access_point(&it.access_point_arn, s3_files))
                }
                FilesystemConfiguration::EfsAccessPoint(it) => {
                    efs += 1;
                    (&it.mount_path, self.access_point(&it.access_point_arn, efs))
                }
                FilesystemConfiguration::CapacityProviderVolume(it) => {
                    let problem = (!self.with_capacity_provider)
                        .then(|| "capacityProviderVolume needs a capacity provider".to_owned());
                    (&it.mount_path, problem)
                }
            };
            if !mounts.insert(mount.trim_end_matches('/')) {
                errors.push(format!("{path}.mountPath"), "Mount paths must be unique");
            }
            if let Some(problem) = problem {
                errors.push(path, problem);
            }
        }
    }

    /// What is wrong with an access point that is so manieth of its kind.
    fn access_point(&self, arn: &str, number: usize) -> Option<String> {
        let is_in_vpc = self
            .network
            .is_some_and(|network| matches!(network.network_mode, NetworkMode::Vpc));
        if self.with_capacity_provider {
            Some(ONLY_VOLUMES.to_owned())
        } else if number > MOST_ACCESS_POINTS {
            Some(format!(
                "At most {MOST_ACCESS_POINTS} access points of a kind are allowed"
            ))
        } else if !is_in_vpc {
            Some("Access points need the network mode VPC".to_owned())
        } else {
            self.folders.refusal(arn, self.account)
        }
    }

    fn ports(&self, errors: &mut FieldErrors) {
        let mut taken: Vec<(i32, i32)> = Vec::new();
        for (index, entry) in self.ports.iter().enumerate() {
            let (from, to) = match entry {
                AllowedPort::Port(port) => (*port, *port),
                AllowedPort::PortRange(range) => (range.from, range.to),
            };
            let problem = if from > to {
                "from must not be above to"
            } else if (from..=to).contains(&RESERVED_PORT) {
                "Port 8443 is reserved"
            } else if taken
                .iter()
                .any(|(other_from, other_to)| from <= *other_to && *other_from <= to)
            {
                "Entries must not overlap"
            } else {
                taken.push((from, to));
                continue;
            };
            errors.push(format!("allowedPorts.{}", index + 1), problem);
        }
    }
}

fn check_authorizer(jwt: &CustomJWTAuthorizerConfiguration, errors: &mut FieldErrors) {
    let path = "authorizerConfiguration.customJWTAuthorizer";
    if jwt.allowed_audience.is_none()
        && jwt.allowed_clients.is_none()
        && jwt.allowed_scopes.is_none()
        && jwt.custom_claims.is_none()
    {
        errors.push(
            path,
            "At least one of allowedAudience, allowedClients, allowedScopes and customClaims is required",
        );
    }
    if jwt.certificate_configurations.is_some() && jwt.private_endpoint.is_none() {
        errors.push(
            format!("{path}.certificateConfigurations"),
            "Member needs a privateEndpoint",
        );
    }
    for (index, claim) in jwt.custom_claims.iter().flatten().enumerate() {
        let equals =
            claim.authorizing_claim_match_value.claim_match_operator == ClaimMatchOperatorType::Equals;
        let string = claim.inbound_token_claim_value_type == InboundTokenClaimValueType::String;
        if equals != string {
            errors.push(
                format!(
                    "{path}.customClaims.{}.authorizingClaimMatchValue.claimMatchOperator",
                    index + 1
                ),
                "STRING claims allow EQUALS, STRING_ARRAY claims allow CONTAINS and CONTAINS_ANY",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The names of the fields that are refused in a Create with these members added.
    fn refused(members: Value) -> Vec<String> {
        let mut request = json!({
            "agentRuntimeName": "hello",
            "roleArn": "arn:aws:iam::000000000000:role/any",
            "agentRuntimeArtifact": {"codeConfiguration": {
                "code": {"s3": {"bucket": "bucket", "prefix": "key"}},
                "runtime": "PYTHON_3_13",
                "entryPoint": ["main.py"],
            }},
        });
        let Value::Object(members) = members else {
            panic!("members are an object")
        };
        for (name, value) in members {
            request[name] = value;
        }
        let request = serde_json::from_value(request).unwrap();
        match check_create(&request, &"000000000000".parse().unwrap(), &Folders::default()) {
            Ok(()) => Vec::new(),
            Err(error) => error.fields().iter().map(|field| field.name.clone()).collect(),
        }
    }

    #[test]
    fn a_plain_create_is_fine() {
        assert!(refused(json!({})).is_empty());
    }

    #[test]
    fn each_rule_names_its_field() {
        let code = |entry: Value| {
            json!({"agentRuntimeArtifact": {"codeConfiguration": {
                "code": {"s3": {"bucket": "bucket", "prefix": "key"}},
                "runtime": "PYTHON_3_13", "entryPoint": entry,
            }}})
        };
        let cases = [
            (
                code(json!(["main.js"])),
                "agentRuntimeArtifact.codeConfiguration.entryPoint",
            ),
            (
                json!({"lifecycleConfiguration": {"idleRuntimeSessionTimeout": 600, "maxLifetime": 300}}),
                "lifecycleConfiguration.idleRuntimeSessionTimeout",
            ),
            (
                json!({"lifecycleConfiguration": {"idleRuntimeSessionTimeout": 30000}}),
                "lifecycleConfiguration.idleRuntimeSessionTimeout",
            ),
            (
                json!({"networkConfiguration": {"networkMode": "VPC"}}),
                "networkConfiguration.networkModeConfig",
            ),
            (
                json!({"protocolConfiguration": {"serverProtocol": "HTTP", "port": 8443}}),
                "protocolConfiguration.port",
            ),
            (
                json!({"requestHeaderConfiguration": {"requestHeaderAllowlist": ["X-Ok", "Cookie"]}}),
                "requestHeaderConfiguration.requestHeaderAllowlist.2",
            ),
            (
                json!({"requestHeaderConfiguration": {"requestHeaderAllowlist": ["X-Same", "x-same"]}}),
                "requestHeaderConfiguration.requestHeaderAllowlist.2",
            ),
            (
                json!({"requestHeaderConfiguration": {"requestHeaderAllowlist": ["Authorization"]}}),
                "requestHeaderConfiguration.requestHeaderAllowlist.1",
            ),
            (json!({"allowedPorts": [{"port": 8443}]}), "allowedPorts.1"),
            (
                json!({"allowedPorts": [{"port": 9000}, {"portRange": {"from": 8999, "to": 9001}}]}),
                "allowedPorts.2",
            ),
            (
                json!({"filesystemConfigurations": [
                    {"sessionStorage": {"mountPath": "/mnt/a"}}, {"sessionStorage": {"mountPath": "/mnt/b"}},
                ]}),
                "filesystemConfigurations.2",
            ),
            (
                json!({"filesystemConfigurations": [{"efsAccessPoint": {
                    "accessPointArn": "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0",
                    "mountPath": "/mnt/shared",
                }}]}),
                "filesystemConfigurations.1",
            ),
            (
                json!({"authorizerConfiguration": {"customJWTAuthorizer": {
                    "discoveryUrl": "https://example.com/.well-known/openid-configuration",
                }}}),
                "authorizerConfiguration.customJWTAuthorizer",
            ),
            (
                json!({"hooksConfiguration": {"build": {"warmup": {"action": {"httpPost": {"path": "/ping"}}}}}}),
                "hooksConfiguration.build.warmup.action.httpPost.path",
            ),
        ];
        for (members, field) in cases {
            assert_eq!(refused(members.clone()), [field], "{members}");
        }
    }

    #[test]
    fn all_broken_rules_are_reported_at_once() {
        let broken = refused(json!({
            "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 600, "maxLifetime": 300},
            "allowedPorts": [{"port": 8443}],
        }));
        assert_eq!(broken.len(), 2, "{broken:?}");
    }
}
