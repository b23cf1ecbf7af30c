//! How an endpoint moves from one version to another.
//!
//! | tag of an endpoint | |
//! |---|---|
//! | `coracle:canary` | `VERSION:PERCENT`: that share of the sessions that begin do so with that version, the others with the one the endpoint serves |
//! | `coracle:old-sessions` | `finish` (the default): a session keeps the version it began with until it ends. `stop-when-idle`: one of a version that it would not begin with now is stopped as soon as nobody uses it |
//!
//! Whether a session is in the share depends on its id alone: it begins with the same version each time, finds what it
//! kept, and stays in a share that grows. Taking the canary's tag away rolls back.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use coracle_store::{Store, StoreError};
use coracle_supervisor::{SessionState, Supervisor};
use coracle_types::{EndpointArn, InvocationTarget, RuntimeId, SessionId, VersionNumber};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::data::Routes;

/// The tag that says who begins with another version.
pub const CANARY_TAG: &str = "coracle:canary";
/// The tag that says what becomes of sessions of other versions.
pub const OLD_SESSIONS_TAG: &str = "coracle:old-sessions";
/// How often idle sessions of other versions are looked for.
const INTERVAL: Duration = Duration::from_secs(2);

/// What the tags of an endpoint say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The version that a share of the new sessions begins with.
    pub canary: Option<Canary>,
    /// What becomes of sessions of other versions.
    pub old_sessions: OldSessions,
}

/// A version that a share of the new sessions begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// The version.
    pub version: VersionNumber,
    /// The share, in percent.
    pub percent: Percent,
}

/// A share, from 1 to 100 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u8);

/// What becomes of sessions of a version that they would not begin with now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OldSessions {
    /// They go on until they end.
    #[default]
    Finish,
    /// They are stopped once nobody uses them.
    StopWhenIdle,
}

/// A text that is no rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct RolloutError(&'static str);

impl Rollout {
    /// What an endpoint with these tags does. A tag that says nothing sensible counts for nothing.
    pub fn of(tags: &BTreeMap<String, String>) -> Self {
        Self {
            canary: parsed(tags, CANARY_TAG),
            old_sessions: parsed(tags, OLD_SESSIONS_TAG).unwrap_or_default(),
        }
    }
}

fn parsed<T: FromStr<Err = RolloutError>>(tags: &BTreeMap<String, String>, tag: &str) -> Option<T> {
    let value = tags.get(tag)?;
    let parsed = value.parse();
    parsed
        .inspect_err(|error| tracing::warn!(tag, value, %error, "a tag is ignored"))
        .ok()
}

impl Canary {
    /// Whether this session is in the share.
    pub fn takes(&self, runtime: &RuntimeId, session: &SessionId) -> bool {
        let digest = Sha256::digest(format!("{runtime}/{session}"));
        let number = digest
            .iter()
            .take(8)
            .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        number % 100 < u64::from(self.percent.0)
    }
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.version, self.percent)
    }
}

impl FromStr for Canary {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let parts = text.split_once(':');
        let (version, percent) = parts.ok_or(RolloutError("a version and a share, such as 4:10"))?;
        let unversioned = |_| RolloutError("a version's number before the colon");
        Ok(Self {
            version: version.parse().map_err(unversioned)?,
            percent: percent.parse()?,
        })
    }
}

impl Percent {
    /// As a number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Percent {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        let number = text.parse().ok().filter(|number| (1..=100).contains(number));
        number
            .map(Self)
            .ok_or(RolloutError("a share from 1 to 100 percent"))
    }
}

impl fmt::Display for OldSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finish => "finish",
            Self::StopWhenIdle => "stop-when-idle",
        })
    }
}

impl FromStr for OldSessions {
    type Err = RolloutError;

    fn from_str(text: &str) -> Result<Self, RolloutError> {
        match text {
            "finish" => Ok(Self::Finish),
            "stop-when-idle" => Ok(Self::StopWhenIdle),
            _ => Err(RolloutError("finish or stop-when-idle")),
        }
    }
}

/// Stops idle sessions of other versions, where an endpoint's tag asks for it.
pub struct Retirer {
    /// Tags.
    pub store: Store,
    /// What endpoints serve.
    pub routes: Arc<Routes>,
    /// Has the sessions.
    pub supervisor: Supervisor,
}

impl Retirer {
    /// Works until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let working = async {
            loop {
                if let Err(error) = self.retire().await {
                    let error = crate::error_chain(&error);
                    tracing::error!(
                        error,
                        "sessions of other versions could not be looked for; tried again"
                    );
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        stop.run_until_cancelled(working).await;
    }

    async fn retire(&self) -> Result<(), StoreError> {
        for (arn, _) in self.store.tagged(OLD_SESSIONS_TAG).await? {
            if let Ok(InvocationTarget::Endpoint(endpoint)) = arn.parse() {
                self.retire_at(&endpoint).await;
            }
        }
        Ok(())
    }

    async fn retire_at(&self, endpoint: &EndpointArn) {
        for session in self.supervisor.sessions() {
            let key = &session.key;
            let is_here = key.runtime == endpoint.runtime.runtime && key.endpoint == endpoint.endpoint;
            if !is_here || session.state != SessionState::Idle {
                continue;
            }
            // An endpoint that has just gone, or is not ready, is looked at again.
            let Ok(begins_with) = self.routes.version_to_begin_with(endpoint, &key.session).await else {
                return;
            };
            if begins_with != session.version && self.supervisor.retire(key).await {
                tracing::info!(session = %key, version = %session.version, "idle session of another version stopped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u32) -> SessionId {
        format!("session-{number:040}").parse().unwrap()
    }

    fn taken(percent: &str) -> Vec<u32> {
        let canary: Canary = format!("2:{percent}").parse().unwrap();
        let runtime = "hello-AbCdEf0123".parse().unwrap();
        (0..2000)
            .filter(|number| canary.takes(&runtime, &session(*number)))
            .collect()
    }

    #[test]
    fn a_share_is_about_what_was_asked_for_and_keeps_its_sessions_as_it_grows() {
        let (ten, fifty) = (taken("10"), taken("50"));
        assert!((150..250).contains(&ten.len()), "{}", ten.len());
        assert!((900..1100).contains(&fifty.len()), "{}", fifty.len());
        assert!(ten.iter().all(|number| fifty.contains(number)));
        assert_eq!(taken("100").len(), 2000);
    }

    #[test]
    fn tags_say_what_is_rolled_out() {
        let of = |pairs: &[(&str, &str)]| {
            let tags = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Rollout::of(&tags.collect())
        };
        assert_eq!(of(&[]), Rollout::default());
        let rollout = of(&[(CANARY_TAG, "4:10"), (OLD_SESSIONS_TAG, "stop-when-idle")]);
        assert_eq!(
            rollout.canary.map(|canary| canary.to_string()),
            Some("4:10".to_owned())
        );
        assert_eq!(rollout.old_sessions, OldSessions::StopWhenIdle);
        for nonsense in ["", "4", "4:", ":10", "0:10", "4:0", "4:101", "4:ten", "-1:5"] {
            assert_eq!(of(&[(CANARY_TAG, nonsense)]).canary, None, "{nonsense}");
        }
        assert_eq!(
            of(&[(OLD_SESSIONS_TAG, "kill")]).old_sessions,
            OldSessions::Finish
        );
    }
}
