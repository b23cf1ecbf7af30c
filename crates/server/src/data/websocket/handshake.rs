//! What a client asks for when it opens a WebSocket. Browsers and presigned URLs can send no headers of their own,
//! so most of it may stand in the query instead.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use coracle_types::SessionId;
use coracle_wire::{Error, FieldErrors};
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::data::{headers, parameters};

/// The subprotocol that says that another one carries a bearer token. The only one there is.
pub(in crate::data) const BEARER: &str = "base64UrlBearerAuthorization";
/// Query parameters with this prefix become headers.
const CUSTOM: &str = "x-amzn-bedrock-agentcore-runtime-custom-";
/// Most of them.
const MAX_CUSTOM: usize = 20;
/// Longest value of one, in bytes.
const MAX_CUSTOM_VALUE: usize = 4096;

/// In the query of a presigned URL.
const EXPIRES: &str = "X-Amz-Expires";
/// Most seconds that a presigned URL for a WebSocket may be good for.
const MAX_EXPIRES: u32 = 300;

/// A valid request to open a WebSocket.
#[derive(Debug)]
pub(in crate::data) struct Handshake {
    /// What the answer's `Sec-WebSocket-Accept` is made of.
    pub(in crate::data) key: HeaderValue,
    /// The session asked for.
    pub(in crate::data) session: Option<SessionId>,
    /// Whether the bearer subprotocol is offered.
    pub(in crate::data) offers_bearer: bool,
    /// The client's headers, with those from the query.
    pub(in crate::data) headers: HeaderMap,
    /// Names of the headers that came in the query.
    pub(in crate::data) custom: Vec<String>,
}

impl Handshake {
    /// Reads it from a request.
    ///
    /// # Errors
    /// `ValidationException` when it is no WebSocket handshake, or what it asks for is not valid.
    pub(in crate::data) fn read(parts: &Parts) -> Result<Self, Error> {
        let key = key(&parts.headers)?;
        let mut headers = parts.headers.clone();
        let mut custom = Vec::new();
        let mut errors = FieldErrors::new();
        for (name, value) in parameters(parts) {
            let name = name.to_ascii_lowercase();
            if !name.starts_with(CUSTOM) || headers.contains_key(&name) {
                continue;
            }
            let header = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|_| custom.len() < MAX_CUSTOM);
            let value = HeaderValue::from_str(&value)
                .ok()
                .filter(|value| value.len() <= MAX_CUSTOM_VALUE);
            let (Some(header), Some(value)) = (header, value) else {
                errors.push(
                    name,
                    format!("Member must be one of {MAX_CUSTOM} at most, and a header of at most {MAX_CUSTOM_VALUE} bytes"),
                );
                continue;
            };
            headers.insert(header, value);
            custom.push(name);
        }
        if parameters(parts).any(|(name, value)| name == EXPIRES && is_too_late(&value)) {
            let limit = format!("Member must be less than or equal to {MAX_EXPIRES}");
            errors.push(EXPIRES.to_owned(), limit);
        }
        let session = session(parts, &mut errors);
        errors.into_result()?;
        Ok(Self {
            key,
            session,
            offers_bearer: protocols(&parts.headers).any(|offered| offered == BEARER),
            headers,
            custom,
        })
    }
}

