//! The issuers of bearer tokens: their names and keys, fetched from the discovery documents that runtimes name.
//!
//! ```text
//!  unknown ──fetched──▶ fresh ──REFRESH──▶ stale ──fetched──▶ fresh
//!                         └─ a token names an unknown key, at most every REFETCH ─▶ fetched again
//! ```
//!
//! One fetch of an issuer runs at a time and whoever needs it waits for it. An issuer that stops answering keeps the
//! keys it last had for [`KEEP`]. Documents come from strangers: bounded in size and time, and read over TLS unless
//! they are on this machine or the operator allows otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use coracle_auth::token::{self, Bearer, IssuerKeys, TokenError, TokenRules};
use coracle_types::is_this_machine;
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use tokio::time::Instant;

/// How long a fetch counts as fresh.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// How long an issuer that does not answer keeps its keys.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Least time between two fetches because of an unknown key.
const REFETCH: Duration = Duration::from_secs(10);
/// How long one document may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document, in bytes.
const MAX_DOCUMENT: usize = 512 * 1024;
/// Most issuers that are remembered.
const MAX_ISSUERS: usize = 1024;

/// Why a token could not be accepted.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// It is no good.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// Nobody can tell, because its issuer cannot be asked.
    #[error("the keys of the token's issuer cannot be had from {url}")]
    Issuer {
        /// The document that was asked for.
        url: String,
        /// The cause.
        #[source]
        source: Arc<IssuerError>,
    },
}

/// Why an issuer's documents could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// It is no URL that may be asked.
    #[error("{0} is neither https nor on this machine; [authorizers] allow_plain_http = true allows it")]
    Plain(String),
    /// It is no URL.
    #[error("{0} is no URL")]
    NoUrl(String),
    /// It did not answer well.
    #[error("the issuer did not answer")]
    Http(#[from] reqwest::Error),
    /// It answered at too great length.
    #[error("the answer is longer than {MAX_DOCUMENT} bytes")]
    TooLong,
    /// It is not what it should be.
    #[error("the answer is no discovery document or key set")]
    Parse(#[from] serde_json::Error),
}

/// What is known of issuers.
#[derive(Debug)]
pub struct Issuers {
    /// Made when it is first needed: a machine without certificates of authorities has use for a server, too.
    http: OnceLock<reqwest::Client>,
    allow_plain_http: bool,
    known: Mutex<HashMap<String, Arc<Issuer>>>,
}

#[derive(Debug, Default)]
struct Issuer(tokio::sync::Mutex<Option<Fetched>>);

#[derive(Debug, Clone)]
struct Fetched {
    documents: Arc<Documents>,
    at: Instant,
}

#[derive(Debug)]
struct Documents {
    issuer: String,
    keys: IssuerKeys,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    /// Knows nobody yet.
    pub fn new(allow_plain_http: bool) -> Self {
        Self {
            http: OnceLock::new(),
            allow_plain_http,
            known: Mutex::default(),
        }
    }

    /// Judges a token of the issuer whose discovery document is at `url`.
    ///
    /// # Errors
    /// See [`BearerError`].
    pub async fn verify(&self, token: &str, url: &str, rules: &TokenRules) -> Result<Bearer, BearerError> {
        token::check_form(token)?;
        let judge = |documents: &Documents| {
            token::verify(token, &documents.issuer, &documents.keys, rules, Timestamp::now())
        };
        let known = self.documents(url, REFRESH).await?;
        match judge(&known) {
            // It may have been signed with a key that is newer than what is known.
            Err(TokenError::UnknownKey) => Ok(judge(&*self.documents(url, REFETCH).await?)?),
            judged => Ok(judged?),
        }
    }

    /// The issuer's documents, not older than `age` if it answers.
    async fn documents(&self, url: &str, age: Duration) -> Result<Arc<Documents>, BearerError> {
        let issuer = self.issuer(url);
        let mut known = issuer.0.lock().await;
        if let Some(fetched) = known.as_ref().filter(|fetched| fetched.at.elapsed() < age) {
            return Ok(fetched.documents.clone());
        }
        let source = match self.fetch(url).await {
            Ok(documents) => {
                let documents = Arc::new(documents);
                *known = Some(Fetched {
                    documents: documents.clone(),
                    at: Instant::now(),
                });
                return Ok(documents);
            }
            Err(error) => Arc::new(error),
        };
        let error = crate::error_chain(&*source);
        match known.as_ref().filter(|fetched| fetched.at.elapsed() < KEEP) {
            Some(fetched) => {
                tracing::warn!(
                    url,
                    error,
                    "an issuer of tokens does not answer; its last keys still count"
                );
                Ok(fetched.documents.clone())
            }
            None => {
                tracing::warn!(url, error, "the keys of an issuer of tokens cannot be had");
                Err(BearerError::Issuer {
                    url: url.to_owned(),
                    source,
                })
            }
        }
    }

    fn issuer(&self, url: &str) -> Arc<Issuer> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ISSUERS && !known.contains_key(url) {
            // Who is needed is fetched again.
            known.clear();
        }
        known.entry(url.to_owned()).or_default().clone()
    }

    async fn fetch(&self, url: &str) -> Result<Documents, IssuerError> {
        let discovery: Discovery = serde_json::from_slice(&self.document(url).await?)?;
        let keys = self.document(&discovery.jwks_uri).await?;
        Ok(Documents {
            issuer: discovery.issuer,
            keys: IssuerKeys::parse(&keys)?,
        })
    }

    fn http(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(self.http.get_or_init(|| http))
    }

    async fn document(&self, url: &str) -> Result<Vec<u8>, IssuerError> {
        let parsed: Url = url.parse().map_err(|_| IssuerError::NoUrl(url.to_owned()))?;
        if parsed.scheme() != "https" && !(self.allow_plain_http || is_on_this_machine(&parsed)) {
            return Err(IssuerError::Plain(url.to_owned()));
        }
        let mut response = self.http()?.get(parsed).send().await?.error_for_status()?;
        let mut document = Vec::new();
        while let Some(piece) = response.chunk().await? {
            document.extend_from_slice(&piece);
            if document.len() > MAX_DOCUMENT {
                return Err(IssuerError::TooLong);
            }
        }
        Ok(document)
    }
}

fn is_on_this_machine(url: &Url) -> bool {
    url.host_str().is_some_and(is_this_machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for (url, here) in [
            ("http://localhost:8080/x", true),
            ("http://127.0.0.1/x", true),
            ("http://[::1]/x", true),
            ("http://localhost.example/x", false),
            ("http://10.0.0.1/x", false),
        ] {
            assert_eq!(is_on_this_machine(&url.parse().unwrap()), here, "{url}");
        }
    }

    #[tokio::test]
    async fn an_issuer_that_cannot_be_asked_is_no_refusal_of_the_token() {
        let issuers = Issuers::new(false);
        for url in [
            "http://issuer.example/.well-known/openid-configuration",
            "nonsense",
        ] {
            // {"alg":"ES256"}
            let judged = issuers
                .verify("eyJhbGciOiJFUzI1NiJ9.e30.eA", url, &TokenRules::default())
                .await;
            assert!(matches!(judged, Err(BearerError::Issuer { .. })), "{judged:?}");
            let judged = issuers.verify("a.b.c", url, &TokenRules::default()).await;
            assert!(
                matches!(judged, Err(BearerError::Refused(TokenError::Malformed))),
                "{judged:?}"
            );
        }
    }
}
