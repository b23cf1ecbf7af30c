//! One session: a sandbox, the agent in it, and the task that owns both.
//!
//! ```text
//!            claimed, booted,           healthy                 asked · idle · lifetime ·
//!            agent started              ping                    unhealthy · agent exited ·
//!                                                               sandbox ended · drained
//!   acquire ──────▶ Starting ─────────────────▶ Ready ─────────────────────────▶ Stopping ──▶ gone
//!                      │                   active ⇄ idle                            ▲
//!                      └── boot failed · agent exited · never healthy · stopped ────┘
//! ```
//!
//! | | Starting | Ready | Stopping | gone |
//! |---|---|---|---|---|
//! | a request | waits for Ready | is served | waits for gone, 5 s at most | starts a new session |
//! | a stop | → Stopping, those who wait get `InProgress` | → Stopping, streams break at the end | `InProgress` | `NotFound` |
//! | a kill | → gone, without the agent's grace | → gone | → gone, what is left of the grace is cut off | `NotFound` |
//! | a drain | → Stopping unless somebody waits | → Stopping once unused or at the deadline | – | – |
//!
//! *Active* means that a request is open or the last ping said `HealthyBusy`; only an idle session's idle
//! timer runs. The maximum lifetime counts from the creation of the sandbox and ends a session in any state.
//!
//! **Hibernation.** Where it is configured, an idle session is probed once more and, if its agent is healthy and not
//! busy, hibernated: its sandbox is kept in files and its task ends. To callers it is a session that is there: the next
//! request begins a task that wakes it, a stop forgets it. The directory knows it across restarts of the server.
//!
//! **Adoption.** A server that starts finds the sandboxes that an earlier one left running, by accident or on purpose,
//! and has a task for each of them begin where the earlier one's was: it reconnects to the guest, and the session is
//! ready. Its clocks go on by what was noted last, every few seconds, beside the sandbox. Requests that come meanwhile
//! wait. Where that fails, nothing is left of the sandbox, and the session begins afresh.
//!
//! **Who may do what.** The session's task alone changes its state; everyone else sends it commands and reads
//! what it publishes. What to do and when is decided by [`life::Life`], which has no clock and no I/O; the task
//! does it. What is claimed, booted and started is undone in the opposite order by the function that did it,
//! so no failure leaves a sandbox without a claim or a claim without a task.
//!
//! **Health.** Starting, the agent is probed every 100 to 250 ms until the first healthy ping or the end of its
//! time. Ready, it is probed every 5 s, and three failures in a row are its end. A refused connection or a bad
//! answer is a failure; silence is one after 5 s, but not while a request is open: an agent may be answering
//! with its only thread. One probe at a time then simply waits as long as the request does, and requests have
//! limits of their own.
//!
//! **How it fails.**
//!
//! | What fails | Those who wait | Requests under way | The next request |
//! |---|---|---|---|
//! | claim, boot, channel | `Host`; the operator reads the chain | – | starts fresh |
//! | the guest cannot start the agent | `NotStarted` with its words | – | starts fresh |
//! | the agent exits | `AgentExited` with exit and last lines | break; [`crate::Lease::why_failed`] tells | starts fresh |
//! | no healthy ping in time | `NeverHealthy` with last lines | – | starts fresh |
//! | three failed probes | – | break; `why_failed` tells | starts fresh |
//! | the sandbox or its channel ends | `Host` | break; `why_failed` tells | starts fresh |
//! | it cannot be hibernated | – | – | starts fresh; the operator reads the chain |
//! | it cannot be woken | get a session that starts fresh | – | – |
//! | the task panics | start again | break | starts fresh; the claim is replaced |

mod caps;
mod end;
pub(crate) mod life;
mod meter;
pub(crate) mod start;
mod task;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coracle_types::{AccountId, Consumption, Generation, SandboxId, SessionKey, VersionNumber};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use caps::{Cap, CapOf, CapReached, Caps};
pub use end::{AcquireError, EndReason, HostFailure, SessionEnd};
pub(crate) use start::Reached;
pub(crate) use task::SessionTask;

use crate::directory::Directory;
use crate::driver::{AgentSpec, Driver, MemoryUse, Origin};
use crate::lease::Lease;
use crate::logs::LogSink;
use crate::memory::MemoryReserve;
use crate::pool::Pools;
use crate::role::Role;
use crate::supervisor::SupervisorConfig;

/// Commands waiting for a session's task.
const QUEUE: usize = 64;
/// How long a session that has just started has the processors before pools are filled.
const FIRST_ANSWER: Duration = Duration::from_millis(250);

