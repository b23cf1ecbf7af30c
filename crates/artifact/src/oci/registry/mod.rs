//! Pulls from a registry, by the OCI distribution specification.
//!
//! ```text
//! GET ── 401 ──▶ challenge ── token or password ──▶ GET again ── 200 ──▶ bytes, bounded and checked
//! ```
//!
//! The registry is whoever the developer named, so nothing it sends is taken on trust: a document is read up to a
//! bound, a blob up to the length that its descriptor gives, and both must have the digest they were asked for by. A
//! registry that sends nothing for a while is given up. Ready-made clients read manifests, tokens and error texts of
//! any length into memory, which is why the few requests a pull needs are made here.

mod challenge;
mod credentials;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use coracle_types::is_this_machine;
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;

pub use credentials::{CredentialError, Credentials};

use self::challenge::Challenge;
use super::manifest::{ACCEPTED, MAX_DOCUMENT};

/// What this program calls itself where it exchanges an identity token.
const CLIENT_ID: &str = "coracle";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// How much of an error's text is read, in bytes.
const MAX_ERROR: u64 = 16 * 1024;
/// How much of it is shown, in bytes.
const SHOWN_ERROR: usize = 300;
/// How often a blob is asked for until it has come whole.
const ATTEMPTS: u32 = 3;
/// Wait before another attempt, times the attempts so far.
const RETRY: Duration = Duration::from_millis(500);

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// What is special about single registries, by host name with the port, if there is one.
    pub hosts: BTreeMap<String, RegistryHost>,
    /// A configuration file of Docker, whose credentials are used.
    pub docker_config: Option<PathBuf>,
    /// The only registries that images may come from; empty for any.
    pub allowed: Vec<String>,
    /// How long a registry may send nothing.
    pub stall_timeout: Duration,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            hosts: BTreeMap::new(),
            docker_config: None,
            allowed: Vec::new(),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// One registry.
#[derive(Debug, Clone, Default)]
pub struct RegistryHost {
    /// Whom to pull as.
    pub credentials: Option<Credentials>,
    /// Whether to speak HTTP without TLS; by default only to this machine's loopback.
    pub plain_http: Option<bool>,
    /// Certificates to trust beside the system's, in a PEM file.
    pub ca_file: Option<PathBuf>,
}

