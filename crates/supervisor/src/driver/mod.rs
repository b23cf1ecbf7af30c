//! How a sandbox is made. A [`Driver`] boots something that answers on a channel; everything else (starting
//! the agent, health, invocations, logs, the end) is the same for all drivers and speaks the protocol of
//! `coracle-guest-proto` over that channel.
//!
//! | driver | a sandbox is | isolation |
//! |---|---|---|
//! | `microvm` | a QEMU microVM | hardware virtualisation under KVM; none promised in emulation |
//! | `process` | a child process | none |
//! | `simulated` | a task of the server | none; runs no code of the agent's |

mod launch;
pub mod microvm;
pub mod process;
pub mod simulated;
mod storage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use coracle_egress::Identity;
use coracle_egress::Rules;
use coracle_guest_proto::Channel;
use coracle_guest_proto::message::{StartAgent, StorageSource};
use coracle_nfs::Folder;
use coracle_types::{RuntimeKind, SandboxId, ServerProtocol, StorageId};
pub use coracle_vmm::Swept;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use self::storage::StorageUse;

/// What a version runs. Two versions with equal specs share everything that is prepared ahead of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSpec {
    /// What is run.
    pub program: Program,
    /// The whole environment of the agent but for what belongs to one session.
    pub environment: BTreeMap<String, String>,
    /// What the agent's server speaks.
    pub protocol: ServerProtocol,
    /// The port it listens on.
    pub port: u16,
    /// The path of an invocation.
    pub path: String,
    /// What its sandboxes may reach outside, with drivers that can tell.
    pub egress: Arc<Rules>,
    /// Where its sessions find what they keep, if they keep anything.
    pub storage: Option<String>,
    /// Folders of the host's that its sandboxes mount, with drivers that can.
    pub folders: Vec<FolderMount>,
    /// Present when sessions are to be restored from a template (platform version `V2`), where the driver can.
    pub template: Option<TemplateSpec>,
}

/// A folder of the host's in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderMount {
    /// What the folder is known by to those who deploy.
    pub name: String,
    /// Where the agent finds it.
    pub mount_path: String,
    /// The folder; none while the operator does not offer it.
    pub folder: Option<Arc<Folder>>,
}

impl FolderMount {
    /// Whether nothing in it can be changed.
    pub fn is_read_only(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.is_read_only())
    }
}

/// What a version was deployed as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Code for a managed runtime.
    Code(CodeProgram),
    /// A container image.
    Image(ImageProgram),
}

/// Code for a managed runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeProgram {
    /// The managed runtime the code wants.
    pub runtime: RuntimeKind,
    /// The checked code.
    pub code: CodeArtifact,
    /// Launcher (optional) and entry file, as in `codeConfiguration.entryPoint`.
    pub entry_point: Vec<String>,
}

/// A container image in the image store, which says what to start and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProgram {
    /// SHA-256 of the image's manifest in hexadecimal.
    pub digest: String,
}

/// How the template of a version is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSpec {
    /// Whom it is made for, for the operator. Others with the same content share it.
    pub made_for: String,
    /// The agent must be healthy this long after its start.
    pub init_timeout: Duration,
    /// A request the agent must answer with 2xx before it is snapshotted.
    pub warm_up: Option<AgentHook>,
    /// A request that an agent restored from it must answer with 2xx before anything else reaches it. The template
    /// is the same with and without.
    pub restored: Option<AgentHook>,
}

/// An empty `POST` to the agent, which tells it what has happened or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHook {
    /// The port on the agent's loopback.
    pub port: u16,
    /// The path.
    pub path: String,
}

/// A code zip that has passed every check, in the artifact cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeArtifact {
    /// SHA-256 of the zip in hexadecimal.
    pub digest: String,
    /// The zip.
    pub zip: PathBuf,
}

/// Why a version could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The developer or the operator can mend it; the text says how and is shown to the caller.
    #[error("{0}")]
    Refused(String),
    /// This machine failed.
    #[error("the version could not be prepared")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a sandbox could not be booted. The agent has no part in this: it has not started yet.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox could not be booted during {phase}")]
pub struct BootError {
    /// What was being done.
    pub phase: BootPhase,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The phases of a boot, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootPhase {
    /// Images and the private layer.
    Disks,
    /// The virtual machine monitor's process.
    Machine,
    /// Guest kernel and guest program, until the channel is there. Of a restored sandbox: the restore.
    Kernel,
}

impl std::fmt::Display for BootPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disks => "disks",
            Self::Machine => "machine",
            Self::Kernel => "kernel",
        })
    }
}

