//! Where Debian's packages come from. The same sources serve every host, Debian or not, and nothing of the host's
//! own package management is read or changed, except its download settings (proxies), which are honoured.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::ImageError;
use crate::command::Tool;
use crate::progress::Progress;

const APT_GET: Tool = Tool {
    name: "apt-get",
    purpose: "to download the guest kernel from Debian",
    package: "apt",
};
const APT_CACHE: Tool = Tool {
    name: "apt-cache",
    purpose: "to find the guest kernel's package",
    package: "apt",
};
const APT_CONFIG: Tool = Tool {
    name: "apt-config",
    purpose: "to learn this machine's download settings",
    package: "apt",
};
const DPKG_DEB: Tool = Tool {
    name: "dpkg-deb",
    purpose: "to unpack the guest kernel",
    package: "dpkg",
};
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(15 * 60);
const UNPACK_DEADLINE: Duration = Duration::from_secs(5 * 60);
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where Debian's archives are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianMirrors {
    /// The main archive.
    pub main: String,
    /// The archive of security updates.
    pub security: String,
}

impl Default for DebianMirrors {
    fn default() -> Self {
        Self {
            main: "http://deb.debian.org/debian".to_owned(),
            security: "http://deb.debian.org/debian-security".to_owned(),
        }
    }
}

impl DebianMirrors {
    /// The lines of a `sources.list` for a suite with its updates. Packages are verified with Debian's keys.
    ///
    /// # Errors
    /// When those keys are not on this machine.
    pub(super) fn sources(&self, suite: &str) -> Result<String, ImageError> {
        if !Path::new(KEYRING).is_file() {
            return Err(ImageError::KeyringMissing);
        }
        let Self { main, security } = self;
        Ok(format!(
            "deb [signed-by={KEYRING}] {main} {suite} main\n\
             deb [signed-by={KEYRING}] {main} {suite}-updates main\n\
             deb [signed-by={KEYRING}] {security} {suite}-security main\n"
        ))
    }
}

/// Debian's name of the architecture this program runs on.
pub(super) fn architecture() -> Result<&'static str, ImageError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(ImageError::Architecture(other)),
    }
}

/// The host's settings for downloads (proxies, retries), as lines of an `apt.conf`.
pub(super) fn download_settings() -> Result<String, ImageError> {
    let dump = APT_CONFIG.output(&mut APT_CONFIG.call(["dump", "Acquire"])?)?;
    // Index targets are structure rather than settings.
    let lines = dump
        .lines()
        .filter(|line| !line.starts_with("Acquire::IndexTargets") && !line.ends_with(" \"\";"));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// A private apt, with its own sources, lists and cache in a folder that vanishes with it.
pub(super) struct PrivateApt {
    folder: TempDir,
}

impl PrivateApt {
    /// Sets one up below `parent` and loads the package lists of `suite`.
    pub(super) fn new(
        parent: &Path,
        mirrors: &DebianMirrors,
        suite: &str,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let folder = crate::files::draft_folder(parent)?;
        for inner in ["state/lists/partial", "cache/archives/partial", "etc/empty"] {
            fs::create_dir_all(folder.path().join(inner))?;
        }
        fs::write(folder.path().join("state/status"), "")?;
        fs::write(folder.path().join("sources.list"), mirrors.sources(suite)?)?;
        let apt = Self { folder };
        fs::write(apt.config(), apt.configuration()?)?;
        let doing = "Loading Debian's package lists";
        let mut update = APT_GET.call(["update", "-q", "-o", "APT::Update::Error-Mode=any"])?;
        update.env("APT_CONFIG", apt.config()).stdout(Stdio::null());
        APT_GET.run(&mut update, DOWNLOAD_DEADLINE, doing, progress)?;
        Ok(apt)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("apt.conf")
    }

    fn configuration(&self) -> Result<String, ImageError> {
        let root = self.folder.path().display();
        let architecture = architecture()?;
        let settings = download_settings()?;
        Ok(format!(
            "{settings}\
             APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Dir \"{root}\";\n\
             Dir::State \"{root}/state\";\n\
             Dir::State::status \"{root}/state/status\";\n\
             Dir::Cache \"{root}/cache\";\n\
             Dir::Etc::main \"{root}/apt.conf\";\n\
             Dir::Etc::parts \"{root}/etc/empty\";\n\
             Dir::Etc::sourcelist \"{root}/sources.list\";\n\
             Dir::Etc::sourceparts \"{root}/etc/empty\";\n\
             Dir::Etc::trustedparts \"{root}/etc/empty\";\n\
             Dir::Etc::preferencesparts \"{root}/etc/empty\";\n"
        ))
    }

    /// The package that the meta-package `package` stands for: its only dependency beginning with `prefix`.
    pub(super) fn dependency(&self, package: &str, prefix: &str) -> Result<String, ImageError> {
        let mut depends = APT_CACHE.call(["depends", "--important", package])?;
        let listed = APT_CACHE.output(depends.env("APT_CONFIG", self.config()))?;
        listed
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .ok_or_else(|| ImageError::NoPackage(package.to_owned()))
    }

    /// Downloads a package and unpacks it into `target`.
    pub(super) fn unpack(
        &self,
        package: &str,
        target: &Path,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let downloads = self.folder.path().join("downloads");
        fs::create_dir_all(&downloads)?;
        let mut download = APT_GET.call(["download", "-q", package])?;
        download
            .current_dir(&downloads)
            .env("APT_CONFIG", self.config())
            .stdout(Stdio::null());
        APT_GET.run(
            &mut download,
            DOWNLOAD_DEADLINE,
            &format!("Downloading {package}"),
            progress,
        )?;
        let file = fs::read_dir(&downloads)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .ok_or_else(|| ImageError::NoPackage(package.to_owned()))?;
        let arguments: [OsString; 3] = ["-x".into(), file.into(), target.into()];
        let mut unpack = DPKG_DEB.call(arguments)?;
        DPKG_DEB.run(
            &mut unpack,
            UNPACK_DEADLINE,
            &format!("Unpacking {package}"),
            progress,
        )?;
        Ok(())
    }
}
