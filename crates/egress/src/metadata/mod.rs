//! What a sandbox is told of itself, as by the metadata service of a cloud machine in its second version: who asks needs
//! a token, which takes a `PUT` that no careless proxy makes, and says that it comes from no proxy.
//!
//! | request | answer |
//! |---|---|
//! | with `X-Forwarded-For` | 403 |
//! | `PUT /latest/api/token` with `X-aws-ec2-metadata-token-ttl-seconds`, 1 to 21600 | a token |
//! | `GET` without a token that is valid | 401 |
//! | `GET /latest/meta-data/iam/security-credentials/` | the name of the role |
//! | `GET /latest/meta-data/iam/security-credentials/ROLE` | credentials, new ones each time |
//! | `GET /latest/meta-data/placement/region`, `…/availability-zone` | the region, and the zone `a` of it |
//! | `GET /latest/dynamic/instance-identity/document` | account and region |
//! | anything else; and all of these in a sandbox without an identity | 404, as on a machine without a role |
//! | more than 50 requests in a second | 503 |
//!
//! A sandbox has no identity before a session has it, so there is nothing here that a snapshot could keep. Tokens are
//! this stack's: a sandbox that is restored, woken or adopted has a new stack and asks for a new one.

mod answer;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use self::tokens::Tokens;

/// Where metadata is served.
pub(crate) const PORT: u16 = 80;
/// How long a client may take to send a request, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest request head, in bytes, and most headers in it.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 32;
/// Most requests of a sandbox within a second.
const MOST_PER_SECOND: u32 = 50;

/// What a sandbox acts as towards this server.
pub trait Identity: fmt::Debug + Send + Sync {
    /// The role's name.
    fn role(&self) -> &str;
    /// Whose it is.
    fn account(&self) -> &str;
    /// Where it is.
    fn region(&self) -> &str;
    /// New credentials.
    fn credentials(&self) -> SessionCredentials;
}

/// Credentials for an AWS client.
#[derive(Debug)]
pub struct SessionCredentials {
    /// The access key's id.
    pub access_key: String,
    /// What requests are signed with.
    pub secret: SecretString,
    /// What they have to bring along.
    pub token: SecretString,
    /// When they were made.
    pub made: Timestamp,
    /// When they end.
    pub expires: Timestamp,
}

/// Answers one sandbox's requests.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    identity: OnceLock<Arc<dyn Identity>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tokens: Tokens,
    rate: Rate,
}

impl Metadata {
    /// What the sandbox is from now on. A session's sandbox is that session's to its end, so the first stays.
    pub(crate) fn identify(&self, identity: Arc<dyn Identity>) {
        self.identity.set(identity).ok();
    }

    /// Whether the sandbox is anything yet.
    pub(crate) fn has_identity(&self) -> bool {
        self.identity.get().is_some()
    }

    /// Answers the requests of a connection until it ends.
    pub(crate) async fn serve(&self, connection: DuplexStream) {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let answer = self.answer(&request.into_parts().0);
            async move { Ok::<_, Infallible>(answer) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(connection), service);
        // How a connection ends is for its client to judge.
        serving.await.ok();
    }

    fn answer(&self, request: &http::request::Parts) -> http::Response<answer::Body> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.rate.admits(now) {
            return answer::too_many();
        }
        answer::to(
            request,
            &mut state.tokens,
            now,
            self.identity.get().map(|identity| &**identity),
        )
    }
}

/// How many requests there were in the second that began last.
#[derive(Debug, Default)]
struct Rate {
    began: Option<Instant>,
    requests: u32,
}

impl Rate {
    fn admits(&mut self, now: Instant) -> bool {
        match self.began {
            Some(began) if now.duration_since(began) < Duration::from_secs(1) => self.requests += 1,
            _ => {
                self.began = Some(now);
                self.requests = 1;
            }
        }
        self.requests <= MOST_PER_SECOND
    }
}
