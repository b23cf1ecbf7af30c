//! Credentials of sessions: access keys that are not kept anywhere, because they can be made again from what a request
//! brings.
//!
//! ```text
//! access key id   ASIA…, random
//! secret          HMAC(server's key, id)
//! session token   HMAC(server's key, claims) and the claims: id, session and its beginning, role, end of validity
//! ```
//!
//! So there is nothing to store, to clean up or to steal from the database, and a server that starts anew knows the
//! credentials of sessions that it adopts. A token says what it was made for and cannot be changed; whether that session
//! still is there is for whoever reads it to find out. Removing the key's file makes all of them invalid.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use coracle_types::{RoleArn, SessionKey};
use hmac::Mac;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize};

use crate::secret_file::{KEY, load_or_create_key};
use crate::verify::keyed;
use crate::{AccessKeyId, AuthError, KeyPair};

/// Bytes of a secret; 40 characters in base64, as AWS's.
const SECRET: usize = 30;
/// Longest session token that is read.
const MAX_TOKEN: usize = 4096;
/// What the two uses of the server's key begin with, so that no code of one is good for the other.
const OF_TOKENS: &[u8] = b"token\0";
const OF_SECRETS: &[u8] = b"secret\0";

/// Makes and reads the credentials of sessions.
#[derive(Clone)]
pub struct SessionKeys(Arc<SecretBox<[u8; KEY]>>);

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys")
    }
}

/// What credentials are for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// Which session.
    pub session: SessionKey,
    /// When that session began, which tells it from others of the same name.
    pub began: Timestamp,
    /// The role it acts under.
    pub role: RoleArn,
    /// When they end, whatever becomes of the session.
    pub expires: Timestamp,
}

/// Credentials for an AWS client.
#[derive(Debug)]
pub struct TemporaryCredentials {
    /// What requests are signed with.
    pub key: KeyPair,
    /// What they have to bring along.
    pub token: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Token {
    id: String,
    #[serde(flatten)]
    claims: SessionClaims,
}

impl SessionKeys {
    /// The key in the file at `path`, which is made with a new key if it does not exist.
    ///
    /// # Errors
    /// When the file holds something else, or on any error of the disk.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(load_or_create_key(path)?)))
    }

    /// New credentials for this.
    pub fn issue(&self, claims: SessionClaims) -> TemporaryCredentials {
        let access_key = AccessKeyId::temporary();
        let token = Token {
            id: access_key.as_str().to_owned(),
            claims,
        };
        #[expect(clippy::expect_used, reason = "texts and numbers")]
        let claims = serde_json::to_vec(&token).expect("JSON");
        let mut sealed = self.code(OF_TOKENS, &claims).to_vec();
        sealed.extend(claims);
        TemporaryCredentials {
            key: KeyPair {
                secret: self.secret(&access_key),
                access_key,
            },
            token: STANDARD.encode(sealed).into(),
        }
    }

    /// What the credentials with this id are for, and their secret.
    ///
    /// # Errors
    /// [`AuthError::UnknownKey`] when the token was not made here, or for another id; [`AuthError::ExpiredToken`].
    pub fn read(
        &self,
        access_key: &AccessKeyId,
        token: &str,
        now: Timestamp,
    ) -> Result<(SessionClaims, SecretString), AuthError> {
        let token = self
            .unseal(token)
            .filter(|token| token.id == access_key.as_str())
            .ok_or(AuthError::UnknownKey)?;
        if token.claims.expires <= now {
            return Err(AuthError::ExpiredToken);
        }
        Ok((token.claims, self.secret(access_key)))
    }

    /// The secret of the credentials with this id, if it is the id of such. Whether they were ever given out, and to whom,
    /// their token tells.
    pub fn secret_of(&self, access_key: &AccessKeyId) -> Option<SecretString> {
        access_key.is_temporary().then(|| self.secret(access_key))
    }

    fn unseal(&self, token: &str) -> Option<Token> {
        let bounded = (token.len() <= MAX_TOKEN).then_some(token)?;
        let sealed = STANDARD.decode(bounded).ok()?;
        let (code, claims) = sealed.split_at_checked(KEY)?;
        self.mac(OF_TOKENS, claims).verify_slice(code).ok()?;
        serde_json::from_slice(claims).ok()
    }

