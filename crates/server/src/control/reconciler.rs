//! Finishes what control-plane requests began.
//!
//! The store says what is unfinished; each pass starts a task for whatever has none yet. Nothing is remembered
//! between passes but which tasks run, so a missed wake-up costs time only, and a server that starts simply does
//! its first pass.
//!
//! ```text
//! version  CREATING, UPDATING ── fetch, check, prepare ──▶ READY | *_FAILED with a reason
//! endpoint CREATING, UPDATING ── target ready? ──────────▶ READY | *_FAILED with a reason
//! endpoint DELETING           ── stop its sessions ──────▶ gone
//! runtime  DELETING           ── stop its sessions ──────▶ gone
//! ```
//!
//! A task that fails for the developer's reasons writes the reason. One that fails for this machine's reasons
//! (the database, say) changes nothing, and is tried again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use coracle_store::{Endpoint, Runtime, RuntimeVersion, Store, StoreError, UnixMicros};
use coracle_supervisor::{Hibernated, SessionState, Supervisor};
use coracle_types::{EndpointName, ResourceStatus, RuntimeId, VersionNumber};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::data::Routes;
use crate::deploy::{DeployError, Deployer};

/// Wait before trying again what failed for this machine's reasons.
const RETRY: Duration = Duration::from_secs(2);
/// How often the end of sessions is looked for.
const SESSIONS_INTERVAL: Duration = Duration::from_millis(50);
/// How long sessions may take to end before a deletion is given up.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(60);

/// Tells the reconciler that there is work, and everybody that routes may have changed.
#[derive(Clone)]
pub struct Waker {
    notify: Arc<Notify>,
    routes: Arc<Routes>,
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// A waker that makes these routes forget.
    pub fn new(routes: Arc<Routes>) -> Self {
        Self {
            notify: Arc::default(),
            routes,
        }
    }

    /// Something in the control plane has changed.
    pub fn wake(&self) {
        self.routes.forget();
        self.notify.notify_one();
    }
}

/// Does the work. Cheap to clone.
#[derive(Clone)]
pub struct Reconciler {
    /// What is wanted.
    pub store: Store,
    /// Makes versions ready.
    pub deployer: Deployer,
    /// Has the sessions.
    pub supervisor: Supervisor,
    /// Wakes this reconciler.
    pub waker: Waker,
}

/// What a task works on; no two tasks work on the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Version(RuntimeId, VersionNumber),
    Endpoint(RuntimeId, EndpointName),
    Runtime(RuntimeId),
}

