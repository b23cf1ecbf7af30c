//! Names of the headers that cross between a caller and an agent, in lower case. All others are dropped, but for those
//! that a runtime's `requestHeaderConfiguration` names.

use crate::ServerProtocol;

/// The session an invocation belongs to; both ways.
pub const SESSION_ID: &str = "x-amzn-bedrock-agentcore-runtime-session-id";
/// The URL of the session, where it has one; to the caller.
pub const SESSION_ENDPOINT_URL: &str = "x-amzn-bedrock-agentcore-runtime-session-endpoint-url";
/// On whose behalf the caller acts; to the agent.
pub const USER_ID: &str = "x-amzn-bedrock-agentcore-runtime-user-id";
/// The request, by an id of the platform's; to the agent.
pub const REQUEST_ID: &str = "x-amzn-bedrock-agentcore-runtime-request-id";

const FORWARDED: [&str; 10] = [
    "accept",
    "baggage",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "tracestate",
    USER_ID,
    "x-amzn-trace-id",
];

const FORWARDED_A2A: [&str; 3] = ["a2a-extensions", "a2a-version", "x-a2a-extensions"];

/// Handed back to the caller as the agent sent them.
pub const RETURNED: [&str; 7] = [
    "content-type",
    "mcp-protocol-version",
    "mcp-session-id",
    "baggage",
    "traceparent",
    "tracestate",
    "x-amzn-trace-id",
];

/// Handed to an agent of this protocol as the caller sent them.
pub fn forwarded<'a>(protocol: ServerProtocol) -> impl Iterator<Item = &'a str> {
    let all: &'a [&'a str] = &FORWARDED;
    let of_protocol: &'a [&'a str] = match protocol {
        ServerProtocol::A2a => &FORWARDED_A2A,
        _ => &[],
    };
    all.iter().chain(of_protocol).copied()
}
