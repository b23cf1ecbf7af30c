//! One sandbox of a pool, from its boot until it is taken or destroyed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coracle_types::SandboxId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Pool, PoolKey, Pools, Standing};
use crate::driver::{AgentSpec, Origin, PauseError};
use crate::guest::{Guest, GuestError};
use crate::probe;
use crate::session::life::Probe;
use crate::session::start::Belongings;
use crate::session::{Context, EndReason, HostFailure, Reached, SessionSpec, StartPhases, start};

/// Pause between probes of an agent that is not healthy yet.
const PROBE_PAUSE: Duration = Duration::from_millis(200);
/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a sandbox that is being made has to come up, and be destroyed, when the pools are closed.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);
/// How long refilling waits for sessions that are being started.
const LONGEST_YIELD: Duration = Duration::from_secs(2);

/// Why a pool has no further sandbox.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    #[error("the sandbox did not come up")]
    Host(#[source] HostFailure),
    #[error("the agent did not start: {0}")]
    Agent(EndReason),
    #[error("the sandbox does not stand still")]
    Pause(#[source] PauseError),
}

/// Why a ready sandbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("the sandbox does not go on")]
    Pause(#[source] PauseError),
    #[error("the guest does not go on")]
    Guest(#[source] GuestError),
    #[error("the sandbox gets nothing to keep")]
    Storage(#[source] HostFailure),
}

/// A paused sandbox whose agent is healthy.
pub(crate) struct Ready(Reached);

impl Ready {
    /// Has it go on, for the session that has taken it, with what belongs to that. One that cannot is destroyed.
    pub(crate) async fn go_on(
        self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        belongings: &Belongings,
    ) -> Result<Reached, NotTaken> {
        let Self(mut reached) = self;
        let began = Instant::now();
        let going_on = async {
            let handed_over = start::hand_over(&mut *reached.machine, agent, belongings).await;
            let storage = handed_over.map_err(NotTaken::Storage)?;
            reached.machine.go_on().await.map_err(NotTaken::Pause)?;
            reached.guest.go_on(storage).await.map_err(NotTaken::Guest)
        };
        if let Err(error) = going_on.await {
            start::destroy(&mut *reached.machine, sandbox).await;
            return Err(error);
        }
        reached.phases.kernel = began.elapsed();
        Ok(reached)
    }
}

/// Asks a task for its sandbox.
pub(super) struct Request(pub(super) oneshot::Sender<Ready>);

/// Makes a sandbox for a pool and keeps it until it is taken, ends, or is wanted no more.
pub(super) async fn keep(context: Arc<Context>, place: Place, spec: Arc<SessionSpec>) {
    let pools = &context.pools;
    let sandbox = SandboxId::new();
    let starting = Starting {
        pools: pools.clone(),
        place: place.clone(),
    };
    let patience = async {
        pools.shared.closed.cancelled().await;
        tokio::time::sleep(CLOSING_PATIENCE).await;
    };
    let made = tokio::select! {
        made = make(&context, sandbox, &spec) => made,
        // Dropped half-made, a sandbox is undone like one whose boot took too long.
        () = patience => return,
    };
    let mut reached = match made {
        Ok(reached) => reached,
        Err(error) => {
            let error: &dyn Error = &error;
            tracing::warn!(%place, error, "a sandbox could not be made ready for a pool; it is tried again later");
            starting.failed();
            return;
        }
    };
    let (task, asked) = oneshot::channel();
    if starting.stand(Standing { sandbox, task }) {
        tokio::select! {
            how = reached.machine.ended() => {
                tracing::warn!(%sandbox, how, "a sandbox of a pool ended by itself; another is made");
                place.change(pools, |pool| pool.ready.retain(|standing| standing.sandbox != sandbox));
            }
            asked = asked => if let Ok(Request(give)) = asked {
                match give.send(Ready(reached)) {
                    Ok(()) => return,
                    // The session has gone meanwhile.
                    Err(Ready(unwanted)) => reached = unwanted,
                }
            }
        }
    }
    start::destroy(&mut *reached.machine, sandbox).await;
    pools.shared.changed.notify_one();
}

/// Brings a sandbox up as a session would, and pauses it.
async fn make(context: &Context, sandbox: SandboxId, spec: &SessionSpec) -> Result<Reached, NotReady> {
    let permits = async {
        let refill = context.refills.acquire().await;
        let quiet = context.no_session_starts();
        // Under a steady stream of sessions there is never quiet, and then a pool is of most use.
        tokio::time::timeout(LONGEST_YIELD, quiet).await.ok();
        (refill, context.boots.acquire().await)
    };
    let _permits = permits.await;
    let mut reached = start::reach(context, sandbox, &spec.agent, &Belongings::default())
        .await
        .map_err(NotReady::Host)?;
    let made = async {
        if let Some(begin) = reached.begin.take() {
            start::start_agent(&reached.guest, *begin)
                .await
                .map_err(NotReady::Agent)?;
        }
        healthy(&reached.guest, spec).await.map_err(NotReady::Agent)?;
        reached.machine.pause().await.map_err(NotReady::Pause)
    };
    match made.await {
        Ok(()) => {
            // A session that takes it spends none of this.
            reached.phases = StartPhases {
                origin: Origin::Warm,
                ..StartPhases::default()
            };
            Ok(reached)
        }
        Err(error) => {
            start::destroy(&mut *reached.machine, sandbox).await;
            Err(error)
        }
    }
}

/// Waits until the agent is healthy.
async fn healthy(guest: &Guest, spec: &SessionSpec) -> Result<(), EndReason> {
    let deadline = Instant::now() + spec.init_timeout;
    loop {
        let ping = probe::ping(guest, spec.agent.port, spec.agent.protocol);
        let patience = deadline.min(Instant::now() + PROBE_TIMEOUT);
        let probed = tokio::select! {
            exit = guest.exited() => return Err(EndReason::AgentExited(exit)),
            probed = tokio::time::timeout_at(patience, ping) => probed,
        };
        let failure = match probed {
            Ok(Probe::Healthy { .. }) => return Ok(()),
            Ok(Probe::Failed(failure)) => failure,
            Err(_) => "GET /ping had no answer".to_owned(),
        };
        if Instant::now() + PROBE_PAUSE > deadline {
            return Err(EndReason::NeverHealthy {
                timeout: spec.init_timeout,
                last_failure: Some(failure),
            });
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

/// The pool a sandbox is made for. It may be gone by the time the sandbox is ready.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: PoolKey,
    pub(super) number: u64,
}

impl Place {
    /// Changes the pool, if it is still there.
    fn change<T>(&self, pools: &Pools, change: impl FnOnce(&mut Pool) -> T) -> Option<T> {
        let mut state = pools.state();
        let pool = state.pools.get_mut(&self.key)?;
        (pool.number == self.number).then(|| change(pool))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runtime, endpoint, version) = &self.key;
        write!(f, "{runtime}/{endpoint}, version {version}")
    }
}

/// Counts as being made, until it stands ready or is dropped.
struct Starting {
    pools: Pools,
    place: Place,
}

impl Starting {
    /// Makes it known that the sandbox is ready. False when it is wanted no more.
    fn stand(self, standing: Standing) -> bool {
        let standing_now = |pool: &mut Pool| {
            pool.failures = 0;
            pool.ready.push_back(standing);
        };
        self.place.change(&self.pools, standing_now).is_some()
    }

    fn failed(self) {
        self.place.change(&self.pools, |pool| pool.failed(Instant::now()));
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.place.change(&self.pools, |pool| {
            pool.starting = pool.starting.saturating_sub(1);
        });
        self.pools.shared.changed.notify_one();
    }
}
