//! What an operator can set: a TOML file, with flags of `coracle serve` on top. Unknown keys are refused, so
//! that a misspelt limit is not silently unlimited.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coracle_types::{AccountId, limits};
use secrecy::SecretString;
use serde::Deserialize;

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
    /// Folder with kernel and base images; `images` in the data folder unless set. May be shared by servers.
    pub images_dir: Option<PathBuf>,
    /// How sandboxes are made.
    pub sandbox: SandboxConfig,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Logs of agents.
    pub logs: LogsConfig,
    /// A real S3 that holds code zips which are in no bucket of this server.
    pub s3: Option<RemoteS3Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4580)),
            #[expect(clippy::expect_used, reason = "a constant that the tests read")]
            account: "000000000000".parse().expect("twelve digits"),
            host_aliases: Vec::new(),
            public_url: None,
            images_dir: None,
            sandbox: SandboxConfig::default(),
            limits: LimitsConfig::default(),
            logs: LogsConfig::default(),
            s3: None,
        }
    }
}

/// Which driver makes sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// A QEMU microVM each.
    Microvm,
    /// A child process each, without isolation: for development where QEMU cannot run.
    Process,
    /// A fake that runs no code: for testing clients.
    Simulated,
}

/// How QEMU runs guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorChoice {
    /// KVM when a probe proves that it works, else emulation.
    Auto,
    /// KVM, or refuse to start.
    Kvm,
    /// Emulation.
    Tcg,
}

/// How sandboxes are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// The driver.
    pub driver: DriverKind,
    /// The accelerator of the `microvm` driver.
    pub accelerator: AcceleratorChoice,
    /// Memory of a sandbox, in MiB.
    pub memory_mib: u32,
    /// Virtual processors of a sandbox.
    pub vcpus: u8,
    /// Private disk of a sandbox, in MiB. Takes only what is written.
    pub disk_mib: u32,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            driver: DriverKind::Microvm,
            accelerator: AcceleratorChoice::Auto,
            memory_mib: 2048,
            vcpus: 2,
            disk_mib: 8192,
        }
    }
}

/// Bounds on requests and sessions. Durations are in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Sessions at once on this server; more are refused with `ServiceQuotaExceededException`.
    pub sessions: usize,
    /// Client connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long directly deployed code may take until its first healthy ping.
    pub init_timeout_secs: u64,
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
            connections: 10_000,
            init_timeout_secs: limits::CODE_INIT_TIMEOUT.as_secs(),
            request_timeout_secs: limits::REQUEST_TIMEOUT.as_secs(),
            stream_timeout_secs: limits::STREAM_TIMEOUT.as_secs(),
            drain_secs: 30,
        }
    }
}

impl LimitsConfig {
    /// How long directly deployed code may take until its first healthy ping.
    pub fn init_timeout(&self) -> Duration {
        Duration::from_secs(self.init_timeout_secs)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config.listen.port(), 4580);
        assert_eq!(config.account.as_str(), "000000000000");
    }

    #[test]
    fn a_misspelt_key_is_refused_and_named() {
        let error = toml::from_str::<Config>("[limits]\nsesions = 3\n").unwrap_err();
        assert!(error.to_string().contains("sesions"), "{error}");
    }

    #[test]
    fn the_secret_of_the_remote_s3_is_not_printed() {
        let config: Config =
            toml::from_str("[s3]\nregion = \"r\"\naccess_key_id = \"a\"\nsecret_access_key = \"hunter2\"\n")
                .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
