//! The environment an agent finds, beside what its developer configured, which always wins.

use std::collections::BTreeMap;

use coracle_types::{EndpointArn, ServerProtocol};

use crate::control::version::VersionConfig;

/// The whole environment of an agent served at `endpoint`, which reaches this server, if at all, at `server_url`, and
/// whose clients reach it at `client_url`.
pub(super) fn of(
    config: &VersionConfig,
    endpoint: &EndpointArn,
    server_url: Option<&str>,
    client_url: &str,
) -> BTreeMap<String, String> {
    let runtime = &endpoint.runtime;
    let (region, id, name) = (runtime.region.as_str(), &runtime.runtime, &endpoint.endpoint);
    let mut environment = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        environment.insert(key.to_owned(), value);
    };
    // The SDK listens on all addresses only where this says so.
    set("DOCKER_CONTAINER", "1".to_owned());
    set("AWS_REGION", region.to_owned());
    set("AWS_DEFAULT_REGION", region.to_owned());
    set(
        "OTEL_RESOURCE_ATTRIBUTES",
        format!(
            "service.name={}.{name},aws.service.type=gen_ai_agent,\
             aws.log.group.names=/aws/bedrock-agentcore/runtimes/{id}-{name},cloud.resource_id={endpoint}:{name}",
            id.name()
        ),
    );
    if let Some(url) = server_url {
        for key in [
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE",
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL",
            "BEDROCK_AGENTCORE_DP_ENDPOINT",
            "BEDROCK_AGENTCORE_CP_ENDPOINT",
            "BEDROCK_AGENTCORE_CONTROL_ENDPOINT",
        ] {
            set(key, url.to_owned());
        }
    }
    if config.protocol() == ServerProtocol::A2a {
        let escaped = runtime.to_string().replace(':', "%3A").replace('/', "%2F");
        let qualifier = match name {
            name if name.is_default() => String::new(),
            name => format!("?qualifier={name}"),
        };
        set(
            "AGENTCORE_RUNTIME_URL",
            format!("{client_url}/runtimes/{escaped}/invocations/{qualifier}"),
        );
    }
    environment.extend(
        config
            .environment_variables
            .iter()
            .flat_map(|given| given.iter().map(|(key, value)| (key.clone(), value.clone()))),
    );
    environment
}
