//! Judging a signature. Everything but the body is known when the head of a request has arrived; the body's
//! hash ends the canonical request, so what came before is kept as hash states of a few hundred bytes.

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::canonical::{CanonicalRequest, host_candidates};
use crate::request::{Payload, Scope, SigV4Request, amz_date};
use crate::{AuthError, HostAliases};

/// How far the clocks of a client and of this machine may differ.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);

impl SigV4Request {
    /// Checks the times, and the signature as far as it can be known without the body.
    ///
    /// `parts` must be those the request was parsed from.
    ///
    /// # Errors
    /// When the request is to be refused whatever its body is.
    pub fn verify(
        &self,
        parts: &Parts,
        secret: &SecretString,
        now: Timestamp,
        aliases: &HostAliases,
    ) -> Result<BodyCheck, AuthError> {
        self.check_times(now)?;
        let canonical = CanonicalRequest::new(self, parts)?;
        let pending = PendingSignature {
            signature: self.signature,
            mac: self.string_to_sign_prefix(secret),
            canonical_requests: host_candidates(parts, aliases)
                .iter()
                .map(|host| {
                    canonical
                        .pieces(host)
                        .into_iter()
                        .fold(Sha256::new(), Sha256::chain_update)
                })
                .collect(),
        };
        let state = match &self.payload {
            Payload::Computed => State::Pending {
                pending,
                hasher: Sha256::new(),
            },
            Payload::Literal(expected) => {
                pending.check(&hex::encode(expected))?;
                State::Expecting {
                    expected: *expected,
                    hasher: Sha256::new(),
                }
            }
            Payload::Unsigned => {
                pending.check("UNSIGNED-PAYLOAD")?;
                State::Uncovered
            }
            Payload::Streaming(kind) => {
                pending.check(kind)?;
                State::Uncovered
            }
        };
        Ok(BodyCheck(state))
    }

    fn check_times(&self, now: Timestamp) -> Result<(), AuthError> {
        let signed = self.signed_at;
        if self.scope.date != signed.strftime("%Y%m%d").to_string() {
            return Err(AuthError::ScopeDate);
        }
        let after = |time: Timestamp, span: SignedDuration| time.saturating_add(span).unwrap_or(time);
        let latest = after(now, MAX_SKEW);
        if signed > latest {
            return Err(AuthError::TooNew { signed, latest, now });
        }
        if let Some(seconds) = self.expires {
            let expired = after(signed, SignedDuration::from_secs(i64::from(seconds)));
            return if now > expired {
                Err(AuthError::UrlExpired { expired, now })
            } else {
                Ok(())
            };
        }
        let earliest = after(now, -MAX_SKEW);
        if signed < earliest {
            return Err(AuthError::TooOld {
                signed,
                earliest,
                now,
            });
        }
        Ok(())
    }

    /// The MAC of the string to sign up to where the hash of the canonical request follows.
    fn string_to_sign_prefix(&self, secret: &SecretString) -> Hmac<Sha256> {
        let mut mac = keyed(&signing_key(secret, &self.scope));
        mac.update(self.string_to_sign_head().as_bytes());
        mac
    }

    pub(crate) fn string_to_sign_head(&self) -> String {
        let Scope {
            date,
            region,
            service,
        } = &self.scope;
        format!(
            "AWS4-HMAC-SHA256\n{}\n{date}/{region}/{service}/aws4_request\n",
            amz_date(self.signed_at)
        )
    }
}

fn signing_key(secret: &SecretString, scope: &Scope) -> [u8; 32] {
    let start = SecretString::from(format!("AWS4{}", secret.expose_secret()));
    let derive = |key: &[u8], text: &str| keyed(key).chain_update(text).finalize().into_bytes().into();
    let key: [u8; 32] = derive(start.expose_secret().as_bytes(), &scope.date);
    let key: [u8; 32] = derive(&key, scope.region.as_str());
    let key: [u8; 32] = derive(&key, &scope.service);
    derive(&key, "aws4_request")
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

/// A signature that lacks only the payload hash to be judged. Holds a key that is good for one day and
/// service, within the MAC, but not the secret.
struct PendingSignature {
    signature: [u8; 32],
    mac: Hmac<Sha256>,
    /// One hash state for each host the client may have signed for.
    canonical_requests: Vec<Sha256>,
}

impl PendingSignature {
    fn check(self, payload_hash: &str) -> Result<(), AuthError> {
        let matches = self
            .canonical_requests
            .into_iter()
            .fold(Choice::from(0), |matches, canonical| {
                let hash = hex::encode(canonical.chain_update(payload_hash).finalize());
                let computed = self.mac.clone().chain_update(hash).finalize().into_bytes();
                matches | computed.as_slice().ct_eq(&self.signature)
            });
        if matches.into() {
            Ok(())
        } else {
            Err(AuthError::Mismatch)
        }
    }
}

/// The rest of a verification: give it the body as it passes, then ask for the verdict.
///
/// Nothing that cannot be taken back may be done for the caller before the verdict, except what
/// [`BodyCheck::is_authentic`] allows.
#[must_use = "the request is not verified until `finish` has been called"]
pub struct BodyCheck(State);

enum State {
    /// The signature depends on the body's hash.
    Pending {
        pending: PendingSignature,
        hasher: Sha256,
    },
    /// The signature was good; the body must have the signed hash.
    Expecting { expected: [u8; 32], hasher: Sha256 },
    /// The signature was good and does not cover the body.
    Uncovered,
}

impl BodyCheck {
    /// Whether the caller is already proven to hold the secret. The body may still turn out to be another.
    pub fn is_authentic(&self) -> bool {
        !matches!(self.0, State::Pending { .. })
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Pending { hasher, .. } | State::Expecting { hasher, .. } => hasher.update(bytes),
            State::Uncovered => {}
        }
    }

    /// The verdict, once the whole body has been given.
    ///
    /// # Errors
    /// When the signature or the body is not what it should be.
    pub fn finish(self) -> Result<(), AuthError> {
        match self.0 {
            State::Pending { pending, hasher } => pending.check(&hex::encode(hasher.finalize())),
            State::Expecting { expected, hasher } => {
                let same = hasher.finalize().as_slice().ct_eq(&expected);
                if same.into() {
                    Ok(())
                } else {
                    Err(AuthError::BodyMismatch)
                }
            }
            State::Uncovered => Ok(()),
        }
    }

    /// The verdict for a body that is in memory.
    ///
    /// # Errors
    /// As [`BodyCheck::finish`].
    pub fn finish_with(mut self, body: &[u8]) -> Result<(), AuthError> {
        self.update(body);
        self.finish()
    }
}