/// What a session runs and how long it lives. Fixed at its start, whatever becomes of its endpoint.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// Whose runtime it is.
    pub account: AccountId,
    /// The version of the runtime.
    pub version: VersionNumber,
    /// What the version runs.
    pub agent: AgentSpec,
    /// What its sessions act as towards this server; nobody, without one.
    pub role: Option<Arc<dyn Role>>,
    /// Unused for this long, the session ends.
    pub idle_timeout: Duration,
    /// The session ends this long after the creation of its sandbox, used or not.
    pub max_lifetime: Duration,
    /// The agent must be healthy this long after its start.
    pub init_timeout: Duration,
    /// Whether it is hibernated.
    pub hibernation: Option<Hibernation>,
    /// How much it may use.
    pub caps: Caps,
    /// How much all sessions of its runtime together may use within a day.
    pub runtime_caps: Caps,
}

/// A session that an earlier server left running.
#[derive(Debug)]
pub struct Orphan {
    /// Which session.
    pub key: SessionKey,
    /// What it runs.
    pub spec: Arc<SessionSpec>,
    /// The sandbox it runs in.
    pub sandbox: SandboxId,
    /// This server's ownership of it.
    pub generation: Generation,
    /// When it began.
    pub began: Timestamp,
    /// How long ago that was.
    pub age: Duration,
    /// What earlier sandboxes of it used.
    pub used: Consumption,
}

/// When a session is hibernated, and for how long. Its agent's word that it is busy keeps it awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hibernation {
    /// Unused for this long, it is hibernated.
    pub after: Duration,
    /// How long it is then kept; absent, until the end of its lifetime.
    pub keep: Option<Duration>,
}

/// What has become of sessions that were to be hibernated or woken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HibernationTotals {
    /// Hibernated.
    pub hibernated: u64,
    /// Lost because they could not be hibernated.
    pub not_hibernated: u64,
    /// Woken.
    pub woken: u64,
    /// Begun afresh because they could not be woken.
    pub not_woken: u64,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Not ready yet.
    Starting,
    /// Serving a request, or busy by its own word.
    Active,
    /// Ready and unused.
    Idle,
    /// On its way out.
    Stopping,
}

/// One session, for people and metrics.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// Which.
    pub key: SessionKey,
    /// Whose runtime it is.
    pub account: AccountId,
    /// The version it keeps.
    pub version: VersionNumber,
    /// What it runs in.
    pub sandbox: SandboxId,
    /// Where it is in its life.
    pub state: SessionState,
    /// When it was created.
    pub started: Timestamp,
    /// When a request last began or ended.
    pub last_used: Timestamp,
    /// Requests open or waiting.
    pub requests: usize,
    /// Memory of its sandbox when it was last looked at.
    pub memory: MemoryUse,
    /// What it had used by then.
    pub used: Consumption,
    /// How much it may use.
    pub caps: Caps,
    /// How much all sessions of its runtime together may use within a day.
    pub runtime_caps: Caps,
    /// Where the time of its start went, as far as it has got.
    pub phases: StartPhases,
}

/// Where the time of a start went. A session that waited in one phase has spent nothing in the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartPhases {
    /// How its sandbox came to be.
    pub origin: Origin,
    /// Claiming the session and waiting for a turn to boot.
    pub queue: Duration,
    /// Images and the private layer.
    pub disks: Duration,
    /// The virtual machine monitor's process.
    pub machine: Duration,
    /// Guest kernel and guest program, until the channel is up.
    pub kernel: Duration,
    /// The agent, until its first healthy ping.
    pub agent: Duration,
}

/// Sessions that are being started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Starts {
    /// How many.
    under_way: usize,
    /// When the last start ended.
    last_ended: Option<Instant>,
}

/// What every session's task uses.
pub(crate) struct Context {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) logs: Arc<dyn LogSink>,
    pub(crate) pools: Pools,
    pub(crate) config: SupervisorConfig,
    /// One permit for each boot under way.
    pub(crate) boots: Semaphore,
    /// One permit for each boot under way for a pool.
    pub(crate) refills: Semaphore,
    pub(crate) starts: watch::Sender<Starts>,
    pub(crate) hibernations: Mutex<HibernationTotals>,
    pub(crate) memory: MemoryReserve,
    /// How many sessions were refused for lack of memory.
    pub(crate) refused: AtomicU64,
}

