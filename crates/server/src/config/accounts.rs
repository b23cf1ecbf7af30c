//! Who may ask, and how much: access keys, quotas and rates of accounts.

use std::collections::HashMap;
use std::num::NonZeroU32;

use coracle_auth::{AccessKeyId, Credential, KeyPair};
use coracle_store::{Quota, Quotas};
use coracle_types::AccountId;
use secrecy::SecretString;
use serde::Deserialize;

use super::parsed;

/// An access key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    /// Its public half.
    #[serde(deserialize_with = "parsed")]
    pub access_key_id: AccessKeyId,
    /// What requests are signed with.
    pub secret_access_key: SecretString,
    /// The account whose resources it reaches.
    pub account: AccountId,
    /// The name it acts under: letters, digits and any of `+=,.@_-/`, as of an IAM user.
    #[serde(deserialize_with = "principal")]
    pub principal: String,
}

impl From<CredentialConfig> for Credential {
    fn from(config: CredentialConfig) -> Self {
        Self {
            key: KeyPair {
                access_key: config.access_key_id,
                secret: config.secret_access_key,
            },
            account: config.account,
            principal: config.principal,
        }
    }
}

fn principal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(serde::de::Error::custom(
            "a principal has 1 to 64 letters, digits or any of +=,.@_-/",
        ))
    }
}

/// What accounts may have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasConfig {
    /// Every account's, unless it has its own.
    pub general: AccountQuotas,
    /// Single accounts', in place of the general ones.
    pub accounts: HashMap<AccountId, AccountQuotas>,
}

/// What one account may have. What is absent is unlimited.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountQuotas {
    /// Runtimes in a region.
    pub runtimes: Option<u32>,
    /// Versions of a runtime.
    pub versions_per_runtime: Option<u32>,
    /// Endpoints of a runtime, `DEFAULT` not counted.
    pub endpoints_per_runtime: Option<u32>,
    /// Sessions at once, over all regions.
    pub active_sessions: Option<usize>,
}

impl QuotasConfig {
    /// Those that the store enforces.
    pub fn resources(&self) -> Quotas {
        let own = |(account, quotas): (&AccountId, &AccountQuotas)| (account.clone(), quotas.resources());
        Quotas {
            general: self.general.resources(),
            accounts: self.accounts.iter().map(own).collect(),
        }
    }

    /// How many sessions an account may have at once.
    pub fn active_sessions(&self, account: &AccountId) -> Option<usize> {
        self.accounts
            .get(account)
            .unwrap_or(&self.general)
            .active_sessions
    }
}

impl AccountQuotas {
    fn resources(&self) -> Quota {
        Quota {
            runtimes: self.runtimes,
            versions: self.versions_per_runtime,
            endpoints: self.endpoints_per_runtime,
        }
    }
}

/// Requests per second and account; a second's worth may come at once. Off unless enabled.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Control-plane operations that change something.
    pub mutations: NonZeroU32,
    /// Control-plane operations that read one thing.
    pub gets: NonZeroU32,
    /// Control-plane operations that list.
    pub lists: NonZeroU32,
    /// Data-plane operations, all together.
    pub data: NonZeroU32,
    /// Sessions started.
    pub new_sessions: NonZeroU32,
}

impl Default for RateLimitsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            mutations: const { NonZeroU32::new(50).unwrap() },
            gets: const { NonZeroU32::new(150).unwrap() },
            lists: const { NonZeroU32::new(25).unwrap() },
            data: const { NonZeroU32::new(1000).unwrap() },
            new_sessions: const { NonZeroU32::new(25).unwrap() },
        }
    }
}
