//! A sandbox that is a task of this process: it speaks the real channel protocol over memory and runs a
//! scripted agent instead of the version's code. Everything above the driver can be tested against it in
//! milliseconds, its failures included.
//!
//! # The agent
//!
//! It answers `GET /ping`, and any `POST` as an invocation. A JSON object with a member `do` is a script:
//!
//! | payload | answer |
//! |---|---|
//! | `{"do":"remember","value":…}` | 200; keeps the value in this sandbox's memory |
//! | `{"do":"recall"}` | 200 with `{"value":…}`, `null` when nothing is remembered |
//! | `{"do":"stream","chunks":[…],"every_millis":10}` | 200 `text/event-stream`, one event for each chunk |
//! | `{"do":"answer","status":404,"body":"…"}` | that |
//! | `{"do":"headers"}` | 200 with the request's header fields as JSON |
//! | `{"do":"large","bytes":n}` | 200 with that many bytes |
//! | `{"do":"hang"}` | none, ever |
//! | `{"do":"close"}` | the connection closes without an answer |
//! | `{"do":"close","after_bytes":n}` | it closes after so many bytes of a longer answer |
//! | `{"do":"sleep","millis":n}` | 200 after that time |
//! | `{"do":"block","millis":n}` | as `sleep`, and pings wait too: an agent with one thread |
//! | `{"do":"print","lines":n,"text":"…"}` | 200 after printing the text that often |
//! | `{"do":"exit","code":n,"text":"…"}` | none: prints the text and exits |
//! | `{"do":"ping","status":"HealthyBusy"}` | 200; pings have this status from now on |
//! | `{"do":"burn","cpu_millis":n}` | 200; that much more processor time counts as used |
//! | `{"do":"credentials"}` | 200 with credentials of the sandbox's session, `null` if it has no identity |
//! | `{"do":"linger"}` | 200; it is not ended by being told to shut down from now on |
//! | `{"do":"power_off"}` | none: the whole sandbox ends |
//!
//! Anything else up to a mebibyte is echoed; of anything longer the answer tells the length as
//! `{"received_bytes":n}`.
//!
//! # Its start
//!
//! Environment variables of the agent decide how it starts:
//!
//! | variable | |
//! |---|---|
//! | `SIMULATED_PREPARE` | `refuse:<text>`: the version cannot be prepared |
//! | `SIMULATED_BOOT` | `fail`: the sandbox does not boot; `slow:<milliseconds>` |
//! | `SIMULATED_RESTORE` | `fail`: a sandbox restored from a template does not resume; without it, there are no templates |
//! | `SIMULATED_START` | `refuse`: the guest cannot start it; `exit:<code>`; `never-healthy`: answers 503; `silent`: never answers a ping; `slow:<milliseconds>` until it listens |
//! | `SIMULATED_HIBERNATE` | `fail`: it cannot be hibernated; `slow:<milliseconds>` |
//! | `SIMULATED_WAKE` | `fail`: it cannot be woken |
//! | `SIMULATED_PRINT` | a line it prints first |

mod agent;
mod cable;
mod guest;
mod script;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use coracle_guest_proto::message::{StartAgent, StorageSource};
use coracle_types::{SandboxId, StorageId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    AgentSpec, BootError, BootPhase, Booted, Driver, HibernateError, Identity, Machine, MemoryUse, Note,
    Origin, PauseError, PrepareError, Start, StorageError, StorageUse, Swept,
};
use cable::Cable;

/// Bytes in transit between host and guest.
const CHANNEL_BUFFER: usize = 256 * 1024;
/// What a sandbox says it has of the host's memory, in bytes.
const MEMORY: u64 = 64 * 1024 * 1024;

/// Makes simulated sandboxes.
#[derive(Debug, Default)]
pub struct SimulatedDriver {
    live: Arc<AtomicUsize>,
    paused: Arc<AtomicUsize>,
    boots: AtomicUsize,
    power: Mutex<CancellationToken>,
    hibernated: Arc<Mutex<HashMap<SandboxId, Kept>>>,
    /// Those that no supervisor has, and what was noted of them.
    left: Arc<Mutex<HashMap<SandboxId, Kept>>>,
    notes: Arc<Mutex<HashMap<SandboxId, Note>>>,
    storages: Arc<Mutex<HashMap<StorageId, SandboxId>>>,
    guests: Mutex<Vec<Weak<guest::Sandbox>>>,
}

/// A sandbox without a host.
struct Kept {
    guest: Arc<guest::Sandbox>,
    power: CancellationToken,
    /// What becomes of it when it is hibernated.
    hibernates: String,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl SimulatedDriver {
    /// How many sandboxes were asked for.
    pub fn boots(&self) -> usize {
        self.boots.load(Ordering::SeqCst)
    }

    /// Ends every sandbox there is, as if by itself.
    pub fn cut_power(&self) {
        std::mem::take(&mut *lock(&self.power)).cancel();
    }

    /// Has every agent that is not hibernated say that it is busy, as if of its own accord.
    pub fn all_become_busy(&self) {
        let guests = lock(&self.guests);
        guests
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|guest| guest.becomes_busy());
    }

