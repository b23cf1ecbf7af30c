//! A client of a server on this machine. Nothing in it costs time while a clock runs: requests are signed ahead,
//! connections are kept, and bodies are not copied.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use coracle_auth::KeyPair;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// How long any one answer may take. A hundred megabytes into an emulated machine are slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Largest answer taken, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
const REGION: &str = "us-east-1";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection.
    #[error("no connection to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// It cannot be put in HTTP.
    #[error("the request is not valid")]
    Request(#[from] http::Error),
    /// It cannot be signed.
    #[error("the request cannot be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// The answer's body broke off or is too long.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    Silent,
    /// An answer that is no success.
    #[error("the answer was {0}: {1}")]
    Refused(StatusCode, String),
    /// The answer does not say what it should.
    #[error("the answer is not the one expected")]
    Unexpected(#[from] serde_json::Error),
}

/// The AWS services whose requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Control plane, data plane and operator API.
    AgentCore,
    /// Signs its paths in another way.
    S3,
}

/// A request that can be sent many times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    /// Path and query.
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, target: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub(crate) fn json(method: Method, target: impl Into<String>, body: &serde_json::Value) -> Self {
        Self::new(method, target, body.to_string())
            .with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.target)
            .body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

/// Signs calls to one server.
pub(crate) struct Signer {
    pub(crate) key: KeyPair,
    pub(crate) address: SocketAddr,
}

impl Signer {
    /// The call with the headers that prove who sends it, which hold for some minutes.
    pub(crate) fn signed(&self, service: Service, mut call: Call) -> Result<Call, CallError> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| CallError::Sign(error);
        let (access_key, secret) = (self.key.access_key.as_str(), self.key.secret.expose_secret());
        let identity = Credentials::new(access_key, secret, None, None, "coracle").into();
        let (name, settings) = match service {
            Service::AgentCore => ("bedrock-agentcore", SigningSettings::default()),
            Service::S3 => ("s3", s3_settings()),
        };
        let params = SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(name)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| refused(error.into()))?
            .into();
        let url = format!("http://{}{}", self.address, call.target);
        let visible = call
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(&call.body);
        let request = SignableRequest::new(call.method.as_str(), url.as_str(), visible, body)
            .map_err(|error| refused(error.into()))?;
        let (instructions, _signature) = sign(request, &params)
            .map_err(|error| refused(error.into()))?
            .into_parts();
        for header in instructions.into_parts().0 {
            let value = HeaderValue::from_str(header.value()).map_err(|error| refused(error.into()))?;
            call.headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(call)
    }
}

fn s3_settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

/// An answer that is a success.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// From the first byte sent to the answer's head.
    pub(crate) first_byte: Duration,
    /// From the first byte sent to the answer's last.
    pub(crate) whole: Duration,
}

impl Answer {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, CallError> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// A connection that is kept, and made anew when the server has closed it for having been idle.
pub(crate) struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, CallError> {
        let connect = |error| CallError::Connect(address, error);
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let host = HeaderValue::from_str(&address.to_string()).map_err(http::Error::from)?;
        let connection = tokio::spawn(async move {
            // Whoever waits for an answer hears of it.
            connection.await.ok();
        });
        Ok(Self {
            address,
            sender,
            host,
            _connection: AbortOnDropHandle::new(connection),
        })
    }

    /// Sends the call and takes the answer piece by piece, for as long as it goes on.
    ///
    /// # Errors
    /// When there is none, or it is no success, or it breaks off.
    pub(crate) async fn follow(&mut self, call: &Call, mut each: impl FnMut(&[u8])) -> Result<(), CallError> {
        let mut request = call.request()?;
        request.headers_mut().insert(HOST, self.host.clone());
        let mut response = self.sender.send_request(request).await?;
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(CallError::Body)?.to_bytes();
            return Err(CallError::Refused(status, message(&body)));
        }
        while let Some(frame) = response.frame().await {
            if let Some(data) = frame?.data_ref() {
                each(data);
            }
        }
        Ok(())
    }

    /// Sends the call and takes the answer.
    ///
    /// # Errors
    /// When there is none, or it is no success.
    pub(crate) async fn send(&mut self, call: &Call) -> Result<Answer, CallError> {
        if self.sender.ready().await.is_err() {
            *self = Self::connect(self.address).await?;
        }
        let mut request = call.request()?;
        request.headers_mut().insert(HOST, self.host.clone());
        let exchange = async {
            let began = Instant::now();
            let response = self.sender.send_request(request).await?;
            let first_byte = began.elapsed();
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(CallError::Body)?.to_bytes();
            let whole = began.elapsed();
            if !status.is_success() {
                return Err(CallError::Refused(status, message(&body)));
            }
            Ok(Answer {
                body,
                first_byte,
                whole,
            })
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(CallError::Silent))
    }
}

/// What an answer that is no success says, if it is an error of this server.
fn message(body: &[u8]) -> String {
    let error: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = error.as_ref().and_then(|error| error["message"].as_str());
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_the_server_has_closed_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let read = stream.read(&mut [0; 1024]).await.unwrap();
                assert!(read > 0);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await
                    .unwrap();
            }
        });
        let mut client = Client::connect(address).await.unwrap();
        let call = Call::new(Method::GET, "/", "");
        assert_eq!(client.send(&call).await.unwrap().body, "ok");
        while !client.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.send(&call).await.unwrap().body, "ok");
        server.await.unwrap();
    }
}
