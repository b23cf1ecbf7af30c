//! What microVMs need: QEMU, KVM, guest kernel, base images and the tools that make them.

use std::path::Path;

use coracle_artifact::images::{ImageError, ImageStore, MICROVM_MODULES};
use coracle_server::config::{AcceleratorChoice, DriverKind};
use coracle_server::drivers::program_on_path;
use coracle_server::{drivers, error_chain};
use coracle_types::Architecture;
use coracle_vmm::{Jail, JailError, KvmProbe, KvmVerdict};

use super::Question;
use super::finding::{Finding, Level};
use crate::commands::interpreter::version;
use crate::commands::output;

const KVM_DEVICE: &str = "/dev/kvm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn qemu(question: &Question) -> Finding {
    const NAME: &str = "QEMU";
    const WHY: &str = "Every session of the microvm driver is a QEMU machine.";
    let level = Level::broken_if(question.is_for(DriverKind::Microvm));
    match drivers::own_architecture().and_then(drivers::qemu_program) {
        Ok(program) => match version(&program).await {
            Some(version) => Finding::good(NAME, format!("{version} ({})", program.display()), WHY),
            None => Finding::bad(
                level,
                NAME,
                format!("{} does not run", program.display()),
                WHY,
                "install QEMU again: apt-get install --reinstall qemu-system-x86",
            ),
        },
        Err(error @ drivers::DriverError::NoQemu { package, .. }) => {
            let found = error.to_string();
            let found = found.split(';').next().unwrap_or_default().to_owned();
            Finding::bad(level, NAME, found, WHY, format!("apt-get install {package}"))
        }
        Err(error) => Finding::bad(
            level,
            NAME,
            error_chain(&error),
            WHY,
            "use another machine, or the process driver",
        ),
    }
}

/// Boots a tiny guest, in a temporary folder, whatever an earlier probe has found.
pub(super) async fn kvm(question: &Question) -> Finding {
    const NAME: &str = "KVM";
    const WHY: &str = "With KVM the processor itself keeps sessions apart. Without, guests run in emulation, which \
                       is for development: slow, and no security boundary.";
    let choice = question.config.sandbox.accelerator;
    let required = question.is_for(DriverKind::Microvm) && choice == AcceleratorChoice::Kvm;
    let remedy = if choice == AcceleratorChoice::Tcg {
        "the configuration asks for emulation in any case"
    } else {
        "enable virtualisation (for a virtual machine: nested virtualisation), or use a machine that has it"
    };
    let level = Level::broken_if(required);
    match probe(question).await {
        Ok(KvmVerdict::Works) if choice == AcceleratorChoice::Tcg => Finding::bad(
            Level::Warning,
            NAME,
            "a guest ran in it, but the configuration asks for emulation",
            WHY,
            "set accelerator = \"auto\"",
        ),
        Ok(KvmVerdict::Works) => Finding::good(NAME, "a guest ran in it", WHY),
        Ok(KvmVerdict::Unusable { reason }) => Finding::bad(level, NAME, reason, WHY, remedy),
        Err(error) => Finding::bad(
            level,
            NAME,
            format!(
                "{KVM_DEVICE} is there, but could not be tried: {}",
                error_chain(error.as_ref())
            ),
            WHY,
            "mend what is named below, then ask again",
        ),
    }
}

async fn probe(question: &Question) -> Result<KvmVerdict, Cause> {
    let folder = tempfile::Builder::new().prefix("coracle-doctor-").tempdir()?;
    if !Path::new(KVM_DEVICE).exists() {
        let reason = format!("there is no {KVM_DEVICE} (no virtualisation, or its module is not loaded)");
        return Ok(KvmVerdict::Unusable { reason });
    }
    output::progress("trying KVM with a tiny guest: up to 10 seconds");
    let own = drivers::own_architecture()?;
    let kernel = open_images(&question.images_dir, own)?.kernel(own)?;
    let modules = kernel.modules(&MICROVM_MODULES)?;
    let (qemu, sandboxes) = (drivers::qemu_program(own)?, folder.path().join("sandboxes"));
    let probe = KvmProbe {
        architecture: own,
        jail: Jail::find(question.config.jail.settings(), &qemu, &sandboxes).await?,
        qemu,
        initramfs: coracle_artifact::initramfs(folder.path(), &drivers::guest_program(own)?, &modules)?,
        kernel: kernel.vmlinux().unwrap_or_else(|| kernel.vmlinuz()),
        sandboxes,
        memory: folder.path().join("kvm.json"),
    };
    Ok(probe.verdict().await?)
}

/// Runs QEMU for its version in the jail of microVMs, in a temporary folder.
pub(super) async fn jail(question: &Question) -> Finding {
    const NAME: &str = "jail";
    const WHY: &str = "It is what is left to whoever breaks out of a guest into QEMU.";
    let required = question.is_for(DriverKind::Microvm);
    match find_jail(question).await {
        Ok(jail) => match jail.remedy() {
            None => Finding::good(NAME, jail.describe(), WHY),
            Some(remedy) => Finding::bad(Level::Warning, NAME, jail.describe(), WHY, remedy),
        },
        Err(error) => Finding::bad(
            Level::broken_if(required && error.downcast_ref::<JailError>().is_some()),
            NAME,
            error_chain(error.as_ref()),
            WHY,
            "mend what is named, then ask again",
        ),
    }
}