    /// The sandbox that last got each storage.
    pub fn attached(&self) -> HashMap<StorageId, SandboxId> {
        lock(&self.storages).clone()
    }

    /// How many sandboxes are hibernated.
    pub fn hibernated(&self) -> usize {
        lock(&self.hibernated).len()
    }

    /// How many sandboxes stand still.
    pub fn paused(&self) -> usize {
        self.paused.load(Ordering::SeqCst)
    }

    /// How many sandboxes exist.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }
}

impl SimulatedDriver {
    /// Runs a sandbox with a host of its own.
    fn plugged_in(
        &self,
        sandbox: SandboxId,
        kept: Kept,
        start: Start,
        origin: Origin,
        began: Instant,
    ) -> Booted {
        let (host, channel) = tokio::io::duplex(CHANNEL_BUFFER);
        let pause = watch::Sender::new(false);
        let cable = Cable::new(channel, kept.power.clone(), pause.subscribe());
        let counted = Counted::new(Arc::clone(&self.live));
        let (guest, off) = (Arc::clone(&kept.guest), kept.power.clone());
        let task = tokio::spawn(async move {
            let _counted = counted;
            tokio::select! {
                () = guest::run(cable, &guest) => {}
                () = off.cancelled() => {}
            }
        });
        Booted {
            channel: Box::new(host),
            start,
            origin,
            machine: Box::new(SimulatedMachine {
                sandbox,
                kept: Some(kept),
                task: Some(task),
                hibernated: Arc::clone(&self.hibernated),
                left: Arc::clone(&self.left),
                notes: Arc::clone(&self.notes),
                storages: Arc::clone(&self.storages),
                pause,
                paused: Arc::clone(&self.paused),
                counted: None,
            }),
            notices: None,
            timing: vec![(BootPhase::Kernel, began.elapsed())],
        }
    }
}

#[async_trait]
impl Driver for SimulatedDriver {
    fn name(&self) -> &'static str {
        "simulated"
    }

    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError> {
        let wish = agent
            .environment
            .get("SIMULATED_PREPARE")
            .and_then(|wish| wish.strip_prefix("refuse:"));
        wish.map_or(Ok(()), |text| Err(PrepareError::Refused(text.to_owned())))
    }

    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        let began = Instant::now();
        self.boots.fetch_add(1, Ordering::SeqCst);
        match agent.environment.get("SIMULATED_BOOT").map(String::as_str) {
            Some("fail") => {
                return Err(BootError {
                    phase: BootPhase::Machine,
                    source: "the simulation was asked to fail".into(),
                });
            }
            Some(wish) => tokio::time::sleep(slowness(wish).unwrap_or_default()).await,
            None => {}
        }
        let power = lock(&self.power).child_token();
        let guest = Arc::new(guest::Sandbox::new(agent.port, power.clone()));
        {
            let mut guests = lock(&self.guests);
            guests.retain(|guest| guest.strong_count() > 0);
            guests.push(Arc::downgrade(&guest));
        }
        let kept = Kept {
            guest,
            power,
            hibernates: agent
                .environment
                .get("SIMULATED_HIBERNATE")
                .cloned()
                .unwrap_or_default(),
        };
        let start = StartAgent {
            root: None,
            hostname: sandbox.to_string(),
            entropy_hex: None,
            command: vec!["simulated".to_owned()],
            environment: agent.environment.clone(),
            working_directory: "/".to_owned(),
            user: None,
            snapshot: None,
            network: None,
            storage: None,
            folders: Vec::new(),
        };
        let restored = agent.template.is_some() && agent.environment.contains_key("SIMULATED_RESTORE");
        let (start, origin) = if restored {
            let hostname = sandbox.to_string();
            (Start::Resume { hostname }, Origin::Restored)
        } else {
            (Start::Agent(Box::new(start)), Origin::Booted)
        };
        Ok(self.plugged_in(sandbox, kept, start, origin, began))
    }

    async fn wake(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        hibernated: SandboxId,
    ) -> Result<Booted, BootError> {
        let kept = lock(&self.hibernated).remove(&hibernated);
        let fails = agent
            .environment
            .get("SIMULATED_WAKE")
            .is_some_and(|wish| wish == "fail");
        match kept {
            Some(kept) if !fails => {
                Ok(self.plugged_in(sandbox, kept, Start::GoOn, Origin::Woken, Instant::now()))
            }
            _ => Err(BootError {
                phase: BootPhase::Disks,
                source: "there is nothing to wake".into(),
            }),
        }
    }

    async fn forget(&self, hibernated: SandboxId) {
        lock(&self.hibernated).remove(&hibernated);
    }

    fn can_pause(&self) -> bool {
        true
    }

    async fn sweep(&self, keep: &[SandboxId]) -> Result<Swept, std::io::Error> {
        let mut left = lock(&self.left);
        let all = left.len();
        left.retain(|sandbox, _| keep.contains(sandbox));
        Ok(Swept {
            removed: all - left.len(),
            kept: left.keys().copied().collect(),
            stuck: Vec::new(),
        })
    }

    async fn adopt(&self, sandbox: SandboxId, _agent: &AgentSpec) -> Result<Booted, BootError> {
        let kept = lock(&self.left).remove(&sandbox).ok_or_else(|| BootError {
            phase: BootPhase::Machine,
            source: "there is nothing to adopt".into(),
        })?;
        Ok(self.plugged_in(sandbox, kept, Start::Adopted, Origin::Adopted, Instant::now()))
    }

    async fn last_note(&self, sandbox: SandboxId) -> Option<Note> {
        lock(&self.notes).get(&sandbox).cloned()
    }

    async fn storages(&self) -> Result<Vec<StorageId>, std::io::Error> {
        Ok(lock(&self.storages).keys().copied().collect())
    }

    async fn remove_storage(&self, storage: StorageId) {
        lock(&self.storages).remove(&storage);
    }

    async fn storage_use(&self) -> Result<StorageUse, std::io::Error> {
        Ok(StorageUse {
            count: lock(&self.storages).len(),
            bytes: 0,
        })
    }
}

