//! Any request to any operation is read, or refused in the form that clients parse.

#![no_main]

use coracle_wire::{Error, Modelled, Request, control, data};
use libfuzzer_sys::fuzz_target;

const BODY_LIMIT: usize = 64 * 1024;

type Attempt = fn(&Request<'_>) -> Option<Error>;

fn refusal<O: Modelled>(request: &Request<'_>) -> Option<Error> {
    coracle_wire::parse::<O>(request).err()
}

macro_rules! attempts {
    ($($service:ident: $($operation:ident)*;)*) => {
        &[$($((
            <$service::operations::$operation as Modelled>::NAME,
            refusal::<$service::operations::$operation>,
        ),)*)*]
    };
}

const ATTEMPTS: &[(&str, Attempt)] = attempts! {
    control:
        CreateAgentRuntime UpdateAgentRuntime GetAgentRuntime DeleteAgentRuntime ListAgentRuntimes
        ListAgentRuntimeVersions CreateAgentRuntimeEndpoint UpdateAgentRuntimeEndpoint GetAgentRuntimeEndpoint
        DeleteAgentRuntimeEndpoint ListAgentRuntimeEndpoints TagResource UntagResource ListTagsForResource
        PutResourcePolicy GetResourcePolicy DeleteResourcePolicy;
    data: GetAgentCard InvokeAgentRuntime InvokeAgentRuntimeCommand StopRuntimeSession;
};

fuzz_target!(|input: &[u8]| {
    let Some((parts, body)) = coracle_fuzz::request(input) else {
        return;
    };
    let error = match coracle_wire::route(&parts.method, &parts.uri.to_string()) {
        Err(error) => Some(error.into()),
        Ok(route) => {
            let request = Request {
                labels: &route.labels,
                parts: &parts,
                body,
                body_limit: BODY_LIMIT,
            };
            let attempt = ATTEMPTS.iter().find(|(name, _)| *name == route.operation.name);
            attempt.and_then(|(_, attempt)| attempt(&request))
        }
    };
    let Some(error) = error else { return };
    assert!(error.status().is_client_error(), "{error}");
    let answer: serde_json::Value =
        serde_json::from_slice(error.into_response().body()).expect("an error in JSON");
    assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()));
});
