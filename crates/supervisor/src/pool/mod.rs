//! Sandboxes that stand ready before anybody asks for them.
//!
//! ```text
//!             ┌── boot or restore ─ connect ─ agent healthy ─ pause ──▶ ready ── taken ──▶ a session's
//!  refill ────┤                                                          │ │
//!             └── fails: again later, ever less often                    │ └─ ends by itself: replaced
//!                                                                        └─ too many, or of another version: destroyed
//! ```
//!
//! There is one pool for each version that sessions of an endpoint begin with, where the endpoint wants that. Which
//! ones, and of what size, is said all at once by [`Pools::set`]; the size follows the demand ([`demand`]). One task,
//! [`refill`], decides what is missing and what is too much. Each sandbox has a task of its own, [`ready`], which owns it
//! from its boot until it is taken or destroyed.
//!
//! A ready sandbox is paused: it costs memory, but no processor time. It is told the time and given fresh entropy
//! when it is taken. A session takes one only when it runs exactly what the pool was filled for, so a pool that lags
//! behind a change is of no harm. One that wakes from hibernation has its own and takes none.
//!
//! **Who comes first.** Sandboxes in pools count as sessions towards the maximum, and give way to real ones. Refilling
//! waits, though not for ever, until no session is being started.

mod demand;
mod ready;
mod refill;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_types::{EndpointName, RuntimeId, SandboxId, SessionKey, VersionNumber};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::demand::Demand;
pub use self::demand::{PoolSize, PoolSizeError};
pub(crate) use self::ready::Ready;
use self::ready::Request;
pub(crate) use self::refill::refill;
use crate::session::SessionSpec;

/// Wait after the first failure to fill a pool; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A pool that is wanted.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// Of which runtime.
    pub runtime: RuntimeId,
    /// At which endpoint.
    pub endpoint: EndpointName,
    /// What they run.
    pub session: Arc<SessionSpec>,
    /// How many sandboxes it holds.
    pub size: PoolSize,
}

/// One pool, for people and metrics.
#[derive(Debug, Clone)]
pub struct PoolInfo {
    /// Of which runtime.
    pub runtime: RuntimeId,
    /// At which endpoint.
    pub endpoint: EndpointName,
    /// What its sandboxes run.
    pub version: VersionNumber,
    /// How many it may hold.
    pub size: PoolSize,
    /// How many it is to hold now.
    pub wanted: usize,
    /// How many stand ready.
    pub ready: usize,
    /// How many are being made.
    pub starting: usize,
}

/// How often sessions of endpoints with a pool found a sandbox ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolTotals {
    /// Sessions that did.
    pub hits: u64,
    /// Sessions that did not.
    pub misses: u64,
}

type PoolKey = (RuntimeId, EndpointName, VersionNumber);

/// All pools of a server. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Pools {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something has changed that refilling may depend on.
    changed: Notify,
    closed: CancellationToken,
}

#[derive(Default)]
struct State {
    pools: HashMap<PoolKey, Pool>,
    /// Pools there have been; names one for good.
    made: u64,
    totals: PoolTotals,
}

struct Pool {
    number: u64,
    spec: Arc<SessionSpec>,
    size: PoolSize,
    demand: Demand,
    ready: VecDeque<Standing>,
    starting: usize,
    failures: u32,
    retry_at: Option<Instant>,
}

/// A ready sandbox, as its pool sees it.
struct Standing {
    sandbox: SandboxId,
    task: oneshot::Sender<Request>,
}

/// A sandbox that a session has taken and will get in a moment.
pub(crate) struct Taken {
    /// Which.
    pub(crate) sandbox: SandboxId,
    /// The sandbox; none if it has just ended.
    pub(crate) handed_over: oneshot::Receiver<Ready>,
}

impl Pools {
    /// What is wanted from now on. Pools that are not are given up, and those of another environment are filled anew.
    pub(crate) fn set(&self, wanted: Vec<PoolSpec>) {
        let mut state = self.state();
        let mut former = std::mem::take(&mut state.pools);
        for spec in wanted {
            let key = (spec.runtime, spec.endpoint, spec.session.version);
            let kept = former
                .remove(&key)
                .filter(|pool| runs_the_same(&pool.spec, &spec.session));
            let mut pool = kept.unwrap_or_else(|| {
                state.made += 1;
                Pool::new(state.made, Arc::clone(&spec.session))
            });
            pool.spec = spec.session;
            pool.size = spec.size;
            state.pools.insert(key, pool);
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// A session of this endpoint begins, and takes a sandbox if one stands ready for it.
    pub(crate) fn take(&self, session: &SessionKey, spec: &SessionSpec) -> Option<Taken> {
        let mut state = self.state();
        let key = (session.runtime.clone(), session.endpoint.clone(), spec.version);
        let taken = if let Some(pool) = state.pools.get_mut(&key) {
            pool.demand.session_began(Instant::now());
            runs_the_same(&pool.spec, spec)
                .then(|| pool.hand_over())
                .flatten()
        } else if state.has_pool_at(session) {
            None
        } else {
            return None;
        };
        match taken {
            Some(_) => state.totals.hits += 1,
            None => state.totals.misses += 1,
        }
        drop(state);
        self.shared.changed.notify_one();
        taken
    }

    /// Sessions have come or gone.
    pub(crate) fn sessions_changed(&self) {
        self.shared.changed.notify_one();
    }

    /// Every pool, in no particular order.
    pub(crate) fn list(&self) -> Vec<PoolInfo> {
        let now = Instant::now();
        let describe = |((runtime, endpoint, version), pool): (&PoolKey, &Pool)| PoolInfo {
            runtime: runtime.clone(),
            endpoint: endpoint.clone(),
            version: *version,
            size: pool.size,
            wanted: pool.demand.wanted(pool.size, now),
            ready: pool.ready.len(),
            starting: pool.starting,
        };
        self.state().pools.iter().map(describe).collect()
    }

    pub(crate) fn totals(&self) -> PoolTotals {
        self.state().totals
    }

    /// Gives everything up, for good.
    pub(crate) fn close(&self) {
        self.shared.closed.cancel();
        self.state().pools.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_pool_at(&self, session: &SessionKey) -> bool {
        let mut keys = self.pools.keys();
        keys.any(|(runtime, endpoint, _)| *runtime == session.runtime && *endpoint == session.endpoint)
    }
}

impl Pool {
    fn new(number: u64, spec: Arc<SessionSpec>) -> Self {
        Self {
            number,
            spec,
            size: PoolSize::default(),
            demand: Demand::default(),
            ready: VecDeque::new(),
            starting: 0,
            failures: 0,
            retry_at: None,
        }
    }

    /// The sandbox that has stood ready for longest and still does.
    fn hand_over(&mut self) -> Option<Taken> {
        while let Some(Standing { sandbox, task }) = self.ready.pop_front() {
            let (give, handed_over) = oneshot::channel();
            if task.send(Request(give)).is_ok() {
                return Some(Taken { sandbox, handed_over });
            }
        }
        None
    }

    fn failed(&mut self, now: Instant) {
        let wait = FIRST_RETRY
            .saturating_mul(1 << self.failures.min(6))
            .min(LONGEST_RETRY);
        self.failures += 1;
        self.retry_at = Some(now + wait);
    }
}

/// Whether a sandbox made for one of them serves the other.
fn runs_the_same(one: &SessionSpec, other: &SessionSpec) -> bool {
    one.agent == other.agent
}
