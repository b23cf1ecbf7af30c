//! Which headers cross between caller and agent.
//!
//! Towards the agent goes what the service documents, and what the runtime's allow-list names; all else is
//! dropped. Back goes the content type and the protocol's own headers.

use coracle_types::{ServerProtocol, SessionId, agent_headers};
use coracle_wire::{Error, FieldErrors};
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The session an invocation belongs to; both ways.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static(agent_headers::SESSION_ID);
/// The URL of the session, where it has one; to the caller.
pub(super) const SESSION_ENDPOINT_URL: HeaderName =
    HeaderName::from_static(agent_headers::SESSION_ENDPOINT_URL);
/// On whose behalf the caller acts; to the agent.
pub(crate) const USER_ID: HeaderName = HeaderName::from_static(agent_headers::USER_ID);
/// The request; to the agent.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(agent_headers::REQUEST_ID);

/// Longest value of an allow-listed header, in bytes.
const MAX_CUSTOM_VALUE: usize = 4096;

/// Checks that the allow-listed headers are not too long to be forwarded.
pub(super) fn check(caller: &HeaderMap, allowed: &[String]) -> Result<(), Error> {
    let mut errors = FieldErrors::new();
    for name in allowed {
        let values = caller.get_all(name.as_str()).iter();
        if values.map(HeaderValue::len).sum::<usize>() > MAX_CUSTOM_VALUE {
            errors.push(
                name.as_str(),
                format!("Header must have length less than or equal to {MAX_CUSTOM_VALUE}"),
            );
        }
    }
    errors.into_result()
}

/// The headers of the request to the agent.
pub(super) fn to_agent(
    caller: &HeaderMap,
    session: &SessionId,
    request_id: &str,
    protocol: ServerProtocol,
    allowed: &[String],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let names = agent_headers::forwarded(protocol);
    for name in names.chain(allowed.iter().map(String::as_str)) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        // The allow-list may name what is forwarded in any case.
        if headers.contains_key(&name) {
            continue;
        }
        for value in caller.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, caller.get(CONTENT_TYPE).cloned().unwrap_or(json));
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    // HTTP/1.1 wants one, and some servers insist.
    headers.insert(HOST, HeaderValue::from_static("localhost"));
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
    for name in agent_headers::RETURNED {
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
        let headers = to_agent(&HeaderMap::new(), &session(), "r", ServerProtocol::Http, &[]);
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[HOST], "localhost");
        assert_eq!(headers[SESSION_ID], session().as_str());
        assert_eq!(headers[REQUEST_ID], "r");
    }

    #[test]
    fn what_is_not_listed_is_dropped() {
        let sent = caller(&[
            ("cookie", "c"),
            ("x-mine", "m"),
            ("x-other", "o"),
            ("a2a-version", "1.0"),
        ]);
        let allowed = ["X-Mine".to_owned()];
        let headers = to_agent(&sent, &session(), "r", ServerProtocol::Http, &allowed);
        assert_eq!(headers["x-mine"], "m");
        for dropped in ["cookie", "x-other", "a2a-version"] {
            assert!(!headers.contains_key(dropped), "{dropped} was forwarded");
        }
    }

    #[test]
    fn what_is_forwarded_in_any_case_may_be_listed() {
        let sent = caller(&[("traceparent", "t"), ("x-mine", "one"), ("x-mine", "two")]);
        let allowed = ["Traceparent", "X-Mine"].map(str::to_owned);
        let headers = to_agent(&sent, &session(), "r", ServerProtocol::Http, &allowed);
        let values = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(values("traceparent"), ["t"]);
        assert_eq!(values("x-mine"), ["one", "two"]);
    }

    #[test]
    fn an_a2a_agent_sees_its_protocols_headers() {
        let sent = caller(&[("a2a-version", "1.0")]);
        let headers = to_agent(&sent, &session(), "r", ServerProtocol::A2a, &[]);
        assert_eq!(headers["a2a-version"], "1.0");
    }

    #[test]
    fn a_header_that_is_too_long_to_be_forwarded_is_named() {
        let long = HeaderValue::from_str(&"v".repeat(MAX_CUSTOM_VALUE + 1)).unwrap();
        let sent: HeaderMap = [(HeaderName::from_static("x-mine"), long)].into_iter().collect();
        let error = check(&sent, &["X-Other".to_owned(), "X-Mine".to_owned()]).unwrap_err();
        assert_eq!(error.fields()[0].name, "X-Mine");
        assert!(check(&sent, &[]).is_ok());
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
