//! A request's hold on its session.

use std::sync::Arc;
use std::time::Duration;

use coracle_types::{SandboxId, SessionKey, VersionNumber};
use tokio::sync::mpsc;

use crate::connection::{AgentConnection, ConnectError};
use crate::guest::Guest;
use crate::session::{SessionEnd, Shared, StartPhases};

/// How long a broken request waits for the news of why it broke.
const NEWS_TIMEOUT: Duration = Duration::from_secs(1);

/// Counts as one request in flight until it is dropped. It does not keep the session from being stopped, only
/// from being idle.
pub struct Lease {
    session: Arc<Shared>,
    guest: Arc<Guest>,
    release: mpsc::UnboundedSender<()>,
    started_now: bool,
    phases: StartPhases,
}

impl Lease {
    pub(crate) fn new(
        session: Arc<Shared>,
        guest: Arc<Guest>,
        release: mpsc::UnboundedSender<()>,
        started_now: bool,
        phases: StartPhases,
    ) -> Self {
        Self {
            session,
            guest,
            release,
            started_now,
            phases,
        }
    }

    /// Opens a byte stream to the agent's port, which fails when used if the agent does not accept it. One at a
    /// time: the number of streams of a sandbox is bounded, and the limit of requests counts one for each lease.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn connect(&self) -> Result<AgentConnection, ConnectError> {
        self.guest.dial(self.session.agent_port).await
    }

    /// The session.
    pub fn key(&self) -> &SessionKey {
        &self.session.key
    }

    /// The version the session runs, which may not be the one its endpoint points to by now.
    pub fn version(&self) -> VersionNumber {
        self.session.version
    }

    /// The session's sandbox.
    pub fn sandbox(&self) -> SandboxId {
        self.session.sandbox
    }

    /// Whether this request waited for the session's start.
    pub fn started_now(&self) -> bool {
        self.started_now
    }

    /// Where the time of the session's start went.
    pub fn start_phases(&self) -> StartPhases {
        self.phases
    }

    /// After a broken connection: how the session ended, if it does within a second. `None` means that the
    /// agent closed the connection and lives on.
    pub async fn why_failed(&self) -> Option<SessionEnd> {
        let mut ended = self.session.ended();
        let end = tokio::time::timeout(NEWS_TIMEOUT, ended.wait_for(Option::is_some))
            .await
            .ok()?
            .ok()?;
        end.as_deref().cloned()
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("session", &self.session.key)
            .field("version", &self.session.version)
            .field("sandbox", &self.session.sandbox)
            .finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A session that is gone counts no requests.
        self.release.send(()).ok();
    }
}
