//! Packages from Debian, by mmdebstrap. The same packages serve every host, Debian or not, and nothing of the
//! host's own package management is changed. Its download settings (proxies) are honoured.

use std::fs;
use std::path::Path;
use std::time::Duration;

use coracle_types::Architecture;
use tempfile::NamedTempFile;

use super::{ImageError, ImageStore};
use crate::command::{CommandError, Tool, assign};
use crate::files;
use crate::progress::Progress;

const MMDEBSTRAP: Tool = Tool {
    name: "mmdebstrap",
    purpose: "to get the guest kernel and base images from Debian",
    package: "mmdebstrap",
};
const APT_CONFIG: Tool = Tool {
    name: "apt-config",
    purpose: "to learn this machine's download settings",
    package: "apt",
};
const DEADLINE: Duration = Duration::from_secs(30 * 60);
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What becomes of the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// A system: they are installed, with all that is essential.
    Essential,
    /// They are unpacked, and none of their programs is run.
    Extract,
}

/// What is taken from Debian.
pub(super) struct Wanted<'a> {
    pub(super) suite: &'a str,
    /// Packages of another than the machine's own can be unpacked, but not installed.
    pub(super) architecture: Architecture,
    /// Separated by commas.
    pub(super) packages: &'a str,
    pub(super) variant: Variant,
}

impl ImageStore {
    /// The files of the wanted packages and of what they depend on, from the suite with its updates, as a tar archive
    /// that is written into `folder` and goes with the returned handle.
    pub(super) fn debian(
        &self,
        wanted: &Wanted<'_>,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<NamedTempFile, ImageError> {
        if !Path::new(KEYRING).is_file() {
            return Err(ImageError::KeyringMissing);
        }
        let Wanted {
            suite,
            architecture,
            packages,
            variant,
        } = wanted;
        let archive = files::draft_file(folder)?;
        let settings = files::draft_file(folder)?;
        fs::write(settings.path(), download_settings()?)?;
        let variant_name = match variant {
            Variant::Essential => "essential",
            Variant::Extract => "extract",
        };
        let mut command = MMDEBSTRAP.call([
            &format!("--variant={variant_name}"),
            "--format=tar",
            &format!("--include={packages}"),
            &format!("--architectures={architecture}"),
        ])?;
        command
            .arg(assign("--aptopt", settings.path()))
            .args([suite, "-"])
            .args(&self.mirror);
        command.stdout(archive.reopen()?);
        let doing = match variant {
            Variant::Essential => format!("Installing Debian {suite}"),
            Variant::Extract => format!("Downloading {packages} of Debian {suite}"),
        };
        MMDEBSTRAP
            .run(&mut command, DEADLINE, &doing, progress)
            .map_err(explain_privileges)?;
        Ok(archive)
    }
}

/// The host's settings for downloads (proxies, retries), as lines of an `apt.conf`.
fn download_settings() -> Result<String, ImageError> {
    let dump = APT_CONFIG.output(&mut APT_CONFIG.call(["dump", "Acquire"])?)?;
    // Index targets are structure rather than settings.
    let lines = dump
        .lines()
        .filter(|line| !line.starts_with("Acquire::IndexTargets") && !line.ends_with(" \"\";"));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

fn explain_privileges(error: CommandError) -> ImageError {
    let without_privileges = match &error {
        CommandError::Failed { said, .. } => {
            ["chroot mode", "unshare", "user namespace", "subuid", "newuidmap"]
                .iter()
                .any(|hint| said.contains(hint))
        }
        _ => false,
    };
    if without_privileges && !rustix::process::geteuid().is_root() {
        return ImageError::NoPrivileges(error);
    }
    error.into()
}
