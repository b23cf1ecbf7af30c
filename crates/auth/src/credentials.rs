//! Access keys: their form, their owners, and new ones. A secret is never printed; only verification reads it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use coracle_types::AccountId;
use rand::RngExt;
use secrecy::SecretString;

/// What ids of temporary credentials begin with.
const TEMPORARY: &str = "ASIA";
const ID: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The public half of an access key: 1 to 128 letters, digits, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessKeyId(String);

/// Text that cannot be an access key id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an access key id: expected 1 to 128 letters, digits, '_' or '-'")]
pub struct InvalidAccessKey;

impl AccessKeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new one in the form of AWS's temporary credentials.
    pub(crate) fn temporary() -> Self {
        Self(format!("{TEMPORARY}{}", random_text(ID, 16)))
    }

    /// Whether it has that form.
    pub(crate) fn is_temporary(&self) -> bool {
        self.0.starts_with(TEMPORARY)
    }
}

impl FromStr for AccessKeyId {
    type Err = InvalidAccessKey;

    fn from_str(text: &str) -> Result<Self, InvalidAccessKey> {
        let valid = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        valid.then(|| Self(text.to_owned())).ok_or(InvalidAccessKey)
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An access key id and its secret.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// What requests name.
    pub access_key: AccessKeyId,
    /// What requests are signed with.
    pub secret: SecretString,
}

impl KeyPair {
    /// A new random key, in the form AWS tools expect: an id of 20 upper-case characters and a secret of 40.
    pub fn generate() -> Self {
        Self {
            access_key: AccessKeyId(format!("CRCL{}", random_text(ID, 16))),
            secret: SecretString::from(random_text(SECRET, 40)),
        }
    }
}

fn random_text(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
        .collect()
}

/// An access key and whose it is.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The key.
    pub key: KeyPair,
    /// The account whose resources it reaches.
    pub account: AccountId,
    /// The name it acts under, for policies and logs.
    pub principal: String,
}

/// Every access key the server accepts.
#[derive(Debug, Clone, Default)]
pub struct CredentialTable(HashMap<AccessKeyId, Credential>);

impl CredentialTable {
    /// Adds a key, replacing one with the same id.
    pub fn insert(&mut self, credential: Credential) {
        self.0.insert(credential.key.access_key.clone(), credential);
    }

    /// The credential with this id.
    pub fn get(&self, access_key: &AccessKeyId) -> Option<&Credential> {
        self.0.get(access_key)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn new_keys_look_like_aws_keys_and_differ() {
        let (one, two) = (KeyPair::generate(), KeyPair::generate());
        assert_ne!(one.access_key, two.access_key);
        assert_ne!(one.secret.expose_secret(), two.secret.expose_secret());
        assert_eq!(one.access_key.as_str().len(), 20);
        assert!(
            one.access_key
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        );
        assert_eq!(one.secret.expose_secret().len(), 40);
        assert_eq!(one.access_key.as_str().parse(), Ok(one.access_key));
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = KeyPair::generate();
        let secret = key.secret.expose_secret().to_owned();
        let mut table = CredentialTable::default();
        table.insert(Credential {
            key,
            account: "000000000000".parse().unwrap(),
            principal: "administrator".to_owned(),
        });
        assert!(!format!("{table:?}").contains(&secret));
    }
}