/// What the guest of a booted sandbox is to be asked first.
#[derive(Debug)]
pub enum Start {
    /// To start the agent. The supervisor sets the clock and the entropy when it sends it.
    Agent(Box<StartAgent>),
    /// To go on: the agent runs already, restored from a template.
    Resume {
        /// Host name inside the sandbox.
        hostname: String,
    },
    /// To catch up with the time: the agent runs already, as it did when it was hibernated.
    GoOn,
    /// Nothing: the agent runs already, as it did under an earlier server.
    Adopted,
}

/// How a sandbox came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was booted, as it should be.
    #[default]
    Booted,
    /// It was restored from a template.
    Restored,
    /// It was booted because there was no template, or none that could be restored.
    BootedInstead,
    /// It stood ready in a pool.
    Warm,
    /// Its session was hibernated, and goes on.
    Woken,
    /// An earlier server left it running.
    Adopted,
}

impl Origin {
    /// One word for metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booted => "booted",
            Self::Restored => "restored",
            Self::BootedInstead => "booted_instead",
            Self::Warm => "warm",
            Self::Woken => "woken",
            Self::Adopted => "adopted",
        }
    }
}

/// A booted sandbox whose agent has not been started, or a restored one whose agent has not been resumed.
pub struct Booted {
    /// The byte stream to the guest, before its handshake.
    pub channel: Box<dyn BoxableChannel>,
    /// What the guest is to be asked first.
    pub start: Start,
    /// How it came to be.
    pub origin: Origin,
    /// The running sandbox.
    pub machine: Box<dyn Machine>,
    /// What its log is to be told by this host, line by line, while it runs; with drivers that have something to say.
    pub notices: Option<mpsc::Receiver<String>>,
    /// How long each phase took.
    pub timing: Vec<(BootPhase, Duration)>,
}

/// A channel behind a pointer.
pub trait BoxableChannel: Channel {}
impl<T: Channel> BoxableChannel for T {}

/// Memory of one sandbox on the host, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Only this sandbox's.
    pub private: u64,
    /// Shared with other sandboxes.
    pub shared: u64,
}

/// A running sandbox. Dropping it ends it at once; [`Machine::destroy`] also waits and reports.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Waits until the sandbox has ended by itself and says how, for the operator. The wait may be given up
    /// and begun again.
    async fn ended(&mut self) -> String;

    /// Ends the sandbox now and removes everything it had: processes, disks, sockets. May be called after
    /// the sandbox has ended by itself.
    async fn destroy(&mut self);

    /// What it uses of the host's memory.
    fn memory(&self) -> MemoryUse;

    /// Processor time it has used, as the host counts it; zero once it has ended.
    fn cpu_time(&self) -> Duration;

    /// Gives it this storage, which is made if it is not there, and says where its guest finds it. Only for an agent that
    /// has one; once, before any session uses the sandbox.
    ///
    /// # Errors
    /// When there can be none; the sandbox is then to be destroyed.
    async fn attach(&mut self, storage: StorageId) -> Result<StorageSource, StorageError>;

    /// Lets its agent have credentials of the session that has it, with drivers that have a way for them. Before that
    /// there are none in it. Once, before its agent goes on.
    fn identify(&mut self, identity: Arc<dyn Identity>) {
        drop(identity);
    }

    /// Keeps beside it what a later server has to know to go on with it. It need not survive the machine.
    fn note(&self, note: &Note) {
        let _ = note;
    }

    /// Lets it outlive this server, for a later one to [adopt](Driver::adopt). Says whether that can be.
    fn leave(&mut self) -> bool {
        false
    }

    /// Whether it can be hibernated.
    fn can_hibernate(&self) -> bool {
        false
    }

    /// Ends it, and keeps all that it is in files, to be [woken](Driver::wake) by this server or a later one. Its
    /// guest has been told of a snapshot, and nobody is on its channel any more. Returns the bytes kept.
    ///
    /// # Errors
    /// When it cannot be kept; it is then to be destroyed.
    async fn hibernate(&mut self) -> Result<u64, HibernateError> {
        Err(HibernateError(
            "sandboxes of this driver cannot be hibernated".into(),
        ))
    }

    /// Lets it stand still: it costs no processor time until it goes on, and its clocks may stand still, too.
    /// Only of drivers that [can](Driver::can_pause).
    ///
    /// # Errors
    /// When it does not obey; it is then to be destroyed.
    async fn pause(&mut self) -> Result<(), PauseError> {
        Err(PauseError::unsupported())
    }

    /// Lets a sandbox that stands still go on.
    ///
    /// # Errors
    /// When it does not obey; it is then to be destroyed.
    async fn go_on(&mut self) -> Result<(), PauseError> {
        Err(PauseError::unsupported())
    }
}

