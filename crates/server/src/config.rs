//! What an operator can set: a TOML file, with flags of `coracle serve` on top. Unknown keys are refused, so
//! that a misspelt limit is not silently unlimited.

mod accounts;
mod containers;
mod sandbox;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coracle_artifact::oci::{PullSettings, RegistrySettings};
use coracle_types::{AccountId, RoleArn, limits};
use secrecy::SecretString;
use serde::Deserialize;

pub use self::accounts::{AccountQuotas, CredentialConfig, QuotasConfig, RateLimitsConfig};
pub use self::containers::{ContainersConfig, RegistryConfig};
pub use self::sandbox::{AcceleratorChoice, DriverKind, OnStop, SandboxConfig};
use crate::caps::CapsConfig;
use crate::egress::EgressConfig;
use crate::folders::MountConfig;
use crate::gateway::tls::TlsConfig;
use crate::jail::JailConfig;
use crate::roles::RoleConfig;

/// Why the configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not readable.
    #[error("the configuration file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file does not say what a configuration says.
    #[error("the configuration file {path} is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause; names line and key.
        #[source]
        source: toml::de::Error,
    },
}

/// The configuration file. Every key has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The account of the administrator key that the first start writes.
    pub account: AccountId,
    /// Other host names that clients may have signed a request for, without port.
    pub host_aliases: Vec<String>,
    /// The URL under which agents reach this server, when they cannot reach its listening address.
    pub public_url: Option<String>,
    /// TLS, beside the plain address; none unless set.
    pub tls: Option<TlsConfig>,
    /// Folder with kernel and base images; `images` in the data folder unless set. May be shared by servers.
    pub images_dir: Option<PathBuf>,
    /// How sandboxes are made.
    pub sandbox: SandboxConfig,
    /// What is left to whoever breaks out of one.
    pub jail: JailConfig,
    /// Access keys beside the administrator key.
    pub credentials: Vec<CredentialConfig>,
    /// What sandboxes may reach outside.
    pub egress: EgressConfig,
    /// Folders that agents mount, by the ARN of the access point that each is.
    pub mounts: BTreeMap<String, MountConfig>,
    /// What agents may do on this server, by the role of their runtime.
    pub roles: BTreeMap<RoleArn, RoleConfig>,
    /// Bounds.
    pub limits: LimitsConfig,
    /// What an account may have.
    pub quotas: QuotasConfig,
    /// What sessions may use.
    pub caps: CapsConfig,
    /// How often an account may ask.
    pub rate_limits: RateLimitsConfig,
    /// Bounds of each WebSocket.
    pub websocket: WebSocketConfig,
    /// Browsers' access from other origins.
    pub cors: CorsConfig,
    /// How bearer tokens are judged.
    pub authorizers: AuthorizersConfig,
    /// Logs of agents.
    pub logs: LogsConfig,
    /// A real S3 that holds code zips which are in no bucket of this server.
    pub s3: Option<RemoteS3Config>,
    /// Container images.
    pub containers: ContainersConfig,
    /// What is special about single registries, by host name with the port, if there is one.
    pub registries: BTreeMap<String, RegistryConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4580)),
            #[expect(clippy::expect_used, reason = "a constant that the tests read")]
            account: "000000000000".parse().expect("twelve digits"),
            host_aliases: Vec::new(),
            public_url: None,
            tls: None,
            images_dir: None,
            sandbox: SandboxConfig::default(),
            jail: JailConfig::default(),
            credentials: Vec::new(),
            egress: EgressConfig::default(),
            mounts: BTreeMap::new(),
            roles: BTreeMap::new(),
            limits: LimitsConfig::default(),
            quotas: QuotasConfig::default(),
            caps: CapsConfig::default(),
            rate_limits: RateLimitsConfig::default(),
            websocket: WebSocketConfig::default(),
            cors: CorsConfig::default(),
            authorizers: AuthorizersConfig::default(),
            logs: LogsConfig::default(),
            s3: None,
            containers: ContainersConfig::default(),
            registries: BTreeMap::new(),
        }
    }
}

