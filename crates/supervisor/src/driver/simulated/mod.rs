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
//! | `SIMULATED_START` | `refuse`: the guest cannot start it; `exit:<code>`; `never-healthy`: answers 503; `silent`: never answers a ping; `slow:<milliseconds>` until it listens |
//! | `SIMULATED_PRINT` | a line it prints first |

mod agent;
mod cable;
mod guest;
mod script;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_guest_proto::message::StartAgent;
use coracle_types::SandboxId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    AgentSpec, BootError, BootPhase, Booted, Driver, Machine, MemoryUse, Origin, PauseError, PrepareError,
    Start,
};
use cable::Cable;

/// Bytes in transit between host and guest.
const CHANNEL_BUFFER: usize = 256 * 1024;

/// Makes simulated sandboxes.
#[derive(Debug, Default)]
pub struct SimulatedDriver {
    live: Arc<AtomicUsize>,
    paused: Arc<AtomicUsize>,
    boots: AtomicUsize,
    power: Mutex<CancellationToken>,
}

impl SimulatedDriver {
    /// How many sandboxes were asked for.
    pub fn boots(&self) -> usize {
        self.boots.load(Ordering::SeqCst)
    }

    /// Ends every sandbox there is, as if by itself.
    pub fn cut_power(&self) {
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *power).cancel();
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
        let (host, guest) = tokio::io::duplex(CHANNEL_BUFFER);
        let power = self
            .power
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .child_token();
        let counted = Counted::new(Arc::clone(&self.live));
        let pause = watch::Sender::new(false);
        let cable = Cable::new(guest, power.clone(), pause.subscribe());
        let port = agent.port;
        let off = power.clone();
        let task = tokio::spawn(async move {
            let _counted = counted;
            tokio::select! {
                () = guest::run(cable, port, off.clone()) => {}
                () = off.cancelled() => {}
            }
        });
        let start = StartAgent {
            root: None,
            hostname: sandbox.to_string(),
            entropy_hex: None,
            command: vec!["simulated".to_owned()],
            environment: agent.environment.clone(),
            working_directory: "/".to_owned(),
            user: None,
            snapshot: None,
        };
        Ok(Booted {
            channel: Box::new(host),
            start: Start::Agent(Box::new(start)),
            origin: Origin::Booted,
            machine: Box::new(SimulatedMachine {
                power,
                task: Some(task),
                pause,
                paused: Arc::clone(&self.paused),
                counted: None,
            }),
            timing: vec![(BootPhase::Kernel, began.elapsed())],
        })
    }

    fn can_pause(&self) -> bool {
        true
    }

    async fn sweep(&self) -> Result<usize, std::io::Error> {
        // Simulated sandboxes end with their process.
        Ok(0)
    }
}

struct SimulatedMachine {
    power: CancellationToken,
    task: Option<JoinHandle<()>>,
    pause: watch::Sender<bool>,
    paused: Arc<AtomicUsize>,
    /// Its place among those that stand still.
    counted: Option<Counted>,
}

#[async_trait]
impl Machine for SimulatedMachine {
    async fn ended(&mut self) -> String {
        self.power.cancelled().await;
        "powered off".to_owned()
    }

    async fn destroy(&mut self) {
        self.power.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::warn!(%error, "a simulated sandbox failed");
        }
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse::default()
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
        self.power.cancel();
    }
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
