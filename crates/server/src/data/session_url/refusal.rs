//! Refusals on a session's URL: the code in a header and no body, so that they cannot be taken for an answer of the
//! server in the session.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::gateway::ERROR_TYPE;
use crate::gateway::body::{ResponseBody, full};

const MESSAGE: HeaderName = HeaderName::from_static("x-amzn-error-message");
/// Longest message, in bytes.
const MAX_MESSAGE: usize = 1024;
const MISSING: &str = "MissingAuthenticationTokenException";

/// A refusal of this server as clients of a session's URL get it. The service documents two codes of its own for
/// requests without good credentials.
pub(crate) fn bare(mut refused: Response<ResponseBody>, message: &str) -> Response<ResponseBody> {
    *refused.body_mut() = full("");
    let is_missing = refused
        .headers()
        .get(&ERROR_TYPE)
        .is_some_and(|code| code == MISSING);
    if is_missing {
        *refused.status_mut() = StatusCode::UNAUTHORIZED;
    }
    let code = match refused.status() {
        StatusCode::UNAUTHORIZED => Some("AuthenticationRequired"),
        StatusCode::FORBIDDEN => Some("AccessDenied"),
        _ => None,
    };
    let headers = refused.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    if let Some(code) = code {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(code));
    }
    if let Ok(message) = HeaderValue::from_str(&in_a_header(message)) {
        headers.insert(MESSAGE, message);
    }
    refused
}

/// The beginning of a text, with what no header can carry replaced.
fn in_a_header(text: &str) -> String {
    let visible = text.chars().map(|char| match char {
        ' '..='~' => char,
        char if char.is_whitespace() => ' ',
        _ => '?',
    });
    visible.take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use coracle_wire::Error;
    use http_body::Body as _;

    use super::*;

    #[test]
    fn a_refusal_is_told_in_headers() {
        for (error, status, code) in [
            (Error::access_denied("no"), 403, "AccessDenied"),
            (Error::unauthorized("who?"), 401, "AuthenticationRequired"),
            (Error::not_found("gone"), 404, "ResourceNotFoundException"),
            (
                Error::runtime_client("line one\nlïne two"),
                424,
                "RuntimeClientError",
            ),
        ] {
            let message = error.message().to_owned();
            let refused = bare(error.into_response().map(full), &message);
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()[ERROR_TYPE]),
                (status, &code.parse().unwrap())
            );
            assert_eq!(refused.headers()[MESSAGE], in_a_header(&message));
            assert!(refused.body().is_end_stream() && !refused.headers().contains_key(CONTENT_TYPE));
        }
        assert_eq!(in_a_header("a\nbï"), "a b?");
    }
}
