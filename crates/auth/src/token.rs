//! Bearer tokens: JSON Web Tokens of an OpenID Connect or OAuth 2 issuer, judged by the rules of a runtime's
//! `customJWTAuthorizer`.
//!
//! A token counts when it is signed by a key of the issuer, is of that issuer, is current, and satisfies every rule
//! that is configured. Keys and issuer come from the issuer's discovery document; fetching them is for the caller.

use std::collections::HashSet;

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};

/// Longest token accepted, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Most keys of an issuer that are kept.
const MAX_KEYS: usize = 64;
/// How far the issuer's clock may be from this machine's, in seconds.
const LEEWAY: i64 = 60;
/// Signatures with public keys. A secret that signs is known to whoever checks, so no issuer of others has one.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token is not accepted. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no JSON Web Token, too long, or signed in a way that proves nothing.
    #[error("The token is not a JSON Web Token signed with a public-key algorithm")]
    Malformed,
    /// The issuer has no key of this id. It may have changed its keys since they were fetched.
    #[error("The token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("The token's signature does not match")]
    Signature,
    /// It has expired.
    #[error("Token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("Token is not valid yet")]
    NotYet,
    /// A claim is missing or is not what the runtime's authorizer wants.
    #[error("Claim '{0}' value mismatch with configuration")]
    Claim(String),
    /// None of the allowed scopes is in it.
    #[error("The token has none of the allowed scopes")]
    Scope,
}

/// What a token must say. An empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// One of these in `aud`.
    pub audiences: Vec<String>,
    /// One of these is the client.
    pub clients: Vec<String>,
    /// Claims that may name the client, in order; the first one present counts.
    pub client_claims: Vec<String>,
    /// One of these in `scope` or `scp`.
    pub scopes: Vec<String>,
    /// Each of these holds.
    pub claims: Vec<ClaimRule>,
}

/// What one claim must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: ClaimValue,
}

/// The value of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimValue {
    /// This text.
    Equals(String),
    /// A list of texts with at least one of these.
    ContainsAny(Vec<String>),
}

/// The public keys of an issuer.
#[derive(Debug, Clone)]
pub struct IssuerKeys(Vec<Jwk>);

impl IssuerKeys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys that cannot check a token's signature are left out.
    ///
    /// # Errors
    /// When it is no key set.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut keys = serde_json::from_slice::<JwkSet>(json)?.keys;
        keys.retain(|key| {
            let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
            let public = !matches!(
                key.algorithm,
                AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_)
            );
            signs && public
        });
        keys.truncate(MAX_KEYS);
        Ok(Self(keys))
    }

    /// The keys that may have signed a token: the one of its key id, or all when it names none.
    fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Jwk> {
        self.0
            .iter()
            .filter(move |key| id.is_none() || key.common.key_id.as_deref() == id)
    }
}

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Who issued it.
    pub issuer: String,
    /// Whom it is about, as the issuer names them; empty if it does not say.
    pub subject: String,
}

/// Looks at the form of a token only, which needs no keys.
///
/// # Errors
/// [`TokenError::Malformed`]
pub fn check_form(token: &str) -> Result<(), TokenError> {
    header(token).map(drop)
}

/// Judges a token.
///
/// # Errors
/// See [`TokenError`]. [`TokenError::UnknownKey`] is worth another try with keys fetched anew.
pub fn verify(
    token: &str,
    issuer: &str,
    keys: &IssuerKeys,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<Bearer, TokenError> {
    let claims = authentic_claims(token, keys)?;
    check_times(&claims, now)?;
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(TokenError::Claim("iss".to_owned()));
    }
    rules.check(&claims)?;
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    Ok(Bearer {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    })
}

fn header(token: &str) -> Result<Header, TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if ALGORITHMS.contains(&header.alg) {
        Ok(header)
    } else {
        Err(TokenError::Malformed)
    }
}

/// The claims, if a key of the issuer has signed them.
fn authentic_claims(token: &str, keys: &IssuerKeys) -> Result<Map<String, Value>, TokenError> {
    let header = header(token)?;
    let mut validation = Validation::new(header.alg);
    // Times and audience are judged below, by a clock that is given and rules that may ask for none.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims = HashSet::new();
    let mut refusal = TokenError::UnknownKey;
    for key in keys.candidates(header.kid.as_deref()) {
        let Ok(key) = DecodingKey::from_jwk(key) else {
            continue;
        };
        match jsonwebtoken::decode(token, &key, &validation) {
            Ok(decoded) => return Ok(decoded.claims),
            Err(_) => refusal = TokenError::Signature,
        }
    }
    Err(refusal)
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), TokenError> {
    // NumericDate may have a fraction (RFC 7519 §2).
    let seconds = |name: &str| claims.get(name).map(|value| value.as_f64().ok_or(()));
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 fit a double's 53 bits"
    )]
    let (earliest, latest) = (
        (now.as_second() - LEEWAY) as f64,
        (now.as_second() + LEEWAY) as f64,
    );
    match seconds("exp") {
        Some(Ok(expiry)) if expiry > earliest => {}
        Some(Ok(_)) => return Err(TokenError::Expired),
        Some(Err(())) | None => return Err(TokenError::Claim("exp".to_owned())),
    }
    match seconds("nbf") {
        Some(Ok(beginning)) if beginning > latest => Err(TokenError::NotYet),
        Some(Err(())) => Err(TokenError::Claim("nbf".to_owned())),
        Some(Ok(_)) | None => Ok(()),
    }
}

