use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::limits::SESSION_ID_LENGTH;

/// Text that is not a valid identifier of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: expected {expected}")]
pub struct IdError {
    /// Which kind of identifier was expected.
    pub what: &'static str,
    /// The accepted form, for a person.
    pub expected: &'static str,
}

/// Declares a checked string identifier.
macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { what: $what, expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

string_id!(
    /// An AWS account: twelve digits.
    AccountId, "account id", "12 digits",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);

string_id!(
    /// A region name. Any region a client signs for exists and holds its own resources.
    Region, "region", "lower-case letters, digits and hyphens, at most 64",
    |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

string_id!(
    /// The name a runtime was created with.
    RuntimeName, "runtime name", "a letter, then letters, digits and underscores, at most 48",
    |text| is_name(text, 48)
);

string_id!(
    /// A runtime: its name, a hyphen and ten random letters and digits. Case-sensitive.
    RuntimeId, "runtime id", "<name>-<10 letters and digits>",
    |text| {
        text.rsplit_once('-').is_some_and(|(name, suffix)| {
            is_name(name, 100) && suffix.len() == 10 && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    }
);

string_id!(
    /// The name of a runtime endpoint.
    EndpointName, "endpoint name", "a letter, then letters, digits and underscores, at most 48",
    |text| is_name(text, 48)
);

string_id!(
    /// A session id as the caller chose it: visible ASCII without `/`. Use [`SessionId::digest`] in file names.
    SessionId, "session id", "33 to 256 visible ASCII characters other than '/'",
    |text| {
        SESSION_ID_LENGTH.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    }
);

string_id!(
    /// The name of a command shell in its session, as the caller chose it.
    ShellId, "shell id", "1 to 128 letters, digits, hyphens and underscores, beginning with a letter or digit",
    |text| {
        (1..=128).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    }
);

string_id!(
    /// What the URL of a session calls it: the same for the same session, and nothing to be read out of it.
    SessionAddress, "session address", "32 hexadecimal digits in lower case",
    |text| text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

impl RuntimeName {
    /// A new id for a runtime of this name.
    pub fn new_id(&self) -> RuntimeId {
        RuntimeId(format!("{}-{}", self.0, random_suffix()))
    }
}

impl RuntimeId {
    /// The part before the random suffix.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('-').map_or(self.0.as_str(), |(name, _)| name)
    }
}

impl EndpointName {
    /// The endpoint every runtime has, which follows the newest version.
    pub const DEFAULT: &'static str = "DEFAULT";

    /// The `DEFAULT` endpoint.
    pub fn default_endpoint() -> Self {
        Self(Self::DEFAULT.to_owned())
    }

    /// Whether this is the `DEFAULT` endpoint.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl SessionId {
    /// A new id, for callers that bring none.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// A short name that is safe in a file name and reveals nothing of the id: 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        short_digest(&self.0)
    }
}

/// The first half of the text's SHA-256 in hexadecimal.
fn short_digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl ShellId {
    /// A new id, for callers that bring none.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Ten random letters and digits, as the service ends its ids with.
pub fn random_suffix() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bits = Uuid::new_v4().as_u128();
    (0..10)
        .map(|_| {
            let index = usize::try_from(bits % 62).unwrap_or_default();
            bits /= 62;
            char::from(ALPHABET[index])
        })
        .collect()
}

/// An immutable version of a runtime: 1 to 99999. A string of digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionNumber(u32);

impl VersionNumber {
    /// The version a new runtime begins with.
    pub const FIRST: Self = Self(1);
    const MAX: u32 = 99_999;

    /// The version with this number, if it is one.
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The version after this one, unless numbers have run out.
    pub fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VersionNumber {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError {
            what: "version",
            expected: "a number from 1 to 99999",
        };
        if text.is_empty() || text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error);
        }
        text.parse().ok().and_then(Self::new).ok_or(error)
    }
}

impl TryFrom<String> for VersionNumber {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<VersionNumber> for String {
    fn from(version: VersionNumber) -> Self {
        version.to_string()
    }
}

/// One sandbox, ever: names its folder and its processes. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SandboxId(Uuid);

impl SandboxId {
    /// A new id; later ids sort after earlier ones.
    #[expect(clippy::new_without_default, reason = "each call makes another id")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for SandboxId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError {
            what: "sandbox id",
            expected: "a UUID",
        })
    }
}

/// The storage of one session, ever: names its folder. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StorageId(Uuid);

impl StorageId {
    /// A new id; later ids sort after earlier ones.
    #[expect(clippy::new_without_default, reason = "each call makes another id")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for StorageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError {
            what: "storage id",
            expected: "a UUID",
        })
    }
}

/// One start of the server process. Raised by the store at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub i64);

/// One ownership of a session. Only the store hands these out, always rising, so that a stale owner can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub i64);

/// What names a session: the same id on another endpoint is another session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionKey {
    /// The runtime; its id is unique across accounts and regions.
    pub runtime: RuntimeId,
    /// The endpoint the caller used.
    pub endpoint: EndpointName,
    /// The caller's id.
    pub session: SessionId,
}

impl SessionKey {
    /// What its URL calls the session.
    pub fn address(&self) -> SessionAddress {
        // No part has a slash in it, so no two keys have the same text.
        SessionAddress(short_digest(&self.to_string()))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.runtime, self.endpoint, self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_service_model() {
        assert!("a".parse::<RuntimeName>().is_ok());
        assert!("A_1".parse::<RuntimeName>().is_ok());
        for bad in ["", "1a", "_a", "with-hyphen", "é", &"a".repeat(49)] {
            assert!(bad.parse::<RuntimeName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_session_keeps_its_address_and_shares_it_with_none() {
        let key = |endpoint: &str, session: &str| SessionKey {
            runtime: "hello-AbCdEf0123".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            session: session.repeat(40).parse().unwrap(),
        };
        let address = key("DEFAULT", "a").address();
        assert_eq!(address, key("DEFAULT", "a").address());
        assert_eq!(address.as_str().parse(), Ok(address.clone()));
        for other in [key("DEFAULT", "b"), key("prod", "a")] {
            assert_ne!(address, other.address());
        }
        for bad in ["", &"A".repeat(32), &"a".repeat(31), &"g".repeat(32)] {
            assert!(bad.parse::<SessionAddress>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn session_ids_are_bounded_and_visible() {
        assert!("a".repeat(33).parse::<SessionId>().is_ok());
        assert!("a".repeat(256).parse::<SessionId>().is_ok());
        for bad in [
            "a".repeat(32),
            "a".repeat(257),
            format!("{}/", "a".repeat(33)),
            " ".repeat(40),
        ] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn shell_ids_follow_the_documentation() {
        for good in ["a", "0-debug_shell", &"a".repeat(128)] {
            assert!(good.parse::<ShellId>().is_ok(), "{good:?} was refused");
        }
        for bad in ["", "-a", "_a", "a b", "a/b", "é", &"a".repeat(129)] {
            assert!(bad.parse::<ShellId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn versions_are_canonical_numbers() {
        assert_eq!("1".parse(), Ok(VersionNumber::FIRST));
        for bad in ["", "0", "01", "-1", "+1", "100000", "v1", "1 "] {
            assert!(bad.parse::<VersionNumber>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_new_runtime_id_is_valid_and_keeps_its_name(name in "[a-zA-Z][a-zA-Z0-9_]{0,47}") {
            let name: RuntimeName = name.parse().unwrap();
            let id = name.new_id();
            let parsed: RuntimeId = id.as_str().parse().unwrap();
            proptest::prop_assert_eq!(parsed.name(), name.as_str());
        }
    }
}
