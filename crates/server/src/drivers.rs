//! Opens the driver that the configuration names.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_artifact::code::CodeStore;
use coracle_artifact::images::{ImageError, ImageStore};
use coracle_artifact::oci::OciStore;
use coracle_egress::{Door, NameServersError};
use coracle_supervisor::driver::Driver;
use coracle_supervisor::driver::microvm::{self, MicrovmConfig, MicrovmDriver, MicrovmError, Programs};
use coracle_supervisor::driver::process::{ProcessConfig, ProcessDriver};
use coracle_supervisor::driver::simulated::SimulatedDriver;
use coracle_types::Architecture;
use coracle_vmm::{Accelerator, DiskRate};

use crate::config::{AcceleratorChoice, Config, DriverKind};

/// How long a guest may take from power-on until its program answers. Emulation on a busy machine is slow.
const BOOT_TIMEOUT: Duration = Duration::from_secs(90);

/// Why a driver could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The guest program is not where it should be.
    #[error("the guest program {} is missing; build it with: {build}", path.display())]
    NoGuest {
        /// Where it should be.
        path: PathBuf,
        /// The command that builds it.
        build: String,
    },
    /// Where this program is could not be found out, and with it where the guest program is.
    #[error("the program's own location is unknown")]
    Location(#[source] std::io::Error),
    /// QEMU is not installed.
    #[error(
        "{program} is not installed; microVMs need it. Install it with: apt-get install {package}, or start with \
         --driver process, which isolates nothing"
    )]
    NoQemu {
        /// The program.
        program: String,
        /// The package of Debian and Ubuntu that has it.
        package: &'static str,
    },
    /// There are no microVMs on this processor.
    #[error("microVMs are not supported on {0} processors")]
    Architecture(&'static str),
    /// The folder of images, or the guest kernel in it.
    #[error("the guest kernel and base images cannot be used")]
    Images(#[source] ImageError),
    /// The work was torn down under way.
    #[error("the preparation was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    /// Nobody to ask for names.
    #[error("sandboxes would find no names")]
    NameServers(#[source] NameServersError),
    /// The microVM driver.
    #[error("microVMs cannot be run on this machine")]
    Microvm(#[source] MicrovmError),
}

/// Opens the driver, finding out what it needs to know of this machine. Its sandboxes reach this server by the door, if
/// they have a network of their own.
///
/// # Errors
/// When this machine cannot run it.
pub async fn open(
    config: &Config,
    data_dir: &Path,
    code: CodeStore,
    containers: OciStore,
    door: Door,
) -> Result<Arc<dyn Driver>, DriverError> {
    match config.sandbox.driver {
        DriverKind::Simulated => {
            tracing::warn!("the simulated driver runs no agent code: it is for testing clients only");
            Ok(Arc::new(SimulatedDriver::default()))
        }
        DriverKind::Process => {
            tracing::warn!("the process driver isolates nothing: use it for development only");
            Ok(Arc::new(ProcessDriver::new(ProcessConfig {
                data_dir: data_dir.to_owned(),
                code,
                guest: own_guest_program()?,
                host_network: false,
                path: std::env::var("PATH").unwrap_or_default(),
            })))
        }
        DriverKind::Microvm => {
            let config = MicrovmConfig {
                door: Some(door),
                ..microvm_config(config, data_dir, code, containers)?
            };
            ensure_kernel(&config.images, config.own.architecture).await?;
            if let Some(other) = &config.other {
                tracing::warn!(
                    architecture = %other.architecture,
                    "images for another processor are allowed: they are emulated, which is slow and no security boundary"
                );
                ensure_kernel(&config.images, other.architecture).await?;
            }
            let driver = MicrovmDriver::new(config);
            if driver.accelerator().await.map_err(DriverError::Microvm)? == Accelerator::Tcg {
                tracing::warn!(
                    "microVMs run in emulation, which is for development: slow, and no security boundary. \
                     `coracle doctor` says why KVM is not used"
                );
            }
            Ok(Arc::new(driver))
        }
    }
}

async fn ensure_kernel(images: &ImageStore, architecture: Architecture) -> Result<(), DriverError> {
    let images = images.clone();
    let kernel = tokio::task::spawn_blocking(move || {
        images.ensure_kernel(architecture, &|doing: &str, _: Option<f32>| {
            tracing::info!("guest kernel for {architecture}, once: {doing}");
        })
    });
    let kernel = kernel.await.map_err(DriverError::Interrupted)?;
    kernel.map(drop).map_err(DriverError::Images)
}

/// The settings of the `microvm` driver, without a door to this server.
///
/// # Errors
/// When a program is missing.
pub fn microvm_config(
    config: &Config,
    data_dir: &Path,
    code: CodeStore,
    containers: OciStore,
) -> Result<MicrovmConfig, DriverError> {
    let images = config
        .images_dir
        .clone()
        .unwrap_or_else(|| data_dir.join("images"));
    let own = own_architecture()?;
    let other = config.containers.other_architectures.then(|| own.other());
    Ok(MicrovmConfig {
        data_dir: data_dir.to_owned(),
        images: ImageStore::open(images, None).map_err(DriverError::Images)?,
        code,
        containers,
        own: programs(own)?,
        other: other.map(programs).transpose()?,
        memory_mib: config.sandbox.memory_mib,
        vcpus: config.sandbox.vcpus,
        scratch_mib: config.sandbox.disk_mib,
        disk_rate: DiskRate {
            bytes: NonZeroU64::new(u64::from(config.sandbox.disk_mib_per_second) * 1024 * 1024),
            operations: NonZeroU64::new(config.sandbox.disk_operations_per_second.into()),
        },
        accelerator: match config.sandbox.accelerator {
            AcceleratorChoice::Auto => microvm::AcceleratorChoice::Auto,
            AcceleratorChoice::Kvm => microvm::AcceleratorChoice::Kvm,
            AcceleratorChoice::Tcg => microvm::AcceleratorChoice::Tcg,
        },
        jail: config.jail.settings(),
        door: None,
        name_servers: config.egress.name_servers().map_err(DriverError::NameServers)?,
        boot_timeout: BOOT_TIMEOUT,
    })
}

fn programs(architecture: Architecture) -> Result<Programs, DriverError> {
    Ok(Programs {
        architecture,
        qemu: qemu_program(architecture)?,
        guest: guest_program(architecture)?,
    })
}

/// The architecture of this machine's processor.
///
/// # Errors
/// When there are no microVMs for it.
pub fn own_architecture() -> Result<Architecture, DriverError> {
    Architecture::host().ok_or(DriverError::Architecture(std::env::consts::ARCH))
}

/// The guest program for this machine's own processor, which is beside this program.
///
/// # Errors
/// When it is not there.
pub fn own_guest_program() -> Result<PathBuf, DriverError> {
    beside_this_program("coracle-guest", "cargo xtask build")
}

/// The guest program for processors of this architecture, which is beside this program.
///
/// # Errors
/// When it is not there.
pub fn guest_program(architecture: Architecture) -> Result<PathBuf, DriverError> {
    if Architecture::host() == Some(architecture) {
        return own_guest_program();
    }
    let build = format!("cargo xtask build --guest {architecture}");
    beside_this_program(&format!("coracle-guest-{architecture}"), &build)
}

fn beside_this_program(name: &str, build: &str) -> Result<PathBuf, DriverError> {
    let own = std::env::current_exe().map_err(DriverError::Location)?;
    let path = own.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        let build = build.to_owned();
        Err(DriverError::NoGuest { path, build })
    }
}

/// QEMU for processors of this architecture.
///
/// # Errors
/// When it is not installed.
pub fn qemu_program(architecture: Architecture) -> Result<PathBuf, DriverError> {
    let program = format!("qemu-system-{}", architecture.machine());
    let package = match architecture {
        Architecture::Amd64 => "qemu-system-x86",
        Architecture::Arm64 => "qemu-system-arm",
    };
    program_on_path(&program)
        // A jail shows what it is loaded from, which may be elsewhere.
        .map(|found| found.canonicalize().unwrap_or(found))
        .ok_or(DriverError::NoQemu { program, package })
}

/// Where a program is on the PATH.
pub fn program_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