struct SimulatedMachine {
    sandbox: SandboxId,
    /// Itself; nothing once it is hibernated.
    kept: Option<Kept>,
    task: Option<JoinHandle<()>>,
    hibernated: Arc<Mutex<HashMap<SandboxId, Kept>>>,
    left: Arc<Mutex<HashMap<SandboxId, Kept>>>,
    notes: Arc<Mutex<HashMap<SandboxId, Note>>>,
    storages: Arc<Mutex<HashMap<StorageId, SandboxId>>>,
    pause: watch::Sender<bool>,
    paused: Arc<AtomicUsize>,
    /// Its place among those that stand still.
    counted: Option<Counted>,
}

impl SimulatedMachine {
    async fn unplugged(&mut self) {
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::warn!(%error, "a simulated sandbox failed");
        }
    }

    fn power_off(&self) {
        if let Some(kept) = &self.kept {
            kept.power.cancel();
        }
    }
}

#[async_trait]
impl Machine for SimulatedMachine {
    async fn ended(&mut self) -> String {
        if let Some(kept) = &self.kept {
            kept.power.cancelled().await;
        }
        "powered off".to_owned()
    }

    async fn destroy(&mut self) {
        self.power_off();
        self.unplugged().await;
    }

    async fn attach(&mut self, storage: StorageId) -> Result<StorageSource, StorageError> {
        lock(&self.storages).insert(storage, self.sandbox);
        Ok(StorageSource::Folder {
            path: storage.to_string(),
        })
    }

    fn identify(&mut self, identity: Arc<dyn Identity>) {
        if let Some(kept) = &self.kept {
            kept.guest.is_now(identity);
        }
    }

    fn note(&self, note: &Note) {
        lock(&self.notes).insert(self.sandbox, note.clone());
    }

    fn leave(&mut self) -> bool {
        if let Some(kept) = self.kept.take() {
            lock(&self.left).insert(self.sandbox, kept);
        }
        true
    }

    fn can_hibernate(&self) -> bool {
        true
    }

    async fn hibernate(&mut self) -> Result<u64, HibernateError> {
        // The host has left already.
        self.unplugged().await;
        let Some(kept) = self.kept.take_if(|kept| kept.hibernates != "fail") else {
            return Err(HibernateError("the simulation was asked to fail".into()));
        };
        tokio::time::sleep(slowness(&kept.hibernates).unwrap_or_default()).await;
        lock(&self.hibernated).insert(self.sandbox, kept);
        Ok(0)
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse {
            private: MEMORY,
            shared: 0,
        }
    }

    fn cpu_time(&self) -> Duration {
        self.kept
            .as_ref()
            .map_or(Duration::ZERO, |kept| kept.guest.cpu_time())
    }

    async fn pause(&mut self) -> Result<(), PauseError> {
        self.counted
            .get_or_insert_with(|| Counted::new(Arc::clone(&self.paused)));
        self.pause.send_replace(true);
        Ok(())
    }

    async fn go_on(&mut self) -> Result<(), PauseError> {
        self.counted = None;
        self.pause.send_replace(false);
        Ok(())
    }
}

impl Drop for SimulatedMachine {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts as a sandbox as long as it exists.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self(live)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How the agent starts, from its environment.
fn start_wish(environment: &BTreeMap<String, String>) -> &str {
    environment.get("SIMULATED_START").map_or("", String::as_str)
}

/// The duration of a `slow:<milliseconds>`.
fn slowness(wish: &str) -> Option<Duration> {
    Some(Duration::from_millis(wish.strip_prefix("slow:")?.parse().ok()?))
}
