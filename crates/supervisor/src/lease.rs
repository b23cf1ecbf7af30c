//! A request's hold on its session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::command::{self, CommandEvent, RunCommand};
use coracle_guest_proto::frame::FrameError;
use coracle_types::{SandboxId, SessionKey, ShellId, VersionNumber};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connection::{AgentConnection, ConnectError};
use crate::guest::Guest;
use crate::session::{SessionEnd, Shared, StartPhases};
use crate::shell::{AttachedShell, ShellError};

/// How long a broken request waits for the news of why it broke.
const NEWS_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the use of a quiet lease is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What leases tell their session's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// A lease is quiet from now on.
    Quiet,
    /// A quiet lease was used.
    Used,
    /// A lease is over.
    Ended {
        /// Whether it was quiet.
        quiet: bool,
    },
}

/// Counts as one request in flight until it is dropped. It does not keep the session from being stopped, only
/// from being idle; and once [quiet](Lease::become_quiet), only while it is [used](Lease::used).
pub struct Lease {
    session: Arc<Shared>,
    guest: Arc<Guest>,
    usage: mpsc::UnboundedSender<Usage>,
    /// When the use of a quiet lease was last told; `None` while it is not quiet.
    quiet: Mutex<Option<Instant>>,
    started_now: bool,
    phases: StartPhases,
}

impl Lease {
    pub(crate) fn new(
        session: Arc<Shared>,
        guest: Arc<Guest>,
        usage: mpsc::UnboundedSender<Usage>,
        started_now: bool,
        phases: StartPhases,
    ) -> Self {
        Self {
            session,
            guest,
            usage,
            quiet: Mutex::default(),
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
        self.connect_to(self.session.agent_port).await
    }

    /// Opens a byte stream to any port in the sandbox, as [`connect`](Self::connect) does to the agent's.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn connect_to(&self, port: u16) -> Result<AgentConnection, ConnectError> {
        self.guest.dial(port).await
    }

    /// Runs a command in the session's sandbox, beside its agent.
    ///
    /// # Errors
    /// When the session has ended.
    pub async fn run(&self, command: RunCommand) -> Result<RunningCommand, ConnectError> {
        self.guest.run(command).await.map(RunningCommand)
    }

    /// Attaches to a shell in the session's sandbox, which is begun if need be.
    ///
    /// # Errors
    /// When the session has ended, or the guest refuses.
    pub async fn shell(&self, id: &ShellId) -> Result<AttachedShell, ShellError> {
        self.guest.shell(id).await
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
        self.session.sandbox()
    }

    /// Whether this request waited for the session's start.
    pub fn started_now(&self) -> bool {
        self.started_now
    }

    /// Where the time of the session's start went.
    pub fn start_phases(&self) -> StartPhases {
        self.phases
    }

    /// For a connection that may stay open unused: from now on only its use keeps the session from being idle.
    pub fn become_quiet(&self) {
        if self.quiet().replace(Instant::now()).is_none() {
            self.tell(Usage::Quiet);
        }
    }

    /// A quiet lease was used just now. Cheap, however often it is said.
    pub fn used(&self) {
        if let Some(told) = self.quiet().as_mut()
            && told.elapsed() >= TOLD_EVERY
        {
            *told = Instant::now();
            self.tell(Usage::Used);
        }
    }

    fn quiet(&self) -> MutexGuard<'_, Option<Instant>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the session has ended, and tells how.
    pub async fn ended(&self) -> SessionEnd {
        let mut ended = self.session.ended();
        let end = ended.wait_for(Option::is_some).await;
        match end.ok().and_then(|end| end.as_deref().cloned()) {
            Some(end) => end,
            // This lease keeps the sender.
            None => std::future::pending().await,
        }
    }

    fn tell(&self, usage: Usage) {
        // A session that is gone counts no requests.
        self.usage.send(usage).ok();
    }

    /// After a broken connection: how the session ended, if it does within a second. `None` means that the
    /// agent closed the connection and lives on.
    pub async fn why_failed(&self) -> Option<SessionEnd> {
        tokio::time::timeout(NEWS_TIMEOUT, self.ended()).await.ok()
    }
}

/// A command in a sandbox. Dropping it ends the command.
#[derive(Debug)]
pub struct RunningCommand(ChannelStream);

impl RunningCommand {
    /// What happens next; the command's end comes last.
    ///
    /// # Errors
    /// When the sandbox is gone before the command has ended, or speaks another language.
    pub async fn next(&mut self) -> Result<CommandEvent, FrameError> {
        command::read(&mut self.0).await
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("session", &self.session.key)
            .field("version", &self.session.version)
            .field("sandbox", &self.session.sandbox())
            .finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.tell(Usage::Ended {
            quiet: self.quiet().is_some(),
        });
    }
}
