//! A sandbox as a QEMU microVM.
//!
//! ```text
//!  data/sandboxes/<id>/   one machine: sockets, record, private disk; gone with it
//!  data/initramfs/        guest program and modules, made once for each architecture
//!  data/scratch/          the empty private disk, made once
//!  data/templates/        what sessions are restored from, see [`template`]
//!  data/hibernated/       machines of hibernated sessions, see [`hibernation`]
//!  data/storage/          what sessions find again, see [`storage`]
//!  data/kvm.json          whether KVM works on this machine
//! ```
//!
//! A version that wants one gets a template when it is prepared: its agent is started in a machine, and once it is
//! healthy and warmed up, memory, disk and devices are kept. Each session is then restored from it. Where there is no
//! template (it was removed, or made for another QEMU, kernel or environment), or it cannot be restored, the session
//! boots, and a template is made meanwhile for those to come.
//!
//! The kernel, the initramfs and the verdict on KVM are found at the first use, so that a server starts without
//! any of them. What is missing is made where a recipe exists. Container images for another processor than this
//! machine's, where they are allowed, have a [`platform`] of their own, which is always emulated.

mod adoption;
mod checksum;
mod draft;
mod hibernation;
mod machine;
mod making;
mod platform;
mod power;
mod program;
mod readiness;
mod storage;
mod template;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use async_trait::async_trait;
use coracle_artifact::code::CodeStore;
use coracle_artifact::images::{ImageError, ImageStore};
use coracle_artifact::oci::OciStore;
use coracle_artifact::scratch::ScratchError;
use coracle_egress::{Door, NameServers};
use coracle_types::{Architecture, SandboxId, StorageId};
use coracle_vmm::{Accelerator, DiskRate, JailError, JailSettings, ProbeError};

use self::hibernation::{HibernationStore, Identity};
use self::machine::{Keepsake, Microvm};
use self::making::Making;
use self::platform::Platforms;
use self::power::{PoweredOn, Source};
use self::storage::StorageDisks;
use self::template::TemplateStore;
pub use self::template::{TemplateInfo, templates};
use super::{
    AgentSpec, BootError, BootPhase, Booted, Driver, FolderMount, Note, Origin, PrepareError, Serving, Start,
    StorageUse, Swept,
};

/// The serial of a machine's private disk.
const SCRATCH_DISK: &str = "scratch";
/// A machine's private disk in its folder.
const SCRATCH_FILE: &str = "scratch.ext4";
/// The memory a machine was restored from, in its folder: a link that stays when the template goes.
const MEMORY_FILE: &str = "memory";
/// Most bytes that hibernated machines may take on disk.
const HIBERNATED_LIMIT: u64 = 32 * 1024 * 1024 * 1024;
/// Most bytes that templates may take on disk.
const TEMPLATES_LIMIT: u64 = 32 * 1024 * 1024 * 1024;

/// What executes guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceleratorChoice {
    /// KVM when a probe proves that it works, emulation otherwise.
    #[default]
    Auto,
    /// KVM, without asking.
    Kvm,
    /// Emulation.
    Tcg,
}

/// The programs for guests of one architecture.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The architecture.
    pub architecture: Architecture,
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The guest program.
    pub guest: PathBuf,
}

/// Settings of the driver.
#[derive(Debug, Clone)]
pub struct MicrovmConfig {
    /// The folder of the driver's files; its path is used as it is, so make it absolute.
    pub data_dir: PathBuf,
    /// Kernel and base images.
    pub images: ImageStore,
    /// Code zips.
    pub code: CodeStore,
    /// Container images.
    pub containers: OciStore,
    /// For guests of this machine's own architecture.
    pub own: Programs,
    /// For those of another, which are emulated; without, there are none.
    pub other: Option<Programs>,
    /// Memory of a machine in MiB.
    pub memory_mib: u32,
    /// Processors of a machine.
    pub vcpus: u8,
    /// Size of a machine's private disk in MiB.
    pub scratch_mib: u32,
    /// How fast the disks of a machine may be.
    pub disk_rate: DiskRate,
    /// What executes guests of this machine's own architecture.
    pub accelerator: AcceleratorChoice,
    /// How machines' processes are jailed.
    pub jail: JailSettings,
    /// Who is asked for names by sandboxes.
    pub name_servers: NameServers,
    /// Where sandboxes reach this server, if they do.
    pub door: Option<Door>,
    /// How long a guest may take until its program answers.
    pub boot_timeout: Duration,
}

