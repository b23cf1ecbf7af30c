//! Caps of whole runtimes: sessions of one that has used all it may within a day are stopped, and new ones refused
//! until enough of that use is more than a day old.
//!
//! A session counts with all it has used, from its beginning until a day after its end. What ended sessions used is in
//! the store, so a restart of the server forgives nothing.

use std::collections::HashMap;
use std::time::Duration;

use coracle_store::{Store, StoreError, UnixMicros};
use coracle_supervisor::{Cap, CapOf, CapReached, Caps, Supervisor};
use coracle_types::{Consumption, RuntimeId};
use coracle_wire::Error;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// How long the use of a session that has ended counts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often running sessions are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// What sessions may use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapsConfig {
    /// Each.
    pub session: UseConfig,
    /// All sessions of a runtime together, within a day.
    pub runtime: UseConfig,
}

/// The most that may be used. What is absent is unlimited.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UseConfig {
    /// Seconds with a sandbox.
    pub seconds: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// GiB of memory times seconds.
    pub memory_gib_seconds: Option<u64>,
}

impl From<&UseConfig> for Caps {
    fn from(config: &UseConfig) -> Self {
        Self {
            time: config.seconds.map(Duration::from_secs),
            cpu: config.cpu_seconds.map(Duration::from_secs),
            memory_mib_seconds: config.memory_gib_seconds.map(|gib| gib.saturating_mul(1024)),
        }
    }
}

/// Enforces the caps of runtimes. Cheap to clone.
#[derive(Clone)]
pub struct RuntimeCaps {
    /// What ended sessions used.
    pub store: Store,
    /// The others.
    pub supervisor: Supervisor,
}

impl RuntimeCaps {
    /// Lets a runtime have another session.
    ///
    /// # Errors
    /// `ServiceQuotaExceededException` when it has used all it may.
    pub(crate) async fn admit(&self, runtime: &RuntimeId, caps: &Caps) -> Result<(), Error> {
        if !caps.is_any() {
            return Ok(());
        }
        let reached = self.reached(runtime, caps).await.map_err(Error::internal)?;
        match reached {
            None => Ok(()),
            Some(cap) => Err(refusal(CapReached {
                of: CapOf::Runtime,
                cap,
            })),
        }
    }

    /// Stops sessions of runtimes that have used all they may, until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let watching = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                if let Err(error) = self.enforce().await {
                    let error = crate::error_chain(&error);
                    tracing::error!(error, "the caps of runtimes could not be looked at; tried again");
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    async fn enforce(&self) -> Result<(), StoreError> {
        let sessions = self.supervisor.sessions().into_iter();
        let capped: HashMap<RuntimeId, Caps> = sessions
            .filter(|session| session.runtime_caps.is_any())
            .map(|session| (session.key.runtime, session.runtime_caps))
            .collect();
        for (runtime, caps) in capped {
            if let Some(cap) = self.reached(&runtime, &caps).await? {
                let stopped = self.supervisor.stop_runtime(&runtime, cap).await;
                if stopped > 0 {
                    let of = CapOf::Runtime;
                    let reason = CapReached { of, cap };
                    tracing::warn!(%runtime, stopped, %reason, "sessions are stopped");
                }
            }
        }
        Ok(())
    }

    async fn reached(&self, runtime: &RuntimeId, caps: &Caps) -> Result<Option<Cap>, StoreError> {
        let since = UnixMicros::now().before(DAY);
        let ended = self.store.used_by_ended_sessions(runtime, since).await?;
        let running: Consumption = self
            .supervisor
            .sessions()
            .into_iter()
            .filter(|session| session.key.runtime == *runtime)
            .map(|session| session.used)
            .sum();
        Ok(caps.reached_by(&(ended + running)))
    }
}

/// What a caller is told of a cap that has been reached.
pub(crate) fn refusal(reached: CapReached) -> Error {
    let what_to_do = match reached.of {
        CapOf::Session => "It has ended; a new session begins with nothing used",
        CapOf::Runtime => {
            "New ones are refused until less was used within a day, or the operator lifts the cap"
        }
    };
    Error::quota_exceeded(format!("{}. {what_to_do}", capitalized(&reached.to_string())))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
