//! Builds a TypeScript agent: `npm run build` of its package puts what is deployed into `dist/`. Beside it go the
//! packages it needs when it runs, for the machine it will run on, as `package-lock.json` says. What the same lock gave
//! before is used again ([`super::cache`]). On the developer's machine the sources run as they are, with what npm
//! installed beside them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::dependencies::Installed;
use super::{Arch, Request, cache};
use crate::output::Printer;

/// Lines of npm's output that are shown when it fails.
const SHOWN_LINES: usize = 12;
/// What a package is and exactly what it needs.
const DESCRIPTION: [&str; 2] = ["package.json", LOCK];
/// Which packages npm chose; it writes the file when it installs them.
pub(crate) const LOCK: &str = "package-lock.json";

/// Why an agent was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("npm cannot be run")]
    Npm(#[source] std::io::Error),
    #[error("`npm {step}` failed:\n{output}")]
    Failed { step: &'static str, output: String },
    #[error("`npm run build` made no `{}`", .0.display())]
    Nothing(PathBuf),
    #[error("a folder for the packages cannot be made")]
    Folder(#[source] std::io::Error),
}

impl BuildError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Npm(_) => "install Node.js with npm".to_owned(),
            Self::Failed { .. } => "run the same in the code folder to see all of it".to_owned(),
            Self::Nothing(_) => {
                "the `build` script of package.json has to put the agent into dist/".to_owned()
            }
            Self::Folder(_) => "is there room, and may you write to the cache folder?".to_owned(),
        }
    }
}

/// Whether this agent has to be built: its entry file is not what Node runs.
pub(super) fn is_needed(request: &Request) -> bool {
    request.entry_file.ends_with(".ts")
}

/// Builds, and says what to package instead of the sources, and the packages beside it.
///
/// # Errors
/// When npm is missing or fails, or the build makes no entry file.
pub(super) async fn build(
    mut request: Request,
    printer: &Printer,
) -> Result<(Request, Installed), BuildError> {
    let code = request.code.clone();
    install(&code, request.refresh, printer).await?;
    let progress = printer.working("Building");
    npm(&code, "run build", &["run", "build"]).await?;
    drop(progress);
    request.entry_file = super::deployed_entry_file(&request.entry_file);
    request.code = code.join("dist");
    let built = request.code.join(&request.entry_file);
    if !built.is_file() {
        return Err(BuildError::Nothing(built));
    }
    let packages = packages(&code, request.arch, printer).await?;
    Ok((request, packages))
}

/// Installs the packages beside the code, for this machine, unless they are there.
///
/// # Errors
/// When npm is missing or fails.
pub(super) async fn install(code: &Path, refresh: bool, printer: &Printer) -> Result<(), BuildError> {
    if !refresh && is_installed(code) {
        return Ok(());
    }
    let step = if code.join(LOCK).is_file() && !refresh {
        "ci"
    } else {
        "install"
    };
    let progress = printer.working("Installing packages with npm");
    npm(code, step, &[step, "--no-audit", "--no-fund"]).await?;
    drop(progress);
    Ok(())
}

/// The packages that run with the agent, and the description of it that says how Node is to take its files.
async fn packages(code: &Path, arch: Arch, printer: &Printer) -> Result<Installed, BuildError> {
    let mut digest = Sha256::new_with_prefix(arch.as_str());
    for name in DESCRIPTION {
        digest.update(std::fs::read(code.join(name)).map_err(BuildError::Folder)?);
    }
    let key = hex::encode(digest.finalize());
    let cache = cache::folder();
    if let Some(kept) = cache.as_deref().and_then(|cache| cache::find(cache, &key)) {
        return Ok(Installed::Cached(kept));
    }
    let folder = match &cache {
        Some(cache) => cache::begin(cache),
        None => tempfile::tempdir(),
    }
    .map_err(BuildError::Folder)?;
    for name in DESCRIPTION {
        std::fs::copy(code.join(name), folder.path().join(name)).map_err(BuildError::Folder)?;
    }
    let cpu = match arch {
        Arch::X86_64 => "--cpu=x64",
        Arch::Aarch64 => "--cpu=arm64",
    };
    let progress = printer.working("Installing packages for the server with npm");
    let target = [
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--os=linux",
        "--libc=glibc",
        cpu,
    ];
    npm(
        folder.path(),
        "ci --omit=dev",
        &[&target[..], &["--no-audit", "--no-fund"]].concat(),
    )
    .await?;
    drop(progress);
    match cache {
        Some(cache) => cache::keep(&cache, folder, &key)
            .map(Installed::Cached)
            .map_err(BuildError::Folder),
        None => Ok(Installed::Once(folder)),
    }
}

/// Whether what npm installed last is not older than what was asked for since.
fn is_installed(code: &Path) -> bool {
    let changed =
        |name: &str| -> Option<SystemTime> { std::fs::metadata(code.join(name)).ok()?.modified().ok() };
    let Some(installed) = changed("node_modules/.package-lock.json") else {
        return false;
    };
    DESCRIPTION
        .into_iter()
        .filter_map(changed)
        .all(|asked| asked <= installed)
}

async fn npm(code: &Path, step: &'static str, arguments: &[&str]) -> Result<(), BuildError> {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(code)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(BuildError::Npm)?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Err(BuildError::Failed {
        step,
        output: shown.join("\n"),
    })
}