async fn find_jail(question: &Question) -> Result<Jail, Cause> {
    let qemu = drivers::qemu_program(drivers::own_architecture()?)?;
    let folder = tempfile::Builder::new().prefix("coracle-doctor-").tempdir()?;
    Ok(Jail::find(question.config.jail.settings(), &qemu, folder.path()).await?)
}

/// The images folder, unless it would have to be made: then there is no kernel for this architecture.
pub(super) fn open_images(folder: &Path, architecture: Architecture) -> Result<ImageStore, ImageError> {
    if folder.is_dir() {
        ImageStore::open(folder, None)
    } else {
        Err(ImageError::NoKernel(architecture))
    }
}

pub(super) fn images(question: &Question, own: Architecture) -> [Finding; 2] {
    const KERNEL: &str = "guest kernel";
    const KERNEL_WHY: &str =
        "It boots every microVM. It is Debian's, kept in the images folder, never installed here.";
    const BASES: &str = "base images";
    const BASES_WHY: &str = "They hold the interpreters of managed runtimes. What a recipe exists for is built at the \
                             first deployment that needs it.";
    let folder = question.images_dir.display();
    let can_build = program_on_path("mmdebstrap").is_some() && Path::new(KEYRING).exists();
    let build = format!("coracle image build --images-dir {folder}");
    let images = open_images(&question.images_dir, own);
    let kernel = match images.as_ref().map(|images| images.kernel(own)) {
        Ok(Ok(kernel)) => Finding::good(KERNEL, format!("{} in {folder}", kernel.release()), KERNEL_WHY),
        Ok(Err(ImageError::NoKernel(_))) | Err(ImageError::NoKernel(_)) => Finding::bad(
            Level::broken_if(question.is_for(DriverKind::Microvm) && !can_build),
            KERNEL,
            format!("none in {folder}; fetched when a server first starts"),
            KERNEL_WHY,
            &build,
        ),
        Ok(Err(error)) => {
            let level = Level::broken_if(question.is_for(DriverKind::Microvm));
            Finding::bad(
                level,
                KERNEL,
                error_chain(&error),
                KERNEL_WHY,
                format!("{build} kernel --again"),
            )
        }
        Err(error) => {
            let level = Level::broken_if(question.is_for(DriverKind::Microvm));
            Finding::bad(
                level,
                KERNEL,
                error_chain(error),
                KERNEL_WHY,
                format!("make {folder} writable"),
            )
        }
    };
    let found: Vec<&str> = images
        .ok()
        .and_then(|images| images.bases().ok())
        .unwrap_or_default()
        .into_iter()
        .filter(|image| image.current)
        .map(|image| image.manifest.runtime.as_str())
        .collect();
    let bases = if found.is_empty() {
        Finding::bad(
            Level::Warning,
            BASES,
            format!("none in {folder}"),
            BASES_WHY,
            &build,
        )
    } else {
        Finding::good(BASES, found.join(", "), BASES_WHY)
    };
    [kernel, bases]
}

pub(super) fn tools(question: &Question) -> [Finding; 3] {
    let mmdebstrap = match program_on_path("mmdebstrap") {
        Some(program) => Finding::good("mmdebstrap", program.display().to_string(), IMAGES_WHY),
        None => missing(Level::Warning, "mmdebstrap", IMAGES_WHY, "mmdebstrap"),
    };
    let keyring = if Path::new(KEYRING).exists() {
        Finding::good("Debian's keys", KEYRING, KEYRING_WHY)
    } else {
        missing(
            Level::Warning,
            "Debian's keys",
            KEYRING_WHY,
            "debian-archive-keyring",
        )
    };
    // Where it is when an ordinary user's path does not lead there.
    let sbin = Path::new("/usr/sbin/mke2fs");
    let mke2fs = program_on_path("mke2fs").or_else(|| sbin.is_file().then(|| sbin.to_owned()));
    let mke2fs = match mke2fs {
        Some(program) => Finding::good("mke2fs", program.display().to_string(), DISKS_WHY),
        None => {
            let level = Level::broken_if(question.is_for(DriverKind::Microvm));
            missing(level, "mke2fs", DISKS_WHY, "e2fsprogs")
        }
    };
    [mmdebstrap, keyring, mke2fs]
}

const IMAGES_WHY: &str = "Guest kernel and base images are made of Debian packages with it.";
const KEYRING_WHY: &str = "What is downloaded from Debian is verified with them.";
const DISKS_WHY: &str = "The private disk of every microVM is made with it.";

fn missing(level: Level, name: &'static str, why: &'static str, package: &str) -> Finding {
    Finding::bad(level, name, "missing", why, format!("apt-get install {package}"))
}
