//! One HTTP exchange, and what `--debug` tells of it: heads with the values of secret headers left out, and the
//! beginning of each body.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use reqwest::{Body, Response, Url};
use tokio_util::bytes::Bytes;

use super::{ClientError, service_error};
use crate::output::{note, printable};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence on a connection; the service's limit for a non-streaming invocation, and a little more.
const READ_TIMEOUT: Duration = Duration::from_secs(15 * 60 + 10);
/// How much of a request's body is told, in bytes.
const TOLD_BODY: usize = 2048;

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Wire {
    http: reqwest::Client,
    trace: bool,
}

impl Wire {
    /// `direct` keeps away from proxies, for servers on this machine.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(direct: bool, trace: bool) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("agentcore-coracle/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        if direct {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        Ok(Self { http, trace })
    }

    /// Sends a request whose body is in memory; the answer's body is still to be read.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with an error.
    pub(crate) async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, ClientError> {
        let beginning = body.slice(..body.len().min(TOLD_BODY));
        self.exchange(method, url, headers, body.into(), &beginning).await
    }

    /// [`Wire::send`] with a body that is made on the way.
    pub(crate) async fn send_stream(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, ClientError> {
        self.exchange(method, url, headers, body, b"").await
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: HeaderMap,
        body: Body,
        beginning: &[u8],
    ) -> Result<Response, ClientError> {
        if self.trace {
            note(&told(&format!("> {method} {url}"), '>', &headers, beginning));
        }
        let started = Instant::now();
        let request = self.http.request(method.clone(), url.clone());
        let sent = request.headers(headers).body(body).send().await;
        let response = sent.map_err(|source| ClientError::Unreachable {
            host: url.origin().ascii_serialization(),
            source,
        })?;
        if self.trace {
            let head = format!("< {} in {:.0?}", response.status(), started.elapsed());
            note(&told(&head, '<', response.headers(), b""));
        }
        if response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            Ok(response)
        } else {
            Err(service_error(response).await)
        }
    }
}

/// Whether a header's value lets somebody act as the caller. Names that developers make up are judged by their words.
fn is_secret(name: &HeaderName) -> bool {
    let words = [
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "auth",
        "cookie",
        "credential",
    ];
    *name == header::AUTHORIZATION || words.iter().any(|word| name.as_str().contains(word))
}

fn told(head: &str, mark: char, headers: &HeaderMap, body: &[u8]) -> String {
    let mut text = format!("debug: {head}");
    for (name, value) in headers {
        let value = if is_secret(name) || value.is_sensitive() {
            "(not shown)".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        // Writing to a String cannot fail.
        write!(text, "\ndebug: {mark} {name}: {}", printable(&value)).ok();
    }
    if !body.is_empty() {
        let body = printable(&String::from_utf8_lossy(body));
        write!(text, "\ndebug: {mark} {body}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn secrets_are_named_and_not_shown() {
        let headers: HeaderMap = [
            ("authorization", "Bearer abc"),
            ("x-amz-security-token", "def"),
            ("x-my-api-key", "ghi"),
            ("accept", "text/plain"),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
        let text = told("> GET /", '>', &headers, b"hi\x1b[2J");
        assert!(
            text.contains("accept: text/plain") && text.contains("authorization: (not shown)"),
            "{text}"
        );
        for secret in ["abc", "def", "ghi", "\x1b"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