impl TokenRules {
    fn check(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        let mismatch = |name: &str| Err(TokenError::Claim(name.to_owned()));
        let is_one_of = |texts: &[String], text: &str| texts.iter().any(|one| one == text);
        if !self.audiences.is_empty()
            && !texts(claims.get("aud")).any(|text| is_one_of(&self.audiences, text))
        {
            return mismatch("aud");
        }
        if !self.clients.is_empty() {
            let mut named = self
                .client_claims
                .iter()
                .filter_map(|name| claims.get(name)?.as_str());
            if !named
                .next()
                .is_some_and(|client| is_one_of(&self.clients, client))
            {
                return mismatch(self.client_claims.first().map_or("client_id", String::as_str));
            }
        }
        if !self.scopes.is_empty() {
            let granted = ["scope", "scp"]
                .into_iter()
                .flat_map(|name| texts(claims.get(name)));
            let mut granted = granted.flat_map(str::split_ascii_whitespace);
            if !granted.any(|scope| is_one_of(&self.scopes, scope)) {
                return Err(TokenError::Scope);
            }
        }
        for rule in &self.claims {
            let found = claims.get(&rule.name);
            let holds = match &rule.value {
                ClaimValue::Equals(text) => found.and_then(Value::as_str) == Some(text),
                ClaimValue::ContainsAny(any) => {
                    found.is_some_and(Value::is_array) && texts(found).any(|text| is_one_of(any, text))
                }
            };
            if !holds {
                return mismatch(&rule.name);
            }
        }
        Ok(())
    }
}

