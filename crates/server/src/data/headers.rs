//! Which headers cross between caller and agent.
//!
//! Towards the agent goes what the service documents, and what the runtime's allow-list names; all else is
//! dropped. Back goes the content type and the protocol's own headers.

use coracle_types::SessionId;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The session an invocation belongs to; both ways.
pub(super) const SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-request-id");

/// Handed to the agent as the caller sent them.
const FORWARDED: [&str; 10] = [
    "accept",
    "baggage",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "tracestate",
    "x-amzn-bedrock-agentcore-runtime-user-id",
    "x-amzn-trace-id",
];

/// Handed back to the caller as the agent sent them.
const RETURNED: [&str; 7] = [
    "content-type",
    "mcp-protocol-version",
    "mcp-session-id",
    "baggage",
    "traceparent",
    "tracestate",
    "x-amzn-trace-id",
];

/// Longest value of an allow-listed header that is forwarded, in bytes.
const MAX_CUSTOM_VALUE: usize = 4096;

/// The headers of the request to the agent.
pub(super) fn to_agent(
    caller: &HeaderMap,
    session: &SessionId,
    request_id: &str,
    allowed: &[String],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in FORWARDED.into_iter().chain(allowed.iter().map(String::as_str)) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        // Given to the agent only for runtimes that authorise by token, which then put it there themselves.
        if name == http::header::AUTHORIZATION {
            continue;
        }
        if let Some(value) = caller
            .get(&name)
            .filter(|value| value.len() <= MAX_CUSTOM_VALUE || name == "baggage")
        {
            headers.insert(name, value.clone());
        }
    }
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, caller.get(CONTENT_TYPE).cloned().unwrap_or(json));
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    for (name, value) in [(SESSION_ID, session.as_str()), (REQUEST_ID, request_id)] {
        // Both are visible ASCII by construction.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The headers of the answer to the caller. Trace headers of the request come back unless the agent set them.
pub(super) fn to_caller(agent: &HeaderMap, caller: &HeaderMap, session: &SessionId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in RETURNED {
        let name = HeaderName::from_static(name);
        let traced = name != CONTENT_TYPE && !name.as_str().starts_with("mcp-");
        let echoed = if traced { caller.get(&name) } else { None };
        if let Some(value) = agent.get(&name).or(echoed) {
            headers.insert(name, value.clone());
        }
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    if let Ok(value) = HeaderValue::from_str(session.as_str()) {
        headers.insert(SESSION_ID, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    fn session() -> SessionId {
        "0123456789abcdef0123456789abcdef0".parse().unwrap()
    }

    #[test]
    fn the_agent_sees_json_when_the_caller_names_no_type() {
        let headers = to_agent(&HeaderMap::new(), &session(), "r", &[]);
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[SESSION_ID], session().as_str());
        assert_eq!(headers[REQUEST_ID], "r");
    }

    #[test]
    fn what_is_not_listed_is_dropped() {
        let sent = caller(&[
            ("cookie", "c"),
            ("authorization", "AWS4…"),
            ("x-mine", "m"),
            ("x-other", "o"),
        ]);
        let allowed = ["X-Mine".to_owned(), "Authorization".to_owned()];
        let headers = to_agent(&sent, &session(), "r", &allowed);
        assert_eq!(headers["x-mine"], "m");
        for dropped in ["cookie", "authorization", "x-other"] {
            assert!(!headers.contains_key(dropped), "{dropped} was forwarded");
        }
    }

    #[test]
    fn the_caller_gets_the_type_and_the_session() {
        let agent = caller(&[
            ("content-type", "text/event-stream"),
            ("set-cookie", "c"),
            ("server", "uvicorn"),
        ]);
        let headers = to_caller(&agent, &caller(&[("traceparent", "t")]), &session());
        assert_eq!(headers[CONTENT_TYPE], "text/event-stream");
        assert_eq!(headers["traceparent"], "t");
        assert_eq!(headers[SESSION_ID], session().as_str());
        assert_eq!(headers.len(), 3);
    }
}
