//! What all machines of one architecture share: QEMU, kernel, initramfs, the empty private disk, and what executes them.
//!
//! Found at the first use. That of this machine's own architecture runs under KVM where a probe proves that it works; that
//! of another is always emulated, and is there only if the configuration allows it.

use std::path::{Path, PathBuf};

use coracle_artifact::images::{FOLDER_MODULES, MICROVM_MODULES};
use coracle_artifact::scratch::{Lasting, ScratchTemplate};
use coracle_types::Architecture;
use coracle_vmm::{Accelerator, Jail, KvmProbe, KvmVerdict};
use tokio::sync::OnceCell;

use super::{AcceleratorChoice, Cause, MicrovmError, Microvms, Programs, blocking};
use crate::driver::AgentSpec;

/// The platforms that were needed so far.
#[derive(Debug, Default)]
pub(super) struct Platforms {
    own: OnceCell<Platform>,
    other: OnceCell<Platform>,
}

/// What all machines of an architecture share.
#[derive(Debug, Clone)]
pub(super) struct Platform {
    pub(super) architecture: Architecture,
    pub(super) qemu: PathBuf,
    guest: PathBuf,
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
    /// For machines that mount folders of the host's, once there is one.
    initramfs_for_folders: OnceCell<PathBuf>,
    pub(super) scratch: ScratchTemplate,
    pub(super) accelerator: Accelerator,
    pub(super) jail: Jail,
    pub(super) kernel_arguments: Vec<String>,
    pub(super) qemu_version: String,
    /// What processor this is: a snapshot goes on only where it was taken.
    pub(super) processor: String,
}

impl Microvms {
    /// The platform that the agent needs.
    pub(super) async fn platform_of(&self, agent: &AgentSpec) -> Result<&Platform, Cause> {
        let architecture = self.load(agent).await?.architecture;
        Ok(self.platform(architecture).await?)
    }

    /// What whoever reads logs should know of machines on this platform, if it is out of the ordinary.
    pub(super) fn remark(&self, platform: &Platform) -> Option<String> {
        let own = self.config.own.architecture;
        (platform.architecture != own).then(|| {
            format!(
                "the image is for linux/{}, and emulated because this machine is {own}: slow, for development only, and no \
                 security boundary",
                platform.architecture
            )
        })
    }

    pub(super) async fn platform(&self, architecture: Architecture) -> Result<&Platform, MicrovmError> {
        let (config, platforms) = (&self.config, &self.platforms);
        let (found, programs) = if architecture == config.own.architecture {
            (&platforms.own, Some(&config.own))
        } else {
            (&platforms.other, config.other.as_ref())
        };
        let programs = programs.ok_or(MicrovmError::Architecture(architecture))?;
        found.get_or_try_init(|| self.find_platform(programs)).await
    }

    async fn find_platform(&self, programs: &Programs) -> Result<Platform, MicrovmError> {
        let (config, guest, architecture) =
            (self.config.clone(), programs.guest.clone(), programs.architecture);
        let (kernel, initramfs, scratch) = blocking(move || {
            for folder in ["sandboxes", "initramfs", "scratch"] {
                std::fs::create_dir_all(config.data_dir.join(folder))?;
            }
            let kernel = config.images.ensure_kernel(architecture, &())?;
            let modules = kernel.modules(&MICROVM_MODULES)?;
            let initramfs_folder = config.data_dir.join("initramfs");
            let initramfs = coracle_artifact::initramfs(&initramfs_folder, &guest, &modules)?;
            let scratch = {
                let folder = config.data_dir.join("scratch");
                ScratchTemplate::open(&folder, config.scratch_mib, Lasting::WithMachine)?
            };
            let kernel = kernel.vmlinux().unwrap_or_else(|| kernel.vmlinuz());
            Ok::<_, MicrovmError>((kernel, initramfs, scratch))
        })
        .await?;
        let jail = self.find_jail(&programs.qemu).await?;
        let accelerator = self
            .choose_accelerator(programs, &kernel, &initramfs, &jail)
            .await?;
        let kernel_arguments = match accelerator {
            Accelerator::Kvm => Vec::new(),
            Accelerator::Tcg => coracle_vmm::emulation_arguments(architecture).await,
        };
        let version = tokio::process::Command::new(&programs.qemu)
            .arg("--version")
            .output()
            .await?;
        Ok(Platform {
            architecture,
            qemu: programs.qemu.clone(),
            guest: programs.guest.clone(),
            kernel,
            initramfs,
            initramfs_for_folders: OnceCell::new(),
            scratch,
            accelerator,
            jail,
            kernel_arguments,
            qemu_version: String::from_utf8_lossy(&version.stdout).into_owned(),
            processor: processor(&tokio::fs::read_to_string("/proc/cpuinfo").await?),
        })
    }

    /// The initramfs of the agent's machines: modules cost time and memory, so only those that are needed are in it.
    pub(super) async fn initramfs<'a>(
        &self,
        platform: &'a Platform,
        agent: &AgentSpec,
    ) -> Result<&'a Path, MicrovmError> {
        if agent.folders.is_empty() {
            return Ok(&platform.initramfs);
        }
        let (config, architecture) = (self.config.clone(), platform.architecture);
        let guest = platform.guest.clone();
        let made = platform.initramfs_for_folders.get_or_try_init(|| {
            blocking(move || {
                let kernel = config.images.kernel(architecture)?;
                let wanted: Vec<&str> = MICROVM_MODULES.iter().chain(&FOLDER_MODULES).copied().collect();
                let modules = kernel.modules(&wanted)?;
                let folder = config.data_dir.join("initramfs");
                Ok::<_, MicrovmError>(coracle_artifact::initramfs(&folder, &guest, &modules)?)
            })
        });
        Ok(made.await?)
    }

    async fn find_jail(&self, qemu: &Path) -> Result<Jail, MicrovmError> {
        let jail = Jail::find(self.config.jail.clone(), qemu, &self.sandboxes()).await?;
        match jail.remedy() {
            None => tracing::info!("{}", jail.describe()),
            Some(remedy) => tracing::warn!(remedy, "{}", jail.describe()),
        }
        Ok(jail)
    }

    async fn choose_accelerator(
        &self,
        programs: &Programs,
        kernel: &Path,
        initramfs: &Path,
        jail: &Jail,
    ) -> Result<Accelerator, MicrovmError> {
        if programs.architecture != self.config.own.architecture {
            return Ok(Accelerator::Tcg);
        }
        let reason = match self.config.accelerator {
            AcceleratorChoice::Kvm => return Ok(Accelerator::Kvm),
            AcceleratorChoice::Tcg => "the configuration says so".to_owned(),
            AcceleratorChoice::Auto => {
                let probe = KvmProbe {
                    architecture: programs.architecture,
                    qemu: programs.qemu.clone(),
                    kernel: kernel.to_owned(),
                    initramfs: initramfs.to_owned(),
                    sandboxes: self.sandboxes(),
                    jail: jail.clone(),
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
}

/// What tells one kind of processor from another in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> String {
    const TELLING: [&str; 9] = [
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "flags",
        "CPU implementer",
        "CPU part",
        "Features",
    ];
    let first = cpuinfo.split("\n\n").next().unwrap_or_default();
    let telling = first.lines().filter(|line| {
        line.split_once(':')
            .is_some_and(|(name, _)| TELLING.contains(&name.trim()))
    });
    telling.collect::<Vec<_>>().join("\n")
}