/// The texts of a claim that is a text or a list of them.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(list)) => (None, Some(list)),
        _ => (None, None),
    };
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://issuer.example";
    const NOW: i64 = 1_800_000_000;

    fn key(seed: u8) -> EncodingKey {
        // PKCS #8 of an Ed25519 key (RFC 8410 §7): a fixed head and the seed.
        let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
        der.extend([seed; 32]);
        EncodingKey::from_ed_der(&der)
    }

    fn jwk(seed: u8, id: Option<&str>) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&key(seed), Algorithm::EdDSA).unwrap();
        jwk.common.key_id = id.map(str::to_owned);
        jwk
    }

    fn keys(keys: &[Jwk]) -> IssuerKeys {
        IssuerKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn token(seed: u8, id: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = id.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &key(seed)).unwrap()
    }

    fn claims(more: Value) -> Value {
        let mut claims =
            json!({"iss": ISSUER, "sub": "ann", "exp": NOW + 300, "client_id": "app", "aud": "agents"});
        if let Value::Object(more) = more {
            claims.as_object_mut().unwrap().extend(more);
        }
        claims
    }

    fn judged_by(rules: &TokenRules, claims: &Value) -> Result<Bearer, TokenError> {
        let now = Timestamp::from_second(NOW).unwrap();
        verify(
            &token(1, Some("a"), claims),
            ISSUER,
            &keys(&[jwk(1, Some("a"))]),
            rules,
            now,
        )
    }

    fn rules() -> TokenRules {
        TokenRules {
            audiences: vec!["agents".to_owned()],
            client_claims: vec!["client_id".to_owned()],
            ..TokenRules::default()
        }
    }

    #[test]
    fn a_good_token_says_who_it_is() {
        let bearer = judged_by(&rules(), &claims(json!({}))).unwrap();
        assert_eq!((bearer.issuer.as_str(), bearer.subject.as_str()), (ISSUER, "ann"));
    }

    #[test]
    fn times_count_with_some_leeway() {
        for (more, expected) in [
            (json!({"exp": NOW - 30}), Ok(())),
            (json!({"exp": NOW - 61}), Err(TokenError::Expired)),
            (json!({"exp": "soon"}), Err(TokenError::Claim("exp".to_owned()))),
            (json!({"exp": null}), Err(TokenError::Claim("exp".to_owned()))),
            (json!({"nbf": NOW + 30}), Ok(())),
            (json!({"nbf": f64::from(i32::MAX)}), Err(TokenError::NotYet)),
        ] {
            assert_eq!(
                judged_by(&rules(), &claims(more.clone())).map(drop),
                expected,
                "{more}"
            );
        }
    }

    #[test]
    fn every_rule_that_is_configured_must_hold() {
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let with = |change: &dyn Fn(&mut TokenRules)| {
            let mut rules = rules();
            change(&mut rules);
            rules
        };
        let group = |value: ClaimValue| {
            let mut rules = rules();
            rules.claims.push(ClaimRule {
                name: "group".to_owned(),
                value,
            });
            rules
        };
        let mismatch = |name: &str| Err(TokenError::Claim(name.to_owned()));
        let client = with(&|rules| rules.clients = list(&["app", "other"]));
        let lenient = with(&|rules| {
            rules.clients = list(&["app"]);
            rules.client_claims = list(&["client_id", "azp"]);
        });
        let scope = with(&|rules| rules.scopes = list(&["agents.read", "agents.run"]));
        for (rules, more, expected) in [
            (&rules(), json!({"iss": "https://other.example"}), mismatch("iss")),
            (&rules(), json!({"aud": "others"}), mismatch("aud")),
            (&rules(), json!({"aud": ["others", "agents"]}), Ok(())),
            (&rules(), json!({"aud": {"agents": 1}}), mismatch("aud")),
            (&client, json!({}), Ok(())),
            (&client, json!({"client_id": "stranger"}), mismatch("client_id")),
            (
                &client,
                json!({"client_id": null, "azp": "app"}),
                mismatch("client_id"),
            ),
            (&lenient, json!({"client_id": null, "azp": "app"}), Ok(())),
            (&scope, json!({}), Err(TokenError::Scope)),
            (&scope, json!({"scope": "openid agents.run"}), Ok(())),
            (&scope, json!({"scp": ["agents.read"]}), Ok(())),
            (&scope, json!({"scope": "agents.running"}), Err(TokenError::Scope)),
            (
                &group(ClaimValue::Equals("dev".to_owned())),
                json!({"group": "dev"}),
                Ok(()),
            ),
            (
                &group(ClaimValue::Equals("dev".to_owned())),
                json!({"group": ["dev"]}),
                mismatch("group"),
            ),
            (
                &group(ClaimValue::ContainsAny(list(&["dev", "ops"]))),
                json!({"group": ["ops"]}),
                Ok(()),
            ),
            (
                &group(ClaimValue::ContainsAny(list(&["dev"]))),
                json!({"group": "dev"}),
                mismatch("group"),
            ),
            (
                &group(ClaimValue::ContainsAny(list(&["dev"]))),
                json!({}),
                mismatch("group"),
            ),
        ] {
            assert_eq!(
                judged_by(rules, &claims(more.clone())).map(drop),
                expected,
                "{more}"
            );
        }
    }

    #[test]
    fn only_the_issuers_keys_count() {
        let now = Timestamp::from_second(NOW).unwrap();
        let judge = |token: &str, keys: &IssuerKeys| verify(token, ISSUER, keys, &rules(), now).map(drop);
        let good = claims(json!({}));
        let two = keys(&[jwk(1, Some("a")), jwk(2, Some("b"))]);
        assert_eq!(judge(&token(2, Some("b"), &good), &two), Ok(()));
        assert_eq!(
            judge(&token(2, Some("a"), &good), &two),
            Err(TokenError::Signature)
        );
        assert_eq!(
            judge(&token(3, Some("c"), &good), &two),
            Err(TokenError::UnknownKey)
        );
        assert_eq!(
            judge(&token(2, None, &good), &two),
            Ok(()),
            "any key when none is named"
        );
    }

    #[test]
    fn a_signature_that_proves_nothing_is_refused() {
        let now = Timestamp::from_second(NOW).unwrap();
        let public = jwk(1, Some("a"));
        let AlgorithmParameters::OctetKeyPair(pair) = &public.algorithm else {
            panic!("an Ed25519 key")
        };
        // The public key taken for the secret of an HMAC.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("a".to_owned());
        let confused = jsonwebtoken::encode(
            &header,
            &claims(json!({})),
            &EncodingKey::from_secret(pair.x.as_bytes()),
        )
        .unwrap();
        let (_, rest) = confused.split_once('.').unwrap();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
        for token in [
            confused.as_str(),
            &unsigned,
            "",
            "a.b",
            "a.b.c",
            &"a".repeat(MAX_TOKEN + 1),
        ] {
            let judged = verify(token, ISSUER, &keys(std::slice::from_ref(&public)), &rules(), now);
            assert_eq!(judged, Err(TokenError::Malformed), "{token}");
        }
    }

    proptest! {
        #[test]
        fn whatever_claims_to_be_a_token_is_refused_without_panic(token in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}") {
            let now = Timestamp::from_second(NOW).unwrap();
            prop_assert!(verify(&token, ISSUER, &keys(&[jwk(1, None)]), &TokenRules::default(), now).is_err());
        }

        #[test]
        fn whatever_claims_to_be_a_key_set_is_read_or_refused(json in "[ -~]{0,200}") {
            IssuerKeys::parse(json.as_bytes()).ok();
        }
    }
}