/// Why a task changed nothing.
#[derive(Debug, thiserror::Error)]
enum TaskError {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the version could not be made ready on this machine")]
    Deploy(#[source] DeployError),
}

impl Reconciler {
    /// Works until `stop` is cancelled. What is under way then is dropped, and done by the next start.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut subjects = HashSet::new();
        loop {
            if let Err(error) = self.start_tasks(&mut tasks, &mut subjects).await {
                tracing::error!(
                    error = crate::error_chain(&error),
                    "unfinished work could not be looked up"
                );
                tasks.spawn(async {
                    tokio::time::sleep(RETRY).await;
                    None
                });
            }
            tokio::select! {
                () = self.waker.notify.notified() => {}
                Some(done) = tasks.join_next() => {
                    match done {
                        Ok(Some(subject)) => drop(subjects.remove(&subject)),
                        Ok(None) => {}
                        // Which one is unknown: forget all, at the price of doing one of them twice.
                        Err(_) => subjects.clear(),
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn start_tasks(
        &self,
        tasks: &mut JoinSet<Option<Subject>>,
        subjects: &mut HashSet<Subject>,
    ) -> Result<(), StoreError> {
        let unfinished = self.store.unfinished().await?;
        for version in unfinished.versions {
            let subject = Subject::Version(version.runtime.id.clone(), version.version.number);
            let this = self.clone();
            self.start(
                tasks,
                subjects,
                subject,
                async move { this.version(&version).await },
            );
        }
        for (runtime, endpoint) in unfinished.endpoints {
            let subject = Subject::Endpoint(runtime.id.clone(), endpoint.name.clone());
            let this = self.clone();
            self.start(tasks, subjects, subject, async move {
                this.endpoint(&runtime, &endpoint).await
            });
        }
        for runtime in unfinished.deletions {
            let subject = Subject::Runtime(runtime.id.clone());
            let this = self.clone();
            self.start(
                tasks,
                subjects,
                subject,
                async move { this.deletion(&runtime).await },
            );
        }
        Ok(())
    }

    fn start(
        &self,
        tasks: &mut JoinSet<Option<Subject>>,
        subjects: &mut HashSet<Subject>,
        subject: Subject,
        work: impl Future<Output = Result<(), TaskError>> + Send + 'static,
    ) {
        if !subjects.insert(subject.clone()) {
            return;
        }
        let waker = self.waker.clone();
        tasks.spawn(async move {
            match work.await {
                // Somebody else finished or deleted it meanwhile.
                Ok(()) | Err(TaskError::Store(StoreError::NotFound(_) | StoreError::WrongStatus(_))) => {}
                Err(error) => {
                    tracing::error!(
                        ?subject,
                        error = crate::error_chain(&error),
                        "unfinished work will be retried"
                    );
                    tokio::time::sleep(RETRY).await;
                }
            }
            waker.routes.forget();
            Some(subject)
        });
    }

    async fn version(&self, version: &RuntimeVersion) -> Result<(), TaskError> {
        let (runtime, number) = (&version.runtime.id, version.version.number);
        let resolution;
        let reason;
        let outcome = match self.deployer.deploy(version).await {
            Ok(resolved) => {
                tracing::info!(%runtime, version = %number, "version ready");
                resolution = resolved;
                Ok(resolution.as_str())
            }
            Err(DeployError::Refused(why)) => {
                tracing::info!(%runtime, version = %number, reason = why, "version failed");
                reason = why;
                Err(reason.as_str())
            }
            Err(error) => return Err(TaskError::Deploy(error)),
        };
        self.store
            .finish_version(runtime, number, outcome, UnixMicros::now())
            .await?;
        Ok(())
    }

    async fn endpoint(&self, runtime: &Runtime, endpoint: &Endpoint) -> Result<(), TaskError> {
        let (id, name) = (&runtime.id, &endpoint.name);
        if endpoint.status == ResourceStatus::Deleting {
            let ended = self.sessions_ended(id, Some(name)).await;
            let outcome = ended.as_ref().copied().map_err(String::as_str);
            self.store
                .finish_delete_endpoint(&runtime.owner, id, name, outcome, UnixMicros::now())
                .await?;
            self.supervisor.remove_unused_storages().await;
            return Ok(());
        }
        let target = self
            .store
            .runtime(&runtime.owner, id, Some(endpoint.target_version))
            .await?
            .version;
        let ready = match target.status {
            ResourceStatus::Ready => Ok(()),
            ResourceStatus::Creating | ResourceStatus::Updating => {
                // Its own task ends that, and the end of a task is looked at again.
                tokio::time::sleep(SESSIONS_INTERVAL).await;
                return Ok(());
            }
            status => Err(format!(
                "Version {} cannot be served: it is in status {status}",
                target.number
            )),
        };
        let outcome = ready.as_ref().copied().map_err(String::as_str);
        self.store
            .finish_endpoint(id, name, outcome, UnixMicros::now())
            .await?;
        Ok(())
    }

    async fn deletion(&self, runtime: &Runtime) -> Result<(), TaskError> {
        let ended = self.sessions_ended(&runtime.id, None).await;
        let outcome = ended.as_ref().copied().map_err(String::as_str);
        self.store
            .finish_delete_runtime(&runtime.owner, &runtime.id, outcome, UnixMicros::now())
            .await?;
        self.supervisor.remove_unused_storages().await;
        tracing::info!(runtime = %runtime.id, "runtime deleted");
        Ok(())
    }

    /// Stops the sessions of a runtime or of one of its endpoints, and waits until they are gone.
    async fn sessions_ended(
        &self,
        runtime: &RuntimeId,
        endpoint: Option<&EndpointName>,
    ) -> Result<(), String> {
        let ended = async {
            loop {
                let hibernated = Hibernated::Runtime(runtime, endpoint);
                self.supervisor.forget_hibernated(hibernated).await;
                let mut sessions = self.supervisor.sessions();
                sessions.retain(|it| {
                    it.key.runtime == *runtime && endpoint.is_none_or(|name| it.key.endpoint == *name)
                });
                if sessions.is_empty() {
                    return;
                }
                for session in sessions
                    .iter()
                    .filter(|session| session.state != SessionState::Stopping)
                {
                    // One that is gone or going by now is what is wanted.
                    self.supervisor.stop(&session.key).await.ok();
                }
                tokio::time::sleep(SESSIONS_INTERVAL).await;
            }
        };
        tokio::time::timeout(SESSIONS_TIMEOUT, ended).await.map_err(|_| {
            format!(
                "Sessions were still running after {} seconds",
                SESSIONS_TIMEOUT.as_secs()
            )
        })
    }
}