    fn secret(&self, access_key: &AccessKeyId) -> SecretString {
        let code = self.code(OF_SECRETS, access_key.as_str().as_bytes());
        STANDARD.encode(&code[..SECRET]).into()
    }

    fn code(&self, of: &[u8], about: &[u8]) -> [u8; KEY] {
        self.mac(of, about).finalize().into_bytes().into()
    }

    fn mac(&self, of: &[u8], about: &[u8]) -> hmac::Hmac<sha2::Sha256> {
        keyed(self.0.expose_secret()).chain_update(of).chain_update(about)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn keys() -> SessionKeys {
        let folder = tempfile::tempdir().unwrap();
        SessionKeys::load_or_create(&folder.path().join("key")).unwrap()
    }

    fn claims() -> SessionClaims {
        let now = Timestamp::now();
        SessionClaims {
            session: SessionKey {
                runtime: "hello-AbCdEf0123".parse().unwrap(),
                endpoint: "DEFAULT".parse().unwrap(),
                session: "s".repeat(40).parse().unwrap(),
            },
            began: now,
            role: "arn:aws:iam::000000000000:role/front".parse().unwrap(),
            expires: now + SignedDuration::from_hours(1),
        }
    }

    #[test]
    fn credentials_say_what_they_are_for_until_they_expire() {
        let (keys, claims) = (keys(), claims());
        let made = keys.issue(claims.clone());
        let id = &made.key.access_key;
        assert_eq!((id.as_str().len(), &id.as_str()[..4]), (20, "ASIA"));
        assert_eq!(made.key.secret.expose_secret().len(), 40);
        let read = |now| keys.read(id, made.token.expose_secret(), now);
        let (found, secret) = read(claims.began).unwrap();
        assert_eq!(found, claims);
        assert_eq!(secret.expose_secret(), made.key.secret.expose_secret());
        let followed = keys.secret_of(id).unwrap();
        assert_eq!(followed.expose_secret(), made.key.secret.expose_secret());
        assert!(keys.secret_of(&"AKIAIOSFODNN7EXAMPLE".parse().unwrap()).is_none());
        assert_eq!(read(claims.expires).unwrap_err(), AuthError::ExpiredToken);
        let text = format!("{made:?} {keys:?}");
        assert!(!text.contains(secret.expose_secret()) && !text.contains(made.token.expose_secret()));
    }

    #[test]
    fn a_token_is_good_for_its_own_key_on_its_own_server() {
        let (keys, other_servers, now) = (keys(), keys(), Timestamp::now());
        let (one, two) = (keys.issue(claims()), keys.issue(claims()));
        let refused = |keys: &SessionKeys, key: &KeyPair, token: &str| {
            let read = keys.read(&key.access_key, token, now);
            read.unwrap_err() == AuthError::UnknownKey
        };
        let token = one.token.expose_secret();
        assert!(refused(&keys, &two.key, token));
        assert!(refused(&other_servers, &one.key, token));
        assert!(refused(&keys, &one.key, &token[..token.len() - 8]));
        assert!(refused(&keys, &one.key, &"A".repeat(MAX_TOKEN + 1)));
    }

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = SessionKeys::load_or_create(&path).unwrap().issue(claims());
        let again = SessionKeys::load_or_create(&path).unwrap();
        assert!(
            again
                .read(&made.key.access_key, made.token.expose_secret(), Timestamp::now())
                .is_ok()
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, "something else").unwrap();
        assert!(SessionKeys::load_or_create(&path).is_err());
    }

    proptest! {
        #[test]
        fn no_other_token_is_taken(token in "(?s).{0,200}", at in 0..200usize, bit in 0..8u8) {
            let (keys, now) = (keys(), Timestamp::now());
            let made = keys.issue(claims());
            prop_assert!(keys.read(&made.key.access_key, &token, now).is_err());
            let mut sealed = STANDARD.decode(made.token.expose_secret()).unwrap();
            let place = at % sealed.len();
            sealed[place] ^= 1 << bit;
            prop_assert!(keys.read(&made.key.access_key, &STANDARD.encode(sealed), now).is_err());
        }
    }
}
