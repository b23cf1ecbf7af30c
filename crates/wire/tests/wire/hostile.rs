//! Whatever arrives, the answer is well-formed and nothing panics. `PROPTEST_CASES` makes this run longer.

use coracle_wire::{Error, Labels, Modelled, OPERATIONS, Request, control, data, match_path, parse};
use proptest::prelude::*;
use serde_json::{Map, Value};

const BODY_LIMIT: usize = 64 * 1024;

/// Tries the request on one operation and returns its refusal.
fn refusal<O: Modelled>(request: &Request<'_>) -> Option<Error> {
    parse::<O>(request).err()
}

type Attempt = fn(&Request<'_>) -> Option<Error>;

macro_rules! attempts {
    ($($service:ident: $($operation:ident)*;)*) => {
        &[$($(refusal::<$service::operations::$operation>,)*)*]
    };
}

const ATTEMPTS: &[Attempt] = attempts! {
    control:
        CreateAgentRuntime UpdateAgentRuntime GetAgentRuntime DeleteAgentRuntime ListAgentRuntimes
        ListAgentRuntimeVersions CreateAgentRuntimeEndpoint UpdateAgentRuntimeEndpoint GetAgentRuntimeEndpoint
        DeleteAgentRuntimeEndpoint ListAgentRuntimeEndpoints TagResource UntagResource ListTagsForResource
        PutResourcePolicy GetResourcePolicy DeleteResourcePolicy;
    data: GetAgentCard InvokeAgentRuntime InvokeAgentRuntimeCommand StopRuntimeSession;
};

/// Names that mean something, so that values reach the checks behind them.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 16] = [
        "agentRuntimeArtifact",
        "codeConfiguration",
        "code",
        "s3",
        "bucket",
        "entryPoint",
        "networkConfiguration",
        "authorizerConfiguration",
        "customJWTAuthorizer",
        "customClaims",
        "lifecycleConfiguration",
        "maxLifetime",
        "environmentVariables",
        "allowedPorts",
        "tags",
        "clientToken",
    ];
    prop_oneof![
        4 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[a-zA-Z0-9:/._-]{0,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let members = prop::collection::vec((name(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let cut = (json(), any::<prop::sample::Index>()).prop_map(|(value, end)| {
        let mut text = value.to_string().into_bytes();
        text.truncate(end.index(text.len() + 1));
        text
    });
    prop_oneof![
        4 => json().prop_map(|value| value.to_string().into_bytes()),
        1 => cut,
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

fn labels(template: &'static str, value: &str) -> Labels {
    let target: Vec<&str> = template
        .split('/')
        .map(|segment| if segment.starts_with('{') { value } else { segment })
        .collect();
    match_path(template, &target.join("/")).unwrap_or_default()
}

proptest! {
    #[test]
    fn any_request_is_read_or_refused_in_the_proper_form(
        operation in any::<prop::sample::Index>(),
        label in "[a-zA-Z0-9%:/_-]{1,40}|[a-z]{1,5}-[a-zA-Z0-9]{10}",
        query in "([a-zA-Z]{0,12}=[a-zA-Z0-9%+]{0,12}&?){0,4}|maxResults=[0-9-]{1,20}",
        header in "[ -~]{0,300}",
        body in body(),
    ) {
        let template = OPERATIONS[operation.index(OPERATIONS.len())].uri;
        let labels = labels(template, &label);
        let request = http::Request::builder()
            .uri(format!("/any?{query}"))
            .header("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", &header)
            .header("Mcp-Session-Id", &header);
        // A query that is no URI never gets this far.
        let Ok(request) = request.body(()) else { return Ok(()) };
        let (parts, ()) = request.into_parts();
        let request = Request { labels: &labels, parts: &parts, body: &body, body_limit: BODY_LIMIT };
        for attempt in ATTEMPTS {
            let Some(error) = attempt(&request) else { continue };
            prop_assert_eq!(error.code().name(), "ValidationException");
            prop_assert!(error.reason().is_some());
            let response = error.into_response();
            let answer: Value = serde_json::from_slice(response.body()).unwrap();
            prop_assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
}
