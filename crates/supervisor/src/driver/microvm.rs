//! A sandbox as a QEMU microVM.
//!
//! ```text
//!  data/sandboxes/<id>/   one machine: sockets, record, private disk; gone with it
//!  data/initramfs/        guest program and modules, made once
//!  data/scratch/          the empty private disk, made once
//!  data/kvm.json          whether KVM works on this machine
//! ```
//!
//! The kernel, the initramfs and the verdict on KVM are found at the first use, so that a server starts without
//! any of them. What is missing is made where a recipe exists.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use coracle_artifact::code::CodeStore;
use coracle_artifact::images::{ImageError, ImageStore, MICROVM_MODULES};
use coracle_artifact::sandbox::{AGENT_ID, AGENT_USER, CODE_FOLDER};
use coracle_artifact::scratch::{ScratchError, ScratchTemplate};
use coracle_guest_proto::message::{RootFilesystem, StartAgent, User};
use coracle_types::{RuntimeKind, SandboxId};
use coracle_vmm::{Accelerator, Access, Disk, KvmProbe, KvmVerdict, MachineConfig, ProbeError, Vm, VmError};
use tokio::sync::OnceCell;

use super::{AgentSpec, BootError, BootPhase, Booted, Driver, Machine, MemoryUse, PrepareError, launch};

const CODE_DISK: &str = "code";
const BASE_DISK: &str = "base";
const SCRATCH_DISK: &str = "scratch";

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

/// Settings of the driver.
#[derive(Debug, Clone)]
pub struct MicrovmConfig {
    /// The folder of the driver's files; its path is used as it is, so make it absolute.
    pub data_dir: PathBuf,
    /// Kernel and base images.
    pub images: ImageStore,
    /// Code zips.
    pub code: CodeStore,
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The guest program.
    pub guest: PathBuf,
    /// Memory of a machine in MiB.
    pub memory_mib: u32,
    /// Processors of a machine.
    pub vcpus: u8,
    /// Size of a machine's private disk in MiB.
    pub scratch_mib: u32,
    /// What executes guests.
    pub accelerator: AcceleratorChoice,
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
    /// The probe.
    #[error("the machine could not be probed for KVM")]
    Probe(#[from] ProbeError),
}

/// Makes microVMs.
#[derive(Debug)]
pub struct MicrovmDriver {
    config: MicrovmConfig,
    platform: OnceCell<Platform>,
}

/// What all machines share.
#[derive(Debug, Clone)]
struct Platform {
    kernel: PathBuf,
    initramfs: PathBuf,
    scratch: ScratchTemplate,
    accelerator: Accelerator,
    kernel_arguments: Vec<String>,
}

/// The files of one machine's disks.
struct Disks {
    code: PathBuf,
    base: PathBuf,
    scratch: PathBuf,
}

impl MicrovmDriver {
    /// A driver with these settings. Looks at nothing yet.
    pub fn new(config: MicrovmConfig) -> Self {
        Self {
            config,
            platform: OnceCell::new(),
        }
    }

    /// What executes guests here. Finds it out at the first call, which can take 10 seconds.
    ///
    /// # Errors
    /// When the guest kernel or the means to use it are missing.
    pub async fn accelerator(&self) -> Result<Accelerator, MicrovmError> {
        Ok(self.platform().await?.accelerator)
    }

    async fn platform(&self) -> Result<&Platform, MicrovmError> {
        self.platform.get_or_try_init(|| self.find_platform()).await
    }

    async fn find_platform(&self) -> Result<Platform, MicrovmError> {
        let config = self.config.clone();
        let (kernel, initramfs, scratch) = blocking(move || {
            for folder in ["sandboxes", "initramfs", "scratch"] {
                std::fs::create_dir_all(config.data_dir.join(folder))?;
            }
            let kernel = config.images.ensure_kernel(&())?;
            let modules = kernel.modules(&MICROVM_MODULES)?;
            let initramfs_folder = config.data_dir.join("initramfs");
            let initramfs = coracle_artifact::initramfs(&initramfs_folder, &config.guest, &modules)?;
            let scratch = ScratchTemplate::open(&config.data_dir.join("scratch"), config.scratch_mib)?;
            let kernel = kernel.vmlinux().unwrap_or_else(|| kernel.vmlinuz());
            Ok::<_, MicrovmError>((kernel, initramfs, scratch))
        })
        .await?;
        let accelerator = self.choose_accelerator(&kernel, &initramfs).await?;
        let kernel_arguments = match accelerator {
            Accelerator::Kvm => Vec::new(),
            Accelerator::Tcg => coracle_vmm::emulation_arguments().await,
        };
        Ok(Platform {
            kernel,
            initramfs,
            scratch,
            accelerator,
            kernel_arguments,
        })
    }

    async fn choose_accelerator(&self, kernel: &Path, initramfs: &Path) -> Result<Accelerator, MicrovmError> {
        let reason = match self.config.accelerator {
            AcceleratorChoice::Kvm => return Ok(Accelerator::Kvm),
            AcceleratorChoice::Tcg => "the configuration says so".to_owned(),
            AcceleratorChoice::Auto => {
                let probe = KvmProbe {
                    qemu: self.config.qemu.clone(),
                    kernel: kernel.to_owned(),
                    initramfs: initramfs.to_owned(),
                    sandboxes: self.sandboxes(),
                    memory: self.config.data_dir.join("kvm.json"),
                };
                match probe.verdict().await? {
                    KvmVerdict::Works => return Ok(Accelerator::Kvm),
                    KvmVerdict::Unusable { reason } => reason,
                }
            }
        };
        tracing::warn!(
            reason,
            "microVMs are emulated: slow, for development only, and no security boundary"
        );
        Ok(Accelerator::Tcg)
    }

