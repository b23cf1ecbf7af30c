//! Cross-origin access for browsers, where the operator allows origins. A browser asks before it sends anything
//! of its own (the preflight), and sends no credentials with that, so it is answered before authentication. A
//! page signs its requests or carries a token itself; cookies play no part.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::body::{ResponseBody, full};
use crate::config::CorsConfig;

const METHODS: HeaderValue = HeaderValue::from_static("GET, PUT, POST, PATCH, DELETE, HEAD");
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("7200");
/// Headers of answers that a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-amzn-requestid, x-amzn-errortype, x-amzn-bedrock-agentcore-runtime-session-id, \
     x-amzn-bedrock-agentcore-runtime-session-endpoint-url, mcp-session-id, mcp-protocol-version, \
     x-amzn-error-message, x-amzn-trace-id, traceparent, tracestate, baggage, www-authenticate, retry-after, etag",
);

/// The origins that are allowed.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    /// Allows what the configuration names.
    pub fn new(config: &CorsConfig) -> Self {
        let origins = config.allowed_origins.iter();
        Self {
            any: config.allowed_origins.iter().any(|origin| origin == "*"),
            origins: origins
                .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    /// The request's origin, if it is allowed.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        (self.any || self.origins.contains(&text)).then(|| origin.clone())
    }

    /// The answer to a preflight; `None` if the request is none, or of an origin that is not allowed.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<Response<ResponseBody>> {
        let asked = parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if parts.method != Method::OPTIONS || !asked {
            return None;
        }
        self.allowed(&parts.headers)?;
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
        // A wildcard would not cover Authorization.
        if let Some(wanted) = parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }
}

/// Lets pages of this origin read an answer.
pub(super) fn open(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/runtimes/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(&CorsConfig {
            allowed_origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        })
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_is_answered() {
        let asked = [
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, x-amz-date"),
        ];
        let preflight = request(Method::OPTIONS, &asked);
        for cors in [cors(&["https://App.example.com/"]), cors(&["*"])] {
            let answer = cors.preflight(&preflight).unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
            assert_eq!(
                answer.headers()[ACCESS_CONTROL_ALLOW_HEADERS],
                "authorization, x-amz-date"
            );
            assert_eq!(
                cors.allowed(&preflight.headers).unwrap(),
                "https://app.example.com"
            );
        }
        for cors in [cors(&[]), cors(&["https://example.com"])] {
            assert!(cors.preflight(&preflight).is_none());
            assert!(cors.allowed(&preflight.headers).is_none());
        }
    }

    #[test]
    fn what_is_no_preflight_goes_on() {
        let origin = ("origin", "https://app.example.com");
        let cors = cors(&["*"]);
        assert!(cors.preflight(&request(Method::OPTIONS, &[origin])).is_none());
        let post = request(Method::POST, &[origin, ("access-control-request-method", "POST")]);
        assert!(cors.preflight(&post).is_none());
    }
}
