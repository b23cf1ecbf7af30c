//! Signs requests, sends them, and turns answers into values or errors. The modules below hold one service each.
//!
//! A call whose answer is small is tried three times when the server asks for it (throttling, 500, 502, 503, 504,
//! a session in transition) or closed the connection; callers make such calls idempotent by a client token.
//! Streams are never retried.

pub(crate) mod control;
pub(crate) mod data;
mod modelled;
pub(crate) mod operator;
pub(crate) mod s3;
pub(crate) mod shell;
mod sign;
pub(crate) mod sts;
pub(crate) mod wire;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Method};
use reqwest::{Response, Url};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::bytes::Bytes;

use self::wire::Wire;
use crate::settings::{Settings, is_loopback};

/// Largest answer that is read as a whole, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// A service as SigV4 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    AgentCore,
    S3,
    Sts,
}

impl Service {
    fn signing_name(self) -> &'static str {
        match self {
            Self::AgentCore => "bedrock-agentcore",
            Self::S3 => "s3",
            Self::Sts => "sts",
        }
    }
}

/// A request before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Says who calls, instead of a signature.
    pub(crate) bearer: Option<SecretString>,
}

impl Call {
    pub(crate) fn new(service: Service, method: Method, url: Url) -> Self {
        Self {
            service,
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            bearer: None,
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{host} cannot be reached")]
    Unreachable {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{}", .0.describe())]
    Service(ServiceError),
    #[error("the connection broke while the answer was read")]
    Broken(#[source] reqwest::Error),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("the answer cannot be understood")]
    Malformed(#[source] serde_json::Error),
    #[error("the answer lacks {0}")]
    Incomplete(&'static str),
    #[error("the request cannot be made: {0}")]
    BadRequest(&'static str),
    #[error("no credentials were found to sign the request with")]
    NoKeys,
    #[error("the request cannot be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("`{}` cannot be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the HTTP client cannot be made")]
    Setup(#[source] reqwest::Error),
}

/// An error the service answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    /// The exception's name, such as `ValidationException`; empty if the answer names none.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
}

impl ServiceError {
    fn describe(&self) -> String {
        let name = if self.code.is_empty() {
            format!("HTTP {}", self.status)
        } else {
            self.code.clone()
        };
        if self.message.is_empty() {
            name
        } else {
            format!("{name}: {}", self.message)
        }
    }

    fn is_worth_retrying(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504) || self.code == "RetryableConflictException"
    }
}

impl ClientError {
    /// The exception's name, when the service answered with one.
    pub(crate) fn code(&self) -> &str {
        if let Self::Service(error) = self {
            &error.code
        } else {
            ""
        }
    }

    /// The HTTP status, when the service answered with an error.
    pub(crate) fn status(&self) -> Option<u16> {
        if let Self::Service(error) = self {
            Some(error.status)
        } else {
            None
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Service(error) => error.is_worth_retrying(),
            Self::Unreachable { source, .. } => !source.is_connect() && !source.is_timeout(),
            Self::Broken(_) => true,
            _ => false,
        }
    }
}

/// `Ok(None)` where the service says that there is no such thing.
pub(crate) fn found<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Signs and sends.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
    pub(crate) settings: Settings,
}

impl Client {
    /// A client for the servers the settings name. With `trace`, what is sent and received is told on stderr.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(settings: Settings, trace: bool) -> Result<Self, ClientError> {
        let wire = Wire::new(is_loopback(&settings.endpoints.value.control), trace)?;
        Ok(Self { wire, settings })
    }

    /// Sends a call and hands back the answer's head, its body still to be read.
    pub(crate) async fn stream(&self, call: Call) -> Result<Response, ClientError> {
        let headers = match &call.bearer {
            Some(token) => sign::bearer_headers(&call, token)?,
            None => sign::signed_headers(&self.settings, &call, &sign::Payload::Bytes(&call.body))?,
        };
        self.wire.send(&call.method, &call.url, headers, call.body).await
    }

    /// Sends a call whose answer is small, again if the server asks for it, and reads the answer.
    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, ClientError> {
        let mut backoff = FIRST_BACKOFF;
        for _ in 1..ATTEMPTS {
            match self.bytes_once(call.clone()).await {
                Err(error) if error.is_worth_retrying() => tokio::time::sleep(backoff).await,
                result => return result,
            }
            backoff *= 2;
        }
        self.bytes_once(call).await
    }

    async fn bytes_once(&self, call: Call) -> Result<Bytes, ClientError> {
        read_whole(self.stream(call).await?).await
    }

    /// [`Client::bytes`], read as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        serde_json::from_slice(&self.bytes(call).await?).map_err(ClientError::Malformed)
    }
}

pub(crate) async fn read_whole(mut response: Response) -> Result<Bytes, ClientError> {
    let mut whole = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
        if whole.len() + chunk.len() > MAX_ANSWER {
            return Err(ClientError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(rename = "__type", alias = "code")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

async fn service_error(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    let request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
    let header_code = header("x-amzn-errortype");
    let body = match read_whole(response).await {
        Ok(body) => body,
        Err(error) => return error,
    };
    let (body_code, message) = parse_error_body(&body);
    let code = exception_name(&header_code.or(body_code).unwrap_or_default()).to_owned();
    ClientError::Service(ServiceError {
        status,
        code,
        message,
        request_id,
    })
}

/// Code and text of an error body: JSON, or the XML of S3 and STS.
fn parse_error_body(body: &[u8]) -> (Option<String>, String) {
    if let Ok(ErrorBody { kind, message }) = serde_json::from_slice(body) {
        return (kind, message.unwrap_or_default());
    }
    let text = String::from_utf8_lossy(body);
    let element = |name| xml_elements(&text, name).next().map(str::to_owned);
    (element("Code"), element("Message").unwrap_or_default())
}

/// The exception's name in a code such as `com.amazon#ValidationException:http://…`.
fn exception_name(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default()
}

/// The text of each element of this name. Only for elements without attributes whose text holds no escapes, such as
/// account ids, error codes and the keys this tool gives its objects.
fn xml_elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let length = rest[start..].find(&close)?;
        let text = &rest[start..start + length];
        rest = &rest[start + length + close.len()..];
        Some(text)
    })
}

/// `base` with a path of these segments, each percent-encoded, below whatever path `base` has.
fn url_with_path(base: &Url, segments: &[&str]) -> Url {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for segment in segments {
        path.push('/');
        path.push_str(&escape(segment));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url
}

/// Percent-encodes all but RFC 3986's unreserved characters, as AWS clients do.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_read_as_aws_clients_read_them() {
        assert_eq!(exception_name("ValidationException"), "ValidationException");
        assert_eq!(
            exception_name("ValidationException:http://internal"),
            "ValidationException"
        );
        assert_eq!(
            exception_name("com.amazon.coral#ThrottlingException"),
            "ThrottlingException"
        );
        let xml = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        assert_eq!(
            parse_error_body(xml),
            (Some("NoSuchKey".to_owned()), "gone".to_owned())
        );
        assert_eq!(parse_error_body(b"<html>").1, "");
    }

    #[test]
    fn an_arn_is_one_path_segment() {
        let base = "http://127.0.0.1:4580".parse().unwrap();
        let url = url_with_path(&base, &["runtimes", "arn:aws:x:1:runtime/a-b", "invocations"]);
        assert_eq!(
            url.path(),
            "/runtimes/arn%3Aaws%3Ax%3A1%3Aruntime%2Fa-b/invocations"
        );
    }
}