/// Bounds on requests and sessions. Durations are in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Sessions at once on this server; more are refused with `ServiceQuotaExceededException`.
    pub sessions: usize,
    /// Memory that stays free on this host, in MiB; with less, new sessions are refused with
    /// `ServiceQuotaExceededException`. 0 turns that off.
    pub memory_reserve_mib: u32,
    /// Client connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long an agent may take until its first healthy ping, instead of the platform version's own time.
    pub init_timeout_secs: Option<u64>,
    /// How long an agent may take until the first byte of its answer.
    pub request_timeout_secs: u64,
    /// How long a streamed answer may take altogether.
    pub stream_timeout_secs: u64,
    /// How long SIGTERM waits for requests in flight.
    pub drain_secs: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            sessions: 1000,
            memory_reserve_mib: 256,
            connections: 10_000,
            init_timeout_secs: None,
            request_timeout_secs: limits::REQUEST_TIMEOUT.as_secs(),
            stream_timeout_secs: limits::STREAM_TIMEOUT.as_secs(),
            drain_secs: 30,
        }
    }
}

impl LimitsConfig {
    /// How long an agent may take until its first healthy ping, instead of the platform version's own time.
    pub fn init_timeout(&self) -> Option<Duration> {
        self.init_timeout_secs.map(Duration::from_secs)
    }

    /// How long an agent may take until the first byte of its answer.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs)
    }

    /// How long a streamed answer may take altogether.
    pub fn stream_timeout(&self) -> Duration {
        Duration::from_secs(self.stream_timeout_secs)
    }

    /// How long SIGTERM waits for requests in flight.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }
}

/// Bounds of each WebSocket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketConfig {
    /// Longest payload of a frame, in bytes.
    pub max_frame_bytes: u32,
    /// Frames that a client may send, per second; a second's worth may come at once.
    pub frames_per_second: NonZeroU32,
    /// How long a connection may be open, in seconds.
    pub max_secs: u64,
    /// How long a client may take to read one frame, in seconds.
    pub client_stall_secs: u64,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: limits::MAX_WEBSOCKET_FRAME,
            frames_per_second: limits::WEBSOCKET_FRAMES_PER_SECOND,
            max_secs: limits::STREAM_TIMEOUT.as_secs(),
            client_stall_secs: 60,
        }
    }
}

/// How the tokens of runtimes with a `customJWTAuthorizer` are judged.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizersConfig {
    /// Whether issuers on other machines may be asked without TLS.
    pub allow_plain_http: bool,
    /// The claims that may name a token's client, for `allowedClients`; the first one present counts. Issuers that
    /// do not say `client_id` say `azp`, `appid` or `cid`.
    pub client_claims: Vec<String>,
}

impl Default for AuthorizersConfig {
    fn default() -> Self {
        Self {
            allow_plain_http: false,
            client_claims: vec!["client_id".to_owned()],
        }
    }
}

/// Access for browsers that show pages of other origins.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins such as `https://app.example.com`, or `*` for all. Without any, nothing is said of CORS.
    pub allowed_origins: Vec<String>,
}

/// Logs of agents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// How much one session may log, in MiB; what comes after is counted and dropped.
    pub session_mib: u32,
    /// Days after which logs are removed.
    pub retention_days: u16,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            session_mib: 64,
            retention_days: 14,
        }
    }
}

/// A real S3, read for code zips.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteS3Config {
    /// Endpoint URL; AWS's own when absent.
    pub endpoint: Option<String>,
    /// Region to sign for.
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretString,
    /// Session token of temporary credentials.
    pub session_token: Option<SecretString>,
    /// Whether the endpoint may be plain HTTP.
    #[serde(default)]
    pub allow_http: bool,
}

impl Config {
    /// How images are pulled.
    pub fn pull_settings(&self) -> PullSettings {
        let containers = &self.containers;
        let hosts = self.registries.iter();
        PullSettings {
            architectures: containers.architectures(),
            registries: RegistrySettings {
                hosts: hosts
                    .map(|(host, config)| (host.clone(), config.into()))
                    .collect(),
                docker_config: containers.docker_config.clone(),
                allowed: containers.allowed_registries.clone(),
                stall_timeout: Duration::from_secs(containers.stall_timeout_secs),
            },
            max_image: u64::from(containers.max_image_mib) * 1024 * 1024,
            timeout: Duration::from_secs(containers.pull_timeout_secs),
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read or says something unknown.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })
    }
}

/// What is written as a text of its own form.
fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
