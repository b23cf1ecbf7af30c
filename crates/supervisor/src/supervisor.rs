//! The table of this server's sessions, and the handle that everything above uses.
//!
//! The table only maps keys to tasks: whether a session can serve, wait or must refuse is its task's to say.
//! A task is in the table from before its claim until after its claim is given back, so two tasks of one
//! session never overlap.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use coracle_types::{RuntimeId, SessionKey};
use futures::future::join_all;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::directory::{Directory, Hibernated};
use crate::driver::{Driver, StorageUse};
use crate::lease::Lease;
use crate::logs::{LogBudget, LogSink};
use crate::memory::{MemoryReserve, available_memory};
use crate::pool::{PoolInfo, PoolSpec, PoolTotals, Pools, refill};
use crate::session::life::Verdict;
use crate::session::{
    AcquireError, AcquireReply, Cap, CapOf, CapReached, Command, Context, HibernationTotals, Orphan,
    SessionHandle, SessionInfo, SessionSpec, SessionTask, Shared,
};

/// How often a request that met a session in its last moment looks again.
const ATTEMPTS: usize = 3;
/// How long a request that meets a session on its way out waits for its end, to start the next one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a kill waits until nothing is left of its session.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// What has become of a session that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Killed {
    /// Nothing is left of it. Otherwise it is still being removed.
    pub is_gone: bool,
}

/// Limits and times that hold for all sessions.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// Most sessions at once, those starting and stopping included.
    pub max_sessions: usize,
    /// Most requests of one session at once; a channel carries 256 streams, some of them our own.
    pub max_requests_per_session: usize,
    /// Most sandboxes booting at once; the others queue.
    pub concurrent_boots: usize,
    /// Below this many bytes of free memory new sessions are refused; zero for never.
    pub memory_reserve: u64,
    /// How much memory the host has left, in bytes; `None` where that cannot be known.
    pub available_memory: fn() -> Option<u64>,
    /// How long a sandbox may take to boot.
    pub boot_timeout: Duration,
    /// How long an agent has between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// What each session may write to the logs.
    pub log_budget: LogBudget,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            max_sessions: 1000,
            max_requests_per_session: 200,
            concurrent_boots: processors * 2,
            memory_reserve: 0,
            available_memory,
            boot_timeout: Duration::from_secs(120),
            stop_grace: Duration::from_secs(5),
            log_budget: LogBudget::default(),
        }
    }
}

/// Why a session could not be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// There is none.
    #[error("there is no such session")]
    NotFound,
    /// It is being stopped already.
    #[error("a session operation is in progress")]
    InProgress,
}

/// All sessions of this server. Cheap to clone. Call [`Supervisor::drain`] before the last clone goes.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<Context>,
    table: Arc<Mutex<Table>>,
    /// The start of the task that fills them.
    refilling: Once,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<SessionKey, SessionHandle>,
    draining: bool,
}