impl Context {
    /// Counts something that has become of a hibernation.
    fn count(&self, change: impl FnOnce(&mut HibernationTotals)) {
        change(&mut self.hibernations.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How much memory is left when it is too little for another session, which then counts as refused.
    pub(crate) fn shortage(&self) -> Option<u64> {
        let available = self.memory.shortage(self.starts.borrow().under_way)?;
        self.refused.fetch_add(1, Ordering::SeqCst);
        Some(available)
    }

    /// Waits until no session is being started, and the last that was has had the time for its first answer.
    pub(crate) async fn no_session_starts(&self) {
        let mut starts = self.starts.subscribe();
        // The sender is this context.
        while let Ok(none) = starts
            .wait_for(|starts| starts.under_way == 0)
            .await
            .map(|starts| *starts)
        {
            let answered = none.last_ended.map(|ended| ended + FIRST_ANSWER);
            let Some(answered) = answered.filter(|answered| *answered > Instant::now()) else {
                return;
            };
            tokio::time::sleep_until(answered).await;
        }
    }

    /// Counts a session as being started, as long as what this returns lives.
    fn session_starts(self: &Arc<Self>) -> StartUnderWay {
        self.starts.send_modify(|starts| starts.under_way += 1);
        StartUnderWay(Arc::clone(self))
    }
}

struct StartUnderWay(Arc<Context>);

impl Drop for StartUnderWay {
    fn drop(&mut self) {
        self.0.starts.send_modify(|starts| {
            starts.under_way -= 1;
            starts.last_ended = Some(Instant::now());
        });
    }
}

/// What a session's task tells everyone.
pub(crate) struct Shared {
    pub(crate) key: SessionKey,
    pub(crate) version: VersionNumber,
    pub(crate) agent_port: u16,
    /// Ends its sandbox without asking the agent.
    pub(crate) kill: CancellationToken,
    account: AccountId,
    caps: Caps,
    runtime_caps: Caps,
    started: Timestamp,
    published: Mutex<Published>,
    ended: watch::Sender<Option<Arc<SessionEnd>>>,
}

#[derive(Debug, Clone, Copy)]
struct Published {
    sandbox: SandboxId,
    state: SessionState,
    last_request: Instant,
    requests: usize,
    memory: MemoryUse,
    used: Consumption,
    phases: StartPhases,
}

impl Shared {
    fn new(key: SessionKey, spec: &SessionSpec, sandbox: SandboxId, age: Duration) -> Self {
        let age = jiff::SignedDuration::try_from(age).unwrap_or_default();
        let now = Timestamp::now();
        let published = Published {
            sandbox,
            state: SessionState::Starting,
            last_request: Instant::now(),
            requests: 0,
            memory: MemoryUse::default(),
            used: Consumption::default(),
            phases: StartPhases::default(),
        };
        Self {
            key,
            account: spec.account.clone(),
            caps: spec.caps,
            runtime_caps: spec.runtime_caps,
            kill: CancellationToken::new(),
            version: spec.version,
            agent_port: spec.agent.port,
            started: now.saturating_sub(age).unwrap_or(now),
            published: Mutex::new(published),
            ended: watch::Sender::new(None),
        }
    }

    pub(crate) fn info(&self) -> SessionInfo {
        let Published {
            sandbox,
            state,
            last_request,
            requests,
            memory,
            used,
            phases,
        } = *self.published();
        let unused = jiff::SignedDuration::try_from(last_request.elapsed()).unwrap_or_default();
        SessionInfo {
            key: self.key.clone(),
            account: self.account.clone(),
            version: self.version,
            sandbox,
            state,
            started: self.started,
            last_used: Timestamp::now().saturating_sub(unused).unwrap_or(self.started),
            requests,
            memory,
            used,
            caps: self.caps,
            runtime_caps: self.runtime_caps,
            phases,
        }
    }

    /// What it runs in; until its sandbox is there, the one that would be made for it.
    pub(crate) fn sandbox(&self) -> SandboxId {
        self.published().sandbox
    }

    /// How the session ended, once it has.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<Arc<SessionEnd>>> {
        self.ended.subscribe()
    }

    /// How the session ended, if that is known already.
    pub(crate) fn known_end(&self) -> Option<SessionEnd> {
        self.ended.borrow().as_deref().cloned()
    }

    fn published(&self) -> std::sync::MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the answer to a request for a session goes.
pub(crate) type AcquireReply = oneshot::Sender<Result<Lease, AcquireError>>;

/// What a session's task is asked.
pub(crate) enum Command {
    /// Serve a request. No answer means that the session is gone.
    Acquire(AcquireReply),
    /// End for this reason; the answer says whether this is the first to ask.
    Stop(life::Verdict, oneshot::Sender<bool>),
    /// End if nobody uses it; the answer says whether it does.
    Retire(oneshot::Sender<bool>),
    /// End once unused, at the latest at this moment.
    Drain {
        /// The moment.
        deadline: Instant,
        /// Whether its sandbox is to stay for a later server, if it can.
        stays: bool,
    },
}

/// Reaches a session's task.
#[derive(Clone)]
pub(crate) struct SessionHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
}