/// What a later server has to know of a session to go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When a request last began or ended, in Unix milliseconds.
    pub last_used_unix_millis: i64,
    /// Its agent was busy by its own word.
    pub is_busy: bool,
    /// How long the sandbox had run, in milliseconds.
    pub run_millis: u64,
    /// Its memory times time, in mebibyte-seconds.
    pub memory_mib_seconds: u64,
}

impl Note {
    /// How long the session has been unused by now.
    pub(crate) fn unused(&self) -> Duration {
        let millis = Timestamp::now()
            .as_millisecond()
            .saturating_sub(self.last_used_unix_millis);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Why a sandbox could not be hibernated. It is to be destroyed.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox could not be hibernated")]
pub struct HibernateError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Why a sandbox does not stand still, or does not go on.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot be paused or continued")]
pub struct PauseError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl PauseError {
    fn unsupported() -> Self {
        Self("sandboxes of this driver cannot stand still".into())
    }
}

/// Why a sandbox has no storage. It is to be destroyed.
#[derive(Debug, thiserror::Error)]
#[error("the session's storage could not be attached")]
pub struct StorageError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Knows what endpoints serve.
#[async_trait]
pub trait Serving: Send + Sync + 'static {
    /// What sessions that begin now would run, at all endpoints.
    async fn agents(&self) -> Vec<AgentSpec>;
}

/// Makes sandboxes of one kind.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// `microvm`, `process` or `simulated`.
    fn name(&self) -> &'static str;

    /// Does ahead of time what sessions of this version share, so that a version that cannot work fails when
    /// it is made. Idempotent; what it makes is a cache.
    ///
    /// # Errors
    /// When the version cannot run here.
    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError>;

    /// Tells the driver, once, whom to ask which of the things it keeps are still needed.
    fn ask(&self, serving: Arc<dyn Serving>) {
        let _ = serving;
    }

    /// Boots a sandbox for this agent. Given up only when it takes far too long; what was begun must go then
    /// too.
    ///
    /// # Errors
    /// When the host fails; everything begun has been undone by then.
    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError>;

    /// Makes a sandbox of what another was when it was hibernated. That is used up, whether this succeeds or not.
    ///
    /// # Errors
    /// When it is gone or damaged, or belongs to another agent or machine.
    async fn wake(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        hibernated: SandboxId,
    ) -> Result<Booted, BootError> {
        let _ = (sandbox, agent, hibernated);
        Err(BootError {
            phase: BootPhase::Disks,
            source: "sandboxes of this driver cannot be woken".into(),
        })
    }

    /// Removes what is kept of a hibernated sandbox. There may be nothing.
    async fn forget(&self, hibernated: SandboxId) {
        let _ = hibernated;
    }

    /// Removes what is kept of hibernated sandboxes, but for these. Called once, before the first boot. Returns how
    /// many were removed.
    ///
    /// # Errors
    /// When left-overs cannot be removed.
    async fn keep_only(&self, hibernated: &[SandboxId]) -> Result<usize, std::io::Error> {
        let _ = hibernated;
        Ok(0)
    }

    /// Every storage there is.
    ///
    /// # Errors
    /// When they cannot be listed.
    async fn storages(&self) -> Result<Vec<StorageId>, std::io::Error> {
        Ok(Vec::new())
    }

    /// Removes a storage that no session has any more. There may be none.
    async fn remove_storage(&self, storage: StorageId) {
        let _ = storage;
    }

    /// What storages take on this machine.
    ///
    /// # Errors
    /// When they cannot be looked at.
    async fn storage_use(&self) -> Result<StorageUse, std::io::Error> {
        Ok(StorageUse::default())
    }

    /// Whether its sandboxes can stand still.
    fn can_pause(&self) -> bool {
        false
    }

    /// Ends whatever an earlier server left running and removes what it left on disk, but for sandboxes among `keep`
    /// that run and can be [adopted](Driver::adopt). Called once, before the first boot.
    ///
    /// # Errors
    /// When left-overs cannot be removed.
    async fn sweep(&self, keep: &[SandboxId]) -> Result<Swept, std::io::Error>;

    /// Waits until nothing is left of what was given up half-made.
    async fn settled(&self) {}

    /// Takes over a sandbox that a sweep has kept, which runs this agent. Nothing is left of it when that fails.
    ///
    /// # Errors
    /// When it cannot be reached, or has ended since.
    async fn adopt(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        let _ = (sandbox, agent);
        Err(BootError {
            phase: BootPhase::Machine,
            source: "sandboxes of this driver end with their server".into(),
        })
    }

    /// What was last [noted](Machine::note) of a sandbox.
    async fn last_note(&self, sandbox: SandboxId) -> Option<Note> {
        let _ = sandbox;
        None
    }
}