impl Supervisor {
    /// A supervisor without sessions. The driver must have swept before.
    pub fn new(
        driver: Arc<dyn Driver>,
        directory: Arc<dyn Directory>,
        logs: Arc<dyn LogSink>,
        config: SupervisorConfig,
    ) -> Self {
        let context = Arc::new(Context {
            driver,
            directory,
            logs,
            pools: Pools::default(),
            boots: Semaphore::new(config.concurrent_boots.max(1)),
            refills: Semaphore::new((config.concurrent_boots / 2).max(1)),
            starts: watch::Sender::default(),
            hibernations: Mutex::default(),
            memory: MemoryReserve::new(config.memory_reserve, config.available_memory),
            refused: AtomicU64::new(0),
            config,
        });
        Self {
            inner: Arc::new(Inner {
                context,
                table: Arc::default(),
                refilling: Once::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// The session's sandbox, for one request. Starts the session on first use and waits until it is ready; all
    /// who come meanwhile share that start. A session that runs keeps its own version: `spec` counts only for
    /// a start. A session on its way out is waited for, briefly, and then started anew.
    ///
    /// # Errors
    /// See [`AcquireError`]; each kind says something else to the caller.
    pub async fn acquire(&self, key: SessionKey, spec: Arc<SessionSpec>) -> Result<Lease, AcquireError> {
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..ATTEMPTS {
            let (reply, answer) = oneshot::channel();
            let there = self.start_unless_there(&key, &spec, reply)?;
            let Some((session, reply)) = there else {
                if let Ok(result) = answer.await {
                    return result;
                }
                continue;
            };
            // A task that takes no commands drops the reply, which tells below.
            session.commands.send(Command::Acquire(reply)).await.ok();
            if let Ok(result) = answer.await {
                return result;
            }
            // Unanswered: the session is on its way out. Once its task is gone, it has left the table.
            let gone = tokio::time::timeout_at(deadline, session.commands.closed()).await;
            gone.map_err(|_| AcquireError::InProgress)?;
        }
        Err(AcquireError::InProgress)
    }

    /// The session's sandbox, for one request, if it runs or is starting. One on its way out is waited for, briefly.
    ///
    /// # Errors
    /// See [`AcquireError`].
    pub async fn acquire_running(&self, key: &SessionKey) -> Result<Option<Lease>, AcquireError> {
        let running = self.table().sessions.get(key).cloned();
        let Some(session) = running else {
            return Ok(None);
        };
        let (reply, answer) = oneshot::channel();
        // A task that takes no commands drops the reply, which tells below.
        session.commands.send(Command::Acquire(reply)).await.ok();
        if let Ok(result) = answer.await {
            return result.map(Some);
        }
        let gone = tokio::time::timeout(PATIENCE, session.commands.closed()).await;
        gone.map_err(|_| AcquireError::InProgress)?;
        Ok(None)
    }

    /// Stops a session. Returns once no further request reaches it; the agent's end (SIGTERM, then SIGKILL
    /// after the grace) and the sandbox's go on in the background.
    ///
    /// # Errors
    /// When there is no such session, or it is being stopped.
    pub async fn stop(&self, key: &SessionKey) -> Result<(), StopError> {
        let running = self.table().sessions.get(key).cloned();
        match running {
            Some(session) => stop(&session, Verdict::Asked).await,
            None if self.forget_hibernated(Hibernated::Session(key)).await > 0 => Ok(()),
            None => Err(StopError::NotFound),
        }
    }

    /// Stops a session that runs an outdated version, if nobody uses it now. Says whether it is stopped by this call.
    pub async fn retire(&self, key: &SessionKey) -> bool {
        let running = self.table().sessions.get(key).cloned();
        let Some(session) = running else { return false };
        let (reply, answer) = oneshot::channel();
        // One that takes no commands is gone.
        session.commands.send(Command::Retire(reply)).await.ok();
        answer.await.unwrap_or(false)
    }

    /// Ends a session at once: its agent is not asked. Returns once nothing is left of it, or after
    /// [`KILL_PATIENCE`] at the latest; one that still boots ends when it has booted.
    ///
    /// # Errors
    /// When there is no such session.
    pub async fn kill(&self, key: &SessionKey) -> Result<Killed, StopError> {
        let running = self.table().sessions.get(key).cloned();
        let Some(session) = running else {
            return match self.forget_hibernated(Hibernated::Session(key)).await {
                0 => Err(StopError::NotFound),
                _ => Ok(Killed { is_gone: true }),
            };
        };
        session.shared.kill.cancel();
        // One that is being stopped, or is gone by now, needs no further word.
        stop(&session, Verdict::Killed).await.ok();
        let gone = tokio::time::timeout(KILL_PATIENCE, session.commands.closed()).await;
        // It may have been about to be hibernated.
        self.forget_hibernated(Hibernated::Session(key)).await;
        Ok(Killed {
            is_gone: gone.is_ok(),
        })
    }

    /// Stops every session of a runtime that has used all it may. Returns how many were stopped by this call.
    pub async fn stop_runtime(&self, runtime: &RuntimeId, cap: Cap) -> usize {
        let of_runtime: Vec<_> = self
            .table()
            .sessions
            .values()
            .filter(|session| session.shared.key.runtime == *runtime)
            .cloned()
            .collect();
        let of = CapOf::Runtime;
        let why = || Verdict::CapReached(CapReached { of, cap });
        let stopped = join_all(of_runtime.iter().map(|session| stop(session, why()))).await;
        stopped.iter().filter(|result| result.is_ok()).count()
    }

    /// Which pools there are to be from now on, in place of all that were said before. Without a driver whose
    /// sandboxes can stand still there are none.
    pub fn set_pools(&self, wanted: Vec<PoolSpec>) {
        let inner = &self.inner;
        if !inner.context.driver.can_pause() || self.table().draining {
            return;
        }
        inner.context.pools.set(wanted);
        inner.refilling.call_once(|| {
            let table = Arc::clone(&inner.table);
            let limit = inner.context.config.max_sessions;
            let watched = Arc::clone(&inner.context);
            let room = move || match watched.memory.shortage(0) {
                Some(_) => 0,
                None => limit.saturating_sub(lock(&table).sessions.len()),
            };
            let (context, tasks) = (Arc::clone(&inner.context), inner.tasks.clone());
            inner.tasks.spawn(refill(context, tasks, room));
        });
    }

    /// Every pool, in no particular order.
    pub fn pools(&self) -> Vec<PoolInfo> {
        self.inner.context.pools.list()
    }

    /// How often sessions found a sandbox ready, since the server started.
    pub fn pool_totals(&self) -> PoolTotals {
        self.inner.context.pools.totals()
    }

    /// Ends hibernated sessions and removes what is kept of them. Returns how many there were.
    pub async fn forget_hibernated(&self, which: Hibernated<'_>) -> usize {
        let context = &self.inner.context;
        let left = match context.directory.forget(which).await {
            Ok(left) => left,
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::error!(error, "hibernated sessions could not be ended");
                return 0;
            }
        };
        for sandbox in &left {
            context.driver.forget(*sandbox).await;
        }
        left.len()
    }

    /// Removes storages that no session has any more. Returns how many.
    pub async fn remove_unused_storages(&self) -> usize {
        let Context {
            driver, directory, ..
        } = &*self.inner.context;
        // Listed before they are asked for: one that is made meanwhile is not missed then.
        let listed = driver.storages().await;
        let (there, kept) = match (listed, directory.storages().await) {
            (Ok(there), Ok(kept)) => (there, kept.into_iter().collect::<HashSet<_>>()),
            (there, kept) => {
                tracing::warn!(
                    ?there,
                    ?kept,
                    "unused storages of sessions could not be looked for"
                );
                return 0;
            }
        };
        let unused = there.iter().filter(|storage| !kept.contains(storage));
        let mut removed = 0;
        for storage in unused {
            driver.remove_storage(*storage).await;
            removed += 1;
        }
        removed
    }

    /// What storages of sessions take on this machine; nothing if that cannot be found out.
    pub async fn storage_use(&self) -> StorageUse {
        let used = self.inner.context.driver.storage_use().await;
        used.unwrap_or_else(|error| {
            tracing::warn!(%error, "storages of sessions could not be looked at");
            StorageUse::default()
        })
    }

    /// How many sessions were refused for lack of memory, since the server started.
    pub fn refused_for_memory(&self) -> u64 {
        self.inner.context.refused.load(Ordering::SeqCst)
    }

    /// What has become of sessions that were to be hibernated or woken, since the server started.
    pub fn hibernation_totals(&self) -> HibernationTotals {
        let totals = &self.inner.context.hibernations;
        *totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every session, in no particular order.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.table()
            .sessions
            .values()
            .map(|session| session.shared.info())
            .collect()
    }

    /// One session.
    pub fn session(&self, key: &SessionKey) -> Option<SessionInfo> {
        self.table()
            .sessions
            .get(key)
            .map(|session| session.shared.info())
    }

    /// Refuses every further request, lets those in flight finish until `patience` is over, and ends all
    /// sessions. When this returns, none is left.
    pub async fn drain(&self, patience: Duration) {
        self.close(patience, false).await;
    }

    /// As [`Supervisor::drain`], but leaves ready sessions running, where their sandboxes can outlive this server, for
    /// the next one to [adopt](Supervisor::adopt).
    pub async fn leave(&self, patience: Duration) {
        self.close(patience, true).await;
    }

    /// Takes over a session that an earlier server left running. Before the first request for it.
    pub fn adopt(&self, orphan: Orphan) {
        let (task, handle) = SessionTask::adopting(Arc::clone(&self.inner.context), orphan);
        self.spawn(&mut self.table(), task, handle);
    }

    async fn close(&self, patience: Duration, stays: bool) {
        let deadline = Instant::now() + patience;
        let sessions: Vec<_> = {
            let mut table = self.table();
            table.draining = true;
            table.sessions.values().cloned().collect()
        };
        for session in sessions {
            // One that takes no commands is gone.
            let drain = Command::Drain { deadline, stays };
            session.commands.send(drain).await.ok();
        }
        self.inner.context.pools.close();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.context.driver.settled().await;
    }

    /// Starts a session that has its first request from the beginning, or returns the session that is there
    /// and the request with it.
    fn start_unless_there(
        &self,
        key: &SessionKey,
        spec: &Arc<SessionSpec>,
        request: AcquireReply,
    ) -> Result<Option<(SessionHandle, AcquireReply)>, AcquireError> {
        let mut table = self.table();
        if table.draining {
            return Err(AcquireError::ShuttingDown);
        }
        if let Some(session) = table.sessions.get(key) {
            return Ok(Some((session.clone(), request)));
        }
        let limit = self.inner.context.config.max_sessions;
        if table.sessions.len() >= limit {
            return Err(AcquireError::TooManySessions { limit });
        }
        if let Some(available) = self.inner.context.shortage() {
            // Those that stand ready give theirs back.
            self.inner.context.pools.sessions_changed();
            return Err(AcquireError::OutOfMemory { available });
        }
        let (task, handle) = SessionTask::new(
            Arc::clone(&self.inner.context),
            key.clone(),
            Arc::clone(spec),
            request,
        );
        self.spawn(&mut table, task, handle);
        Ok(None)
    }

    /// Puts a session into the table and lets its task run.
    fn spawn(&self, table: &mut Table, mut task: SessionTask, handle: SessionHandle) {
        let session = Arc::clone(&handle.shared);
        table.sessions.insert(session.key.clone(), handle);
        let listed = Listed {
            table: Arc::clone(&self.inner.table),
            session,
            pools: self.inner.context.pools.clone(),
        };
        self.inner.tasks.spawn(async move {
            // Dropped before the task and its queue of commands, even in a panic: whoever is left without an
            // answer finds the table without this session.
            let _listed = listed;
            Box::pin(task.run()).await;
        });
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        lock(&self.inner.table)
    }
}

async fn stop(session: &SessionHandle, why: Verdict) -> Result<(), StopError> {
    let (reply, answer) = oneshot::channel();
    session
        .commands
        .send(Command::Stop(why, reply))
        .await
        .map_err(|_| StopError::NotFound)?;
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(StopError::InProgress),
        Err(_) => Err(StopError::NotFound),
    }
}

/// A session's place in the table, given up when dropped.
struct Listed {
    table: Arc<Mutex<Table>>,
    session: Arc<Shared>,
    pools: Pools,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if table
            .sessions
            .get(&self.session.key)
            .is_some_and(|listed| Arc::ptr_eq(&listed.shared, &self.session))
        {
            table.sessions.remove(&self.session.key);
        }
        drop(table);
        self.pools.sessions_changed();
    }
}

fn lock(table: &Mutex<Table>) -> std::sync::MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