/// Whether a request asks for a WebSocket.
pub(in crate::data) fn is_handshake(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

/// The subprotocols that are not this server's own.
pub(in crate::data) fn other_protocols(headers: &HeaderMap) -> Option<HeaderValue> {
    let others: Vec<&str> = protocols(headers)
        .filter(|offered| !offered.is_empty() && !offered.starts_with(BEARER))
        .collect();
    HeaderValue::from_str(&others.join(", "))
        .ok()
        .filter(|value| !value.is_empty())
}

fn is_too_late(expires: &str) -> bool {
    expires.parse().is_ok_and(|seconds: u32| seconds > MAX_EXPIRES)
}

/// The bearer token in the subprotocols, if there is one.
pub(in crate::data) fn token_in_protocols(headers: &HeaderMap) -> Option<String> {
    let encoded = protocols(headers).find_map(|offered| offered.strip_prefix(BEARER)?.strip_prefix('.'))?;
    let token = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(token).ok()
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
}

/// The items of a header that is a list, however many lines it has.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// The first key counts: some clients repeat the handshake's headers.
fn key(headers: &HeaderMap) -> Result<HeaderValue, Error> {
    let invalid = |what: &str| {
        Err(Error::validation_field(
            "Upgrade",
            format!("This URL is opened as a WebSocket (RFC 6455): {what}"),
        ))
    };
    let has = |name: HeaderName, wanted: &str| {
        tokens(headers, &name).any(|token| token.eq_ignore_ascii_case(wanted))
    };
    if !has(CONNECTION, "upgrade") || !is_handshake(headers) {
        return invalid("the request must have Connection: Upgrade and Upgrade: websocket");
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        return invalid("the version must be 13");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    match key.filter(|key| STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16)) {
        Some(key) => Ok(key.clone()),
        None => invalid("Sec-WebSocket-Key must be 16 bytes in base64"),
    }
}

/// The session in the header or, without one, in the query.
fn session(parts: &Parts, errors: &mut FieldErrors) -> Option<SessionId> {
    let header = parts.headers.get(headers::SESSION_ID);
    let named = match header {
        Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        None => {
            let name = headers::SESSION_ID;
            parameters(parts).find_map(|(key, value)| {
                key.eq_ignore_ascii_case(name.as_str())
                    .then(|| value.into_owned())
            })?
        }
    };
    match named.parse() {
        Ok(session) => Some(session),
        Err(error) => {
            errors.push("runtimeSessionId", error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const SESSION: &str = "0123456789abcdef0123456789abcdef0";

    fn parts(target: &str, more: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::get(target)
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_first_of_repeated_keys_counts() {
        let other = STANDARD.encode([7; 16]);
        let parts = parts(
            "/ws",
            &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", &other)],
        );
        assert_eq!(Handshake::read(&parts).unwrap().key, KEY);
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for more in [vec![], vec![("Sec-WebSocket-Key", "short")]] {
            assert_eq!(Handshake::read(&parts("/ws", &more)).unwrap_err().status(), 400);
        }
        let plain = http::Request::get("/ws").header("Sec-WebSocket-Key", KEY);
        let plain = plain.body(()).unwrap().into_parts().0;
        assert_eq!(Handshake::read(&plain).unwrap_err().status(), 400);
    }

    #[test]
    fn the_query_carries_what_headers_cannot() {
        let prefix = "X-Amzn-Bedrock-AgentCore-Runtime";
        let target = format!("/ws?{prefix}-Session-Id={SESSION}&{prefix}-Custom-Tone=very+polite&other=1");
        let handshake = Handshake::read(&parts(&target, &[("Sec-WebSocket-Key", KEY)])).unwrap();
        assert_eq!(handshake.session.unwrap().as_str(), SESSION);
        assert_eq!(handshake.headers[&handshake.custom[0]], "very polite");
        assert_eq!(handshake.custom.len(), 1);
        for bad in [
            format!("/ws?{prefix}-Session-Id=short"),
            format!("/ws?{prefix}-Custom-Tone=a%0Ab"),
            format!("/ws?{prefix}-Custom-Tone={}", "a".repeat(MAX_CUSTOM_VALUE + 1)),
            format!("/ws?{prefix}-Custom-%C3%A4=1"),
            "/ws?X-Amz-Expires=301".to_owned(),
        ] {
            let parts = parts(&bad, &[("Sec-WebSocket-Key", KEY)]);
            assert_eq!(Handshake::read(&parts).unwrap_err().fields().len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_token_may_be_in_the_subprotocols() {
        let encoded = URL_SAFE_NO_PAD.encode("header.payload.signature");
        let offered = format!("{BEARER}.{encoded}, {BEARER}");
        let parts = parts(
            "/ws",
            &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Protocol", &offered)],
        );
        assert_eq!(
            token_in_protocols(&parts.headers).unwrap(),
            "header.payload.signature"
        );
        assert!(Handshake::read(&parts).unwrap().offers_bearer);
        assert_eq!(other_protocols(&parts.headers), None);
        assert_eq!(token_in_protocols(&HeaderMap::new()), None);
        let headers = HeaderMap::from_iter([
            (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("vite-hmr")),
            (
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_str(&format!("{offered},b")).unwrap(),
            ),
        ]);
        assert_eq!(other_protocols(&headers).unwrap(), "vite-hmr, b");
    }
}