/// Why the driver cannot work on this machine.
#[derive(Debug, thiserror::Error)]
pub enum MicrovmError {
    /// Kernel or base image.
    #[error("an image is missing")]
    Image(#[from] ImageError),
    /// The private disk.
    #[error("the private disk could not be prepared")]
    Scratch(#[from] ScratchError),
    /// The driver's own files.
    #[error("the driver's files could not be used")]
    Files(#[from] io::Error),
    /// The jail.
    #[error("microVMs would not be contained as they are to be")]
    Jail(#[from] JailError),
    /// The probe.
    #[error("the machine could not be probed for KVM")]
    Probe(#[from] ProbeError),
    /// The agent is for another processor.
    #[error("images for linux/{0} do not run here unless other_architectures = true in [containers]")]
    Architecture(Architecture),
}

/// Makes microVMs.
#[derive(Debug)]
pub struct MicrovmDriver(Arc<Microvms>);

struct Microvms {
    config: MicrovmConfig,
    platforms: Platforms,
    templates: Arc<TemplateStore>,
    hibernated: Arc<HibernationStore>,
    storages: Arc<StorageDisks>,
    making: Making,
    serving: OnceLock<Arc<dyn Serving>>,
}

impl fmt::Debug for Microvms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Microvms")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl MicrovmDriver {
    /// A driver with these settings. Looks at nothing yet.
    pub fn new(config: MicrovmConfig) -> Self {
        let templates = TemplateStore::new(config.data_dir.join(template::TEMPLATES), TEMPLATES_LIMIT);
        let hibernated = HibernationStore::new(config.data_dir.join("hibernated"), HIBERNATED_LIMIT);
        let storages = StorageDisks::new(&config.data_dir);
        Self(Arc::new(Microvms {
            config,
            platforms: Platforms::default(),
            templates: Arc::new(templates),
            hibernated: Arc::new(hibernated),
            storages: Arc::new(storages),
            making: Making::default(),
            serving: OnceLock::new(),
        }))
    }

    /// What executes guests of this machine's own architecture. Finds it out at the first call, which can take 10
    /// seconds.
    ///
    /// # Errors
    /// When the guest kernel or the means to use it are missing.
    pub async fn accelerator(&self) -> Result<Accelerator, MicrovmError> {
        Ok(self.0.platform(self.0.config.own.architecture).await?.accelerator)
    }
}

impl Microvms {
    /// A machine restored from the agent's template, if there is one that can be.
    async fn restore(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        key: &str,
    ) -> Option<(PoweredOn, Vec<String>)> {
        let restored = async {
            let Some(template) = self.find_template(key).await? else {
                return Ok(None);
            };
            let powered_on = self.power_on(sandbox, agent, Source::Template(&template)).await?;
            Ok::<_, Cause>(Some((powered_on, template.kernel_arguments)))
        };
        match restored.await {
            Ok(restored) => restored,
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::warn!(
                    template = key,
                    error,
                    "a restore failed; the session boots instead"
                );
                None
            }
        }
    }

    /// A machine that goes on from where a hibernated one was.
    async fn wake(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        hibernated: SandboxId,
    ) -> Result<(PoweredOn, Identity), Cause> {
        let store = Arc::clone(&self.hibernated);
        let machine = blocking(move || store.find(hibernated)).await?;
        let key = match &agent.template {
            Some(template) => self.template_key(agent, template).await?,
            None => return Err("the agent is not one that is restored".into()),
        };
        if key != machine.identity.template {
            return Err(
                "the agent, or what runs it here, is not what it was when the sandbox was hibernated".into(),
            );
        }
        let powered_on = self
            .power_on(sandbox, agent, Source::Hibernated(&machine))
            .await?;
        Ok((powered_on, machine.identity))
    }

    fn booted(
        &self,
        sandbox: SandboxId,
        powered_on: PoweredOn,
        start: Start,
        origin: Origin,
        keepsake: Option<Keepsake>,
    ) -> Booted {
        Booted {
            channel: Box::new(powered_on.channel),
            start,
            origin,
            machine: Box::new(Microvm {
                vm: powered_on.vm,
                storages: Arc::clone(&self.storages),
                egress: powered_on.egress,
                folder: self.sandboxes().join(sandbox.to_string()),
                keepsake,
            }),
            notices: Some(powered_on.notices),
            timing: powered_on.timing,
        }
    }

    fn keepsake(&self, sandbox: SandboxId, identity: Identity) -> Keepsake {
        let folder = self.sandboxes().join(sandbox.to_string());
        if let Err(error) = adoption::keep_identity(&folder, &identity) {
            tracing::warn!(%sandbox, %error, "a sandbox could not be described for later servers");
        }
        Keepsake {
            store: Arc::clone(&self.hibernated),
            sandbox,
            folder,
            identity,
        }
    }

    fn sandboxes(&self) -> PathBuf {
        self.config.data_dir.join("sandboxes")
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

#[async_trait]
impl Driver for MicrovmDriver {
    fn name(&self) -> &'static str {
        "microvm"
    }

    fn ask(&self, serving: Arc<dyn Serving>) {
        // Whoever was first stays.
        self.0.serving.set(serving).ok();
    }

    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError> {
        offered(agent).map_err(PrepareError::Refused)?;
        let this = &self.0;
        let (config, program) = (this.config.clone(), agent.program.clone());
        let made = blocking(move || Ok::<_, io::Error>(program::prepare(&config, &program)));
        made.await
            .unwrap_or_else(|error| Err(PrepareError::Failed(error.into())))?;
        let platform = this.platform_of(agent).await.map_err(PrepareError::Failed)?;
        if let Some(remark) = this.remark(platform) {
            tracing::warn!(program = ?agent.program, "{remark}");
        }
        match &agent.template {
            Some(template) => this.ensure_template(agent, template).await,
            None => Ok(()),
        }
    }

    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        offered(agent).map_err(|missing| BootError {
            phase: BootPhase::Disks,
            source: missing.into(),
        })?;
        let this = &self.0;
        let mut origin = Origin::Booted;
        if let Some(template) = &agent.template {
            let key = this.template_key(agent, template).await;
            let key = key.map_err(|source| BootError {
                phase: BootPhase::Disks,
                source,
            })?;
            if let Some((restored, kernel_arguments)) = this.restore(sandbox, agent, &key).await {
                let hostname = sandbox.to_string();
                let identity = Identity {
                    template: key,
                    kernel_arguments,
                    storage: None,
                };
                let keepsake = Some(this.keepsake(sandbox, identity));
                return Ok(this.booted(
                    sandbox,
                    restored,
                    Start::Resume { hostname },
                    Origin::Restored,
                    keepsake,
                ));
            }
            this.make_in_background(key, agent, template);
            origin = Origin::BootedInstead;
        }
        let powered_on = this.power_on(sandbox, agent, Source::Boot).await?;
        let loaded = this.load(agent).await.map_err(|source| BootError {
            phase: BootPhase::Disks,
            source,
        })?;
        Ok(this.booted(
            sandbox,
            powered_on,
            Start::Agent(Box::new(loaded.start(sandbox))),
            origin,
            None,
        ))
    }

    async fn wake(
        &self,
        sandbox: SandboxId,
        agent: &AgentSpec,
        hibernated: SandboxId,
    ) -> Result<Booted, BootError> {
        let this = &self.0;
        let woken = this.wake(sandbox, agent, hibernated).await;
        self.forget(hibernated).await;
        let (powered_on, identity) = woken.map_err(|source| BootError {
            phase: BootPhase::Kernel,
            source,
        })?;
        let keepsake = Some(this.keepsake(sandbox, identity));
        Ok(this.booted(sandbox, powered_on, Start::GoOn, Origin::Woken, keepsake))
    }

    async fn forget(&self, hibernated: SandboxId) {
        let store = Arc::clone(&self.0.hibernated);
        if let Err(error) = blocking(move || store.remove(hibernated)).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%hibernated, error, "a hibernated sandbox could not be removed; the next start does it");
        }
    }

    async fn keep_only(&self, hibernated: &[SandboxId]) -> Result<usize, io::Error> {
        let (store, kept) = (Arc::clone(&self.0.hibernated), hibernated.to_vec());
        blocking(move || store.keep_only(&kept)).await
    }

    fn can_pause(&self) -> bool {
        true
    }

    async fn adopt(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        let this = &self.0;
        let adopted = this.adopt(sandbox, agent).await;
        let (powered_on, identity) = adopted.map_err(|source| BootError {
            phase: BootPhase::Machine,
            source,
        })?;
        let keepsake = identity.map(|identity| this.keepsake(sandbox, identity));
        Ok(this.booted(sandbox, powered_on, Start::Adopted, Origin::Adopted, keepsake))
    }

    async fn last_note(&self, sandbox: SandboxId) -> Option<Note> {
        self.0.last_note(sandbox).await
    }

    async fn sweep(&self, keep: &[SandboxId]) -> Result<Swept, io::Error> {
        let (sandboxes, templates) = (self.0.sandboxes(), Arc::clone(&self.0.templates));
        let storages = Arc::clone(&self.0.storages);
        // Machines first: one of them may be writing a template.
        let keep = keep.to_vec();
        blocking(move || {
            let mut swept = coracle_vmm::sweep(&sandboxes, &keep)?;
            swept.removed += templates.sweep()?;
            swept.removed += storages.folders.sweep()?;
            Ok(swept)
        })
        .await
    }

    async fn settled(&self) {
        coracle_vmm::settled().await;
    }

    async fn storages(&self) -> Result<Vec<StorageId>, io::Error> {
        self.0.storages.folders.all_async().await
    }

    async fn remove_storage(&self, storage: StorageId) {
        self.0.storages.folders.remove_async(storage).await;
    }

    async fn storage_use(&self) -> Result<StorageUse, io::Error> {
        self.0.storages.folders.used_async().await
    }
}

/// Whether all is there that new machines of the agent mount.
fn offered(agent: &AgentSpec) -> Result<(), String> {
    match agent.folders.iter().find(|mount| mount.folder.is_none()) {
        None => Ok(()),
        Some(FolderMount { name, .. }) => Err(format!(
            "this server no longer has a folder for the access point {name}; its operator can name one in [mounts]"
        )),
    }
}

/// Runs what blocks on a thread for it.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| E::from(error.into()))
        .flatten()
}