    async fn disks(
        &self,
        agent: &AgentSpec,
        folder: &Path,
        scratch: ScratchTemplate,
    ) -> Result<Disks, Cause> {
        let (config, digest, runtime) = (self.config.clone(), agent.code.digest.clone(), agent.runtime);
        let folder = folder.to_owned();
        blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let disks = Disks {
                code: config.code.image(&digest)?,
                base: config.images.base(runtime)?.path,
                scratch: folder.join("scratch.ext4"),
            };
            scratch.copy_to(&disks.scratch)?;
            Ok(disks)
        })
        .await
    }

    fn machine(&self, sandbox: SandboxId, platform: &Platform, disks: Disks) -> MachineConfig {
        let disk = |serial: &str, path, access| Disk {
            serial: serial.to_owned(),
            path,
            access,
        };
        MachineConfig {
            sandbox,
            qemu: self.config.qemu.clone(),
            accelerator: platform.accelerator,
            vcpus: self.config.vcpus,
            memory_mib: self.config.memory_mib,
            kernel: platform.kernel.clone(),
            initramfs: platform.initramfs.clone(),
            kernel_arguments: platform.kernel_arguments.clone(),
            disks: vec![
                disk(CODE_DISK, disks.code, Access::Shared),
                disk(BASE_DISK, disks.base, Access::Shared),
                disk(SCRATCH_DISK, disks.scratch, Access::Private),
            ],
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

    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError> {
        self.platform()
            .await
            .map_err(|error| PrepareError::Failed(error.into()))?;
        let (config, digest, runtime) = (self.config.clone(), agent.code.digest.clone(), agent.runtime);
        let made = blocking(move || {
            Ok::<_, io::Error>(ensure_base(&config.images, runtime).and_then(|()| {
                let made = config.code.image(&digest).map(drop);
                made.map_err(|error| PrepareError::Failed(error.into()))
            }))
        });
        made.await
            .unwrap_or_else(|error| Err(PrepareError::Failed(error.into())))
    }

    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        let mut timing = Vec::new();
        let mut begun = Instant::now();
        let mut passed = |phase| {
            timing.push((phase, begun.elapsed()));
            begun = Instant::now();
        };
        let failed = |phase| move |source: Cause| BootError { phase, source };
        let folder = self.sandboxes().join(sandbox.to_string());
        let platform = self
            .platform()
            .await
            .map_err(|error| failed(BootPhase::Disks)(error.into()))?;
        let booting = async {
            let disks = self.disks(agent, &folder, platform.scratch.clone()).await;
            let disks = disks.map_err(failed(BootPhase::Disks))?;
            passed(BootPhase::Disks);
            let spawned = Vm::spawn(&self.machine(sandbox, platform, disks), &folder).await;
            let mut vm = spawned.map_err(|error: VmError| failed(BootPhase::Machine)(error.into()))?;
            passed(BootPhase::Machine);
            let channel = vm.channel(self.config.boot_timeout).await;
            let channel = channel.map_err(|error| failed(BootPhase::Kernel)(error.into()))?;
            passed(BootPhase::Kernel);
            Ok((vm, channel))
        };
        let booted = booting.await;
        if booted.is_err() {
            // What cannot be removed now is removed by the next sweep.
            tokio::fs::remove_dir_all(&folder).await.ok();
        }
        let (vm, channel) = booted?;
        let (channel, machine) = (Box::new(channel), Box::new(Microvm(vm)));
        Ok(Booted {
            channel,
            start: start(sandbox, agent),
            machine,
            timing,
        })
    }

    async fn sweep(&self) -> Result<usize, io::Error> {
        let sandboxes = self.sandboxes();
        blocking(move || coracle_vmm::sweep(&sandboxes)).await
    }
}

fn ensure_base(images: &ImageStore, runtime: RuntimeKind) -> Result<(), PrepareError> {
    match images.ensure_base(runtime, &()) {
        Ok(_) => Ok(()),
        Err(error @ (ImageError::NoBase { .. } | ImageError::NoRecipe(_))) => {
            Err(PrepareError::Refused(error.to_string()))
        }
        Err(error) => Err(PrepareError::Failed(error.into())),
    }
}

fn start(sandbox: SandboxId, agent: &AgentSpec) -> StartAgent {
    let code = format!("/{CODE_FOLDER}");
    StartAgent {
        root: Some(RootFilesystem {
            images: vec![CODE_DISK.to_owned(), BASE_DISK.to_owned()],
            scratch: SCRATCH_DISK.to_owned(),
        }),
        hostname: sandbox.to_string(),
        // Asks for both; whoever sends this fills them in.
        clock_unix_nanos: Some(0),
        entropy_hex: Some(String::new()),
        command: launch::command(agent, agent.runtime.interpreter()),
        environment: launch::environment(agent, &code, &format!("/home/{AGENT_USER}")),
        working_directory: code,
        user: Some(User {
            uid: AGENT_ID,
            gid: AGENT_ID,
        }),
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

struct Microvm(Vm);

#[async_trait]
impl Machine for Microvm {
    async fn ended(&mut self) -> String {
        self.0.ended().await
    }

    async fn destroy(&mut self) {
        self.0.destroy().await;
    }

    fn memory(&self) -> MemoryUse {
        let memory = self.0.memory();
        MemoryUse {
            private: memory.private,
            shared: memory.shared,
        }
    }
}
