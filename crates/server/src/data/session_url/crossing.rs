//! Which headers cross on a session's URL: all but those of one connection (RFC 9110, section 7.6.1) and those that
//! are this server's own business.

use coracle_types::SessionId;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use super::SessionUrl;
use crate::data::{headers, trace};
use crate::gateway::{Caller, Proof};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Of one connection, or of the WebSocket handshake, which is made anew for each side.
const OF_THE_CONNECTION: [HeaderName; 14] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Of signatures, and of this server's answers.
const OURS: [&str; 2] = ["x-amz-", "x-amzn-"];
/// What of these a caller may say to an agent.
const CUSTOM: &str = "x-amzn-bedrock-agentcore-runtime-custom-";

/// The headers of a request to a server in a session. A token that opens the runtime reaches it only if the
/// runtime's allow-list says so.
pub(super) fn to_server(
    caller: &Caller,
    sent: &HeaderMap,
    allowed: &[String],
    session: &SessionId,
    url: &SessionUrl,
    scheme: &str,
) -> HeaderMap {
    let mut headers = crossing(sent);
    let token_is_wanted = matches!(caller.proof, Proof::Token(_))
        && allowed
            .iter()
            .any(|name| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
    if !token_is_wanted {
        headers.remove(AUTHORIZATION);
    }
    // Made anew from the body, which has been taken whole.
    headers.remove(CONTENT_LENGTH);
    trace::complete(&mut headers);
    let host = headers.insert(HOST, host_of(url.port));
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host);
    }
    for (name, value) in [
        (FORWARDED_PROTO, scheme),
        (FORWARDED_PREFIX, &url.prefix()),
        (headers::SESSION_ID, session.as_str()),
        (headers::REQUEST_ID, &caller.request_id),
    ] {
        // All are visible ASCII by construction.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The headers of its answer.
pub(super) fn to_caller(answered: &HeaderMap, session: &SessionId) -> HeaderMap {
    let mut headers = crossing(answered);
    if let Ok(value) = HeaderValue::from_str(session.as_str()) {
        headers.insert(headers::SESSION_ID, value);
    }
    headers
}

fn host_of(port: u16) -> HeaderValue {
    HeaderValue::from_str(&format!("localhost:{port}")).unwrap_or(HeaderValue::from_static("localhost"))
}

fn crossing(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let stays = |name: &HeaderName| {
        let text = name.as_str();
        let is_ours = OURS.iter().any(|prefix| text.starts_with(prefix));
        OF_THE_CONNECTION.contains(name)
            || named.iter().any(|other| other.eq_ignore_ascii_case(text))
            || is_ours && !text.starts_with(CUSTOM) && *name != trace::AMZN
    };
    headers
        .iter()
        .filter(|(name, _)| !stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn to_server_with(proof: Proof, allowed: &[String], sent: &HeaderMap) -> HeaderMap {
        let caller = Caller {
            account: "000000000000".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            principal: "ann".to_owned(),
            proof,
            request_id: "r".to_owned(),
        };
        let address = "a".repeat(32);
        let url = SessionUrl::read(&format!("/sessions/{address}/9000/x").parse().unwrap()).unwrap();
        to_server(
            &caller,
            sent,
            allowed,
            &"s".repeat(33).parse().unwrap(),
            &url,
            "https",
        )
    }

    #[test]
    fn an_applications_headers_cross_and_those_of_the_way_do_not() {
        let sent = header_map(&[
            ("cookie", "c"),
            ("x-mine", "m"),
            ("host", "agents.example"),
            ("connection", "close, x-hop"),
            ("x-hop", "h"),
            ("transfer-encoding", "chunked"),
            ("authorization", "AWS4-HMAC-SHA256 x"),
            ("x-amz-date", "d"),
            ("x-amzn-bedrock-agentcore-runtime-user-id", "root"),
            ("x-amzn-bedrock-agentcore-runtime-session-id", "forged"),
            ("x-amzn-bedrock-agentcore-runtime-custom-tone", "polite"),
            ("x-forwarded-prefix", "/forged"),
        ]);
        let headers = to_server_with(Proof::Signature, &["Authorization".to_owned()], &sent);
        for (name, value) in [
            ("cookie", "c"),
            ("x-mine", "m"),
            ("host", "localhost:9000"),
            ("x-forwarded-host", "agents.example"),
            ("x-forwarded-proto", "https"),
            ("x-amzn-bedrock-agentcore-runtime-custom-tone", "polite"),
            ("x-amzn-bedrock-agentcore-runtime-session-id", &"s".repeat(33)),
            ("x-amzn-bedrock-agentcore-runtime-request-id", "r"),
            (
                "x-forwarded-prefix",
                &format!("/sessions/{}/9000", "a".repeat(32)),
            ),
        ] {
            assert_eq!(
                headers.get_all(name).iter().collect::<Vec<_>>(),
                [value],
                "{name}"
            );
        }
        for dropped in [
            "connection",
            "x-hop",
            "transfer-encoding",
            "authorization",
            "x-amz-date",
            "x-amzn-bedrock-agentcore-runtime-user-id",
        ] {
            assert!(!headers.contains_key(dropped), "{dropped} crossed");
        }
    }

    #[test]
    fn a_token_crosses_only_where_the_runtime_asks_for_it() {
        let runtime = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";
        let proof = || Proof::Token(runtime.parse().unwrap());
        let sent = header_map(&[("authorization", "Bearer t")]);
        assert!(!to_server_with(proof(), &[], &sent).contains_key(AUTHORIZATION));
        let asked = to_server_with(proof(), &["authorization".to_owned()], &sent);
        assert_eq!(asked[AUTHORIZATION], "Bearer t");
    }

    #[test]
    fn an_answer_says_nothing_in_this_servers_name() {
        let answered = header_map(&[
            ("set-cookie", "a=1"),
            ("location", "/there"),
            ("x-amzn-errortype", "AccessDenied"),
            ("keep-alive", "timeout=5"),
        ]);
        let headers = to_caller(&answered, &"s".repeat(33).parse().unwrap());
        assert_eq!(
            (&headers["set-cookie"], &headers["location"]),
            (&"a=1".parse().unwrap(), &"/there".parse().unwrap())
        );
        assert_eq!(headers.len(), 3);
    }
}
