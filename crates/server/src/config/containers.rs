//! Container images and the registries they come from.

use std::path::PathBuf;
use std::time::Duration;

use coracle_artifact::oci::{Credentials, RegistryHost};
use coracle_types::Architecture;
use secrecy::SecretString;
use serde::Deserialize;

/// Container images, and where they may come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainersConfig {
    /// A configuration file of Docker, whose credentials and credential helpers are used for registries that have no
    /// credentials here.
    pub docker_config: Option<PathBuf>,
    /// The only registries that images may come from, by host name with the port, if there is one; any if there is none.
    pub allowed_registries: Vec<String>,
    /// Whether images for another processor than this machine's are run where there is none for its own: in emulation,
    /// which is slow and no security boundary.
    pub other_architectures: bool,
    /// Largest image, compressed or unpacked, in MiB.
    pub max_image_mib: u32,
    /// How long a registry may send nothing, in seconds.
    pub stall_timeout_secs: u64,
    /// How long a pull may take altogether, in seconds.
    pub pull_timeout_secs: u64,
    /// Hours after which an image that no version runs is removed, at least one.
    pub keep_unused_hours: u32,
}

impl Default for ContainersConfig {
    fn default() -> Self {
        Self {
            docker_config: None,
            allowed_registries: Vec::new(),
            other_architectures: false,
            max_image_mib: 16 * 1024,
            stall_timeout_secs: 30,
            pull_timeout_secs: 30 * 60,
            keep_unused_hours: 24,
        }
    }
}

impl ContainersConfig {
    /// What processors an image may be for, this machine's own first.
    pub fn architectures(&self) -> Vec<Architecture> {
        let own = Architecture::host();
        let other = own.map(Architecture::other).filter(|_| self.other_architectures);
        own.into_iter().chain(other).collect()
    }

    /// How long an image is kept that no version runs.
    pub fn keep_unused(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_unused_hours.max(1)) * 60 * 60)
    }
}

/// A registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// Whom to pull as; `AWS` for tokens of Amazon ECR.
    pub username: Option<String>,
    /// Password or token.
    pub password: Option<SecretString>,
    /// Whether it speaks HTTP without TLS; by default only this machine's loopback does.
    pub plain_http: Option<bool>,
    /// Certificates to trust beside the system's, in a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl From<&RegistryConfig> for RegistryHost {
    fn from(config: &RegistryConfig) -> Self {
        let pair = config.username.clone().zip(config.password.clone());
        Self {
            credentials: pair.map(|(username, password)| Credentials::Password { username, password }),
            plain_http: config.plain_http,
            ca_file: config.ca_file.clone(),
        }
    }
}