/// Why something could not be pulled.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RegistryError {
    #[error("images from {0} are not allowed on this server")]
    NotAllowed(String),
    #[error("the client for {host} could not be set up")]
    Client {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the credentials for {0} could not be read")]
    Credentials(String, #[source] CredentialError),
    #[error("{host} could not be reached")]
    Unreachable {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{host} sent nothing for {after:?}")]
    Stalled { host: String, after: Duration },
    #[error("{host} has no {what}")]
    NotFound { host: String, what: String },
    #[error("{host} refused access to {what}{}", credentials_hint(*.with_credentials))]
    Denied {
        host: String,
        what: String,
        with_credentials: bool,
    },
    #[error("{host} answered {status} when asked for {what}: {text}")]
    Status {
        host: String,
        status: StatusCode,
        what: String,
        text: String,
    },
    #[error("{host} asked for a way to log in that is not supported")]
    Challenge { host: String },
    #[error("{host} sent more than the {limit} bytes that {what} has")]
    TooLong { host: String, what: String, limit: u64 },
    #[error("{host} sent {read} bytes of {what}, which has {expected}")]
    TooShort {
        host: String,
        what: String,
        read: u64,
        expected: u64,
    },
    #[error("{host} sent something else instead of {what}: its digest is sha256:{found}")]
    WrongDigest {
        host: String,
        what: String,
        found: String,
    },
    #[error("what {0} sent could not be written here")]
    Write(String, #[source] std::io::Error),
}

fn credentials_hint(with_credentials: bool) -> &'static str {
    if with_credentials {
        "; the credentials configured for it do not suffice"
    } else {
        "; no credentials are configured for it"
    }
}

impl RegistryError {
    /// Whether the same may go well the next time.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::TooShort { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

/// One repository of a registry.
pub(super) struct Repository {
    client: Client,
    /// As in references.
    host: String,
    /// `https://HOST/v2/REPOSITORY`.
    base: String,
    name: String,
    credentials: Option<Credentials>,
    /// What opened the door the last time.
    authorization: Mutex<Option<HeaderValue>>,
    stall_timeout: Duration,
    plain_http: bool,
}

impl Repository {
    /// The repository that `reference` is in.
    pub(super) async fn open(
        settings: &RegistrySettings,
        reference: &Reference,
    ) -> Result<Self, RegistryError> {
        let host = reference.registry().to_owned();
        if !settings.allowed.is_empty() && !settings.allowed.contains(&host) {
            return Err(RegistryError::NotAllowed(host));
        }
        let special = settings.hosts.get(&host).cloned().unwrap_or_default();
        let plain_http = special.plain_http.unwrap_or_else(|| is_loopback(&host));
        let client =
            client(&special, plain_http, settings.stall_timeout).map_err(|source| RegistryError::Client {
                host: host.clone(),
                source,
            })?;
        let credentials = match (&special.credentials, &settings.docker_config) {
            (Some(credentials), _) => Some(credentials.clone()),
            (None, Some(file)) => credentials::from_docker(file, &host)
                .await
                .map_err(|error| RegistryError::Credentials(host.clone(), error))?,
            (None, None) => None,
        };
        let scheme = if plain_http { "http" } else { "https" };
        // Docker Hub is the one registry that is not where its name says.
        let address = if host == "docker.io" {
            "registry-1.docker.io"
        } else {
            &host
        };
        let name = reference.repository().to_owned();
        Ok(Self {
            client,
            base: format!("{scheme}://{address}/v2/{name}"),
            host,
            name,
            credentials,
            authorization: Mutex::default(),
            stall_timeout: settings.stall_timeout,
            plain_http,
        })
    }

    /// The index or manifest called `tag_or_digest`.
    pub(super) async fn manifest(&self, tag_or_digest: &str) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the image {}:{tag_or_digest}", self.name).replace(":sha256:", "@sha256:");
        let bytes = self
            .document(&format!("manifests/{tag_or_digest}"), &what, MAX_DOCUMENT)
            .await?;
        self.check(tag_or_digest, &what, Sha256::digest(&bytes).as_slice())?;
        Ok(bytes)
    }

    /// A small blob of this digest, which is no longer than `size`.
    pub(super) async fn small_blob(&self, digest: &str, size: u64) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the blob {digest}");
        let bytes = self
            .document(&format!("blobs/{digest}"), &what, size.min(MAX_DOCUMENT))
            .await?;
        self.check(digest, &what, Sha256::digest(&bytes).as_slice())?;
        Ok(bytes)
    }

    /// Writes a blob of this digest and size to files that `target` opens, one for each attempt.
    pub(super) async fn blob<W: AsyncWrite + Unpin>(
        &self,
        digest: &str,
        size: u64,
        mut target: impl FnMut() -> std::io::Result<W>,
    ) -> Result<(), RegistryError> {
        let mut attempt = 1;
        loop {
            let write = |error| RegistryError::Write(self.host.clone(), error);
            let mut file = target().map_err(write)?;
            match self.blob_once(digest, size, &mut file).await {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    tracing::warn!(registry = self.host, digest, %error, "a download is tried again");
                    tokio::time::sleep(RETRY * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn blob_once(
        &self,
        digest: &str,
        size: u64,
        file: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), RegistryError> {
        let what = format!("the layer {digest}");
        let mut response = self.get(&format!("blobs/{digest}"), &what).await?;
        let mut hash = Sha256::new();
        let mut read = 0;
        let write = |error| RegistryError::Write(self.host.clone(), error);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            read += chunk.len() as u64;
            if read > size {
                return Err(self.too_long(&what, size));
            }
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(write)?;
        }
        if read < size {
            return Err(RegistryError::TooShort {
                host: self.host.clone(),
                what,
                read,
                expected: size,
            });
        }
        file.flush().await.map_err(write)?;
        self.check(digest, &what, hash.finalize().as_slice())
    }

    async fn document(&self, path: &str, what: &str, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let response = self.get(path, what).await?;
        self.body(response, limit)
            .await?
            .ok_or_else(|| self.too_long(what, limit))
    }

    async fn get(&self, path: &str, what: &str) -> Result<Response, RegistryError> {
        let url = format!("{}/{path}", self.base);
        let mut known = self.authorization.lock().await.clone();
        let mut authenticated = false;
        loop {
            let mut request = self.client.get(&url).header(ACCEPT, ACCEPTED);
            if let Some(value) = &known {
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.map_err(|error| self.broken(error))?;
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED if !authenticated => {
                    authenticated = true;
                    known = Some(self.authenticate(response.headers(), what).await?);
                    self.authorization.lock().await.clone_from(&known);
                }
                status => return Err(self.refusal(status, response, what).await),
            }
        }
    }

    /// What opens the door behind this challenge.
    async fn authenticate(&self, headers: &HeaderMap, what: &str) -> Result<HeaderValue, RegistryError> {
        let unknown = || RegistryError::Challenge {
            host: self.host.clone(),
        };
        let secret = |text: String| {
            let mut value = HeaderValue::from_str(&text).map_err(|_| unknown())?;
            value.set_sensitive(true);
            Ok(value)
        };
        match (
            challenge::best_of(headers).ok_or_else(unknown)?,
            &self.credentials,
        ) {
            (Challenge::Basic, credentials) => {
                let basic = credentials.as_ref().and_then(Credentials::basic);
                secret(basic.ok_or_else(|| self.denied(what))?)
            }
            (Challenge::Bearer { realm, service }, credentials) => {
                let downgraded = !realm.starts_with("https://") && !self.plain_http;
                if downgraded {
                    return Err(unknown());
                }
                let scope = format!("repository:{}:pull", self.name);
                let mut asked = vec![("scope", scope.as_str())];
                asked.extend(service.as_deref().map(|service| ("service", service)));
                let request = match credentials {
                    None => self.client.get(&realm).query(&asked),
                    Some(Credentials::IdentityToken(token)) => {
                        asked.push(("grant_type", "refresh_token"));
                        asked.push(("client_id", CLIENT_ID));
                        asked.push(("refresh_token", token.expose_secret()));
                        self.client.post(&realm).form(&asked)
                    }
                    Some(password) => {
                        let basic = secret(password.basic().ok_or_else(unknown)?)?;
                        let request = self.client.get(&realm).query(&asked);
                        request.header(AUTHORIZATION, basic)
                    }
                };
                let response = request.send().await.map_err(|error| self.broken(error))?;
                if !response.status().is_success() {
                    return Err(self.refusal(response.status(), response, what).await);
                }
                let text = self.body(response, MAX_DOCUMENT).await?.ok_or_else(unknown)?;
                let token: Token = serde_json::from_slice(&text).map_err(|_| unknown())?;
                let token = token.token.or(token.access_token).ok_or_else(unknown)?;
                secret(format!("Bearer {token}"))
            }
        }
    }

    /// The body, unless it is longer than `limit`.
    async fn body(&self, mut response: Response, limit: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if bytes.len() as u64 + chunk.len() as u64 > limit {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }

    fn check(&self, wanted: &str, what: &str, found: &[u8]) -> Result<(), RegistryError> {
        let found = hex::encode(found);
        match wanted.strip_prefix("sha256:") {
            Some(digest) if digest != found => Err(RegistryError::WrongDigest {
                host: self.host.clone(),
                what: what.to_owned(),
                found,
            }),
            _ => Ok(()),
        }
    }

    async fn refusal(&self, status: StatusCode, response: Response, what: &str) -> RegistryError {
        let (host, what) = (self.host.clone(), what.to_owned());
        match status {
            StatusCode::NOT_FOUND => RegistryError::NotFound { host, what },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(&what),
            status => {
                let text = self.body(response, MAX_ERROR).await.ok().flatten();
                let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
                let end = text.floor_char_boundary(SHOWN_ERROR);
                RegistryError::Status {
                    host,
                    status,
                    what,
                    text: text[..end].trim().to_owned(),
                }
            }
        }
    }

    fn denied(&self, what: &str) -> RegistryError {
        RegistryError::Denied {
            host: self.host.clone(),
            what: what.to_owned(),
            with_credentials: self.credentials.is_some(),
        }
    }

    fn too_long(&self, what: &str, limit: u64) -> RegistryError {
        RegistryError::TooLong {
            host: self.host.clone(),
            what: what.to_owned(),
            limit,
        }
    }

    fn broken(&self, source: reqwest::Error) -> RegistryError {
        let host = self.host.clone();
        if source.is_timeout() && !source.is_connect() {
            let after = self.stall_timeout;
            return RegistryError::Stalled { host, after };
        }
        RegistryError::Unreachable { host, source }
    }
}

/// The answer of a token server.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

fn client(
    host: &RegistryHost,
    plain_http: bool,
    stall_timeout: Duration,
) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let redirects = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if attempt.url().scheme() != "https" && !plain_http {
            attempt.error("a redirect away from TLS")
        } else {
            attempt.follow()
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(stall_timeout)
        .redirect(redirects);
    if let Some(file) = &host.ca_file {
        let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem)?);
    }
    Ok(builder.build()?)
}

/// Whether a registry's host name, with or without a port, means this machine itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    };
    is_this_machine(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "127.8.9.1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "docker.io",
            "localhost.example.com",
            "10.0.0.1:5000",
            "127.0.0.1.example.com:80",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
