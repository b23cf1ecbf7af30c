//! Installs an agent's Python dependencies for the Python version and machine it will run on, whatever this host
//! has: with uv where it is, else with pip, and only from wheels, because nothing can be compiled for elsewhere.
//!
//! Which packages were chosen is written down ([`super::lock`]), and what they gave is kept ([`super::cache`]), so that
//! a later deployment is quick and gives the same bytes although requirements may be open-ended. A new project follows
//! what the same requirements led to in another one lately ([`super::choices`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use coracle_types::RuntimeKind;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use super::lock::{Lock, installed_packages};
use super::{Arch, Request, cache, choices};
use crate::output::Printer;

/// Lines of an installer's output that are shown when it fails.
const SHOWN_LINES: usize = 12;
/// Newest glibc (2.x) that wheels may need; every platform with a supported Python has it.
const NEWEST_GLIBC: u32 = 28;
const OLDEST_GLIBC: u32 = 17;

/// Why dependencies cannot be installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DependencyError {
    #[error("`{}` cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is malformed", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("neither uv nor pip was found")]
    NoInstaller,
    #[error("{installer} failed:\n{output}")]
    Failed { installer: &'static str, output: String },
    #[error("a folder for the dependencies cannot be made")]
    Folder(#[source] std::io::Error),
    #[error("the lock `{}` cannot be used", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{installer} cannot be run")]
    Run {
        installer: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl DependencyError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoInstaller => {
                Some("install uv (https://docs.astral.sh/uv), or Python with pip".to_owned())
            }
            Self::Failed { .. } => Some(
                "only packages with wheels for the target can be used; pin a version that has them, or change \
                 `runtimeVersion`"
                    .to_owned(),
            ),
            Self::Malformed { .. } => Some("the cause names the line".to_owned()),
            Self::Lock { .. } => Some("remove it to have the packages chosen anew".to_owned()),
            Self::Read { .. } | Self::Folder(_) | Self::Run { .. } => None,
        }
    }
}

/// A folder with installed dependencies.
#[derive(Debug)]
pub(crate) enum Installed {
    /// Used again by later deployments.
    Cached(PathBuf),
    /// Only for this one.
    Once(TempDir),
}

impl Installed {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Cached(path) => path,
            Self::Once(folder) => folder.path(),
        }
    }
}

/// What an installer is told.
#[derive(Debug)]
enum Wanted<'a> {
    /// What the agent asks for; the installer chooses versions and what those need.
    Requirements(&'a str),
    /// Exactly these.
    Packages(&'a str),
}

/// What an agent asks for.
#[derive(Debug, PartialEq, Eq)]
struct Requirements {
    text: String,
    /// Whether the text says everything, so that the same text means the same packages.
    complete: bool,
}

/// Installs what `requirements.txt`, or else `pyproject.toml`, asks for; nothing if neither asks for anything.
pub(super) async fn install(
    request: &Request,
    printer: &Printer,
) -> Result<Option<Installed>, DependencyError> {
    let Some(requirements) = read_requirements(&request.code)? else {
        return Ok(None);
    };
    if !requirements.complete {
        let folder = tempfile::tempdir().map_err(DependencyError::Folder)?;
        run_installer(
            request,
            &Wanted::Requirements(&requirements.text),
            folder.path(),
            printer,
        )
        .await?;
        return Ok(Some(Installed::Once(folder)));
    }
    let memory = Memory::new(request, &requirements.text);
    let chosen = if request.refresh {
        None
    } else {
        memory.recall(printer)?
    };
    if let Some(packages) = &chosen
        && let Some(folder) = cached(request, packages)
    {
        printer.debug(&format!("dependencies taken from {}", folder.display()));
        return Ok(Some(Installed::Cached(folder)));
    }
    let cache = cache::folder();
    let folder = match &cache {
        Some(cache) => cache::begin(cache),
        None => tempfile::tempdir(),
    }
    .map_err(DependencyError::Folder)?;
    let wanted = match &chosen {
        Some(packages) => Wanted::Packages(packages),
        None => Wanted::Requirements(&requirements.text),
    };
    run_installer(request, &wanted, folder.path(), printer).await?;
    let packages = match chosen {
        Some(packages) => packages,
        None => memory.note(folder.path())?,
    };
    let Some(cache) = cache else {
        return Ok(Some(Installed::Once(folder)));
    };
    let key = cache_key(&packages, request.runtime, request.arch);
    let kept = cache::keep(&cache, folder, &key).map_err(DependencyError::Folder)?;
    Ok(Some(Installed::Cached(kept)))
}

/// Which packages were chosen before: in this project, or else lately on this machine.
struct Memory {
    lock: Lock,
    /// Where choices are kept, if this user has such a place.
    choices: Option<PathBuf>,
    key: String,
}

impl Memory {
    fn new(request: &Request, requirements: &str) -> Self {
        Self {
            lock: Lock::new(request, requirements),
            choices: cache::folder().map(|dependencies| choices::folder(&dependencies)),
            key: cache_key(requirements, request.runtime, request.arch),
        }
    }

    fn recall(&self, printer: &Printer) -> Result<Option<String>, DependencyError> {
        if let Some(packages) = self.lock.read().map_err(|source| self.unusable(source))? {
            return Ok(Some(packages));
        }
        let choices = self.choices.as_deref();
        let recent = choices.and_then(|choices| choices::recent(choices, &self.key));
        if let Some(packages) = &recent {
            printer.debug("packages are those that the same requirements led to lately");
            self.lock
                .write(packages)
                .map_err(|source| self.unusable(source))?;
        }
        Ok(recent)
    }

    /// Writes down what was installed into a folder, and returns it.
    fn note(&self, installed: &Path) -> Result<String, DependencyError> {
        let packages = installed_packages(installed).map_err(DependencyError::Folder)?;
        self.lock
            .write(&packages)
            .map_err(|source| self.unusable(source))?;
        if let Some(choices) = &self.choices {
            // Where it cannot be kept, the next project resolves its packages itself.
            choices::note(choices, &self.key, &packages).ok();
        }
        Ok(packages)
    }

    fn unusable(&self, source: std::io::Error) -> DependencyError {
        DependencyError::Lock {
            path: self.lock.path().to_owned(),
            source,
        }
    }
}

/// What exactly these packages gave before.
fn cached(request: &Request, packages: &str) -> Option<PathBuf> {
    cache::find(
        &cache::folder()?,
        &cache_key(packages, request.runtime, request.arch),
    )
}

fn cache_key(text: &str, runtime: RuntimeKind, arch: Arch) -> String {
    hex::encode(Sha256::digest(format!("{runtime}\n{}\n{text}", arch.as_str())))
}

#[derive(Deserialize)]
struct PyProject {
    project: Option<ProjectTable>,
}

#[derive(Deserialize)]
struct ProjectTable {
    #[serde(default)]
    dependencies: Vec<String>,
}

fn read_requirements(code: &Path) -> Result<Option<Requirements>, DependencyError> {
    if let Some(text) = read_if_there(&code.join("requirements.txt"))? {
        return Ok(requirements_from(text));
    }
    let path = code.join("pyproject.toml");
    let Some(text) = read_if_there(&path)? else {
        return Ok(None);
    };
    let file: PyProject = toml::from_str(&text).map_err(|source| DependencyError::Malformed {
        path,
        source: Box::new(source),
    })?;
    Ok(file
        .project
        .and_then(|project| requirements_from(project.dependencies.join("\n"))))
}

fn read_if_there(path: &Path) -> Result<Option<String>, DependencyError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DependencyError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn requirements_from(text: String) -> Option<Requirements> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    lines.peek()?;
    // Options (`-r other.txt`, `-e .`) and paths lead to more than the text says.
    let complete = lines.all(|line| !line.starts_with(['-', '.', '/']) && !line.contains("file:"));
    Some(Requirements { text, complete })
}

async fn run_installer(
    request: &Request,
    wanted: &Wanted<'_>,
    folder: &Path,
    printer: &Printer,
) -> Result<(), DependencyError> {
    let list = tempfile::Builder::new()
        .prefix("requirements-")
        .suffix(".txt")
        .tempfile();
    let list = list.map_err(DependencyError::Folder)?;
    let (text, exactly) = match wanted {
        Wanted::Requirements(text) => (text, false),
        Wanted::Packages(text) => (text, true),
    };
    // Requirements may name files relative to themselves, so the real list is best.
    let named = request.code.join("requirements.txt");
    let list_path = if named.is_file() && !exactly {
        named.as_path()
    } else {
        list.path()
    };
    std::fs::write(list.path(), text).map_err(DependencyError::Folder)?;

    let (installer, program, mut arguments) = installer(request, list_path, folder).await?;
    if exactly {
        arguments.push("--no-deps".into());
    }
    let (python, arch) = (python_version(request.runtime), request.arch.as_str());
    let progress = printer.working(&format!(
        "Installing dependencies for Python {python} on {arch} with {installer}"
    ));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(&request.code)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| DependencyError::Run { installer, source })?;
    drop(progress);
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Err(DependencyError::Failed {
        installer,
        output: shown.join("\n"),
    })
}

/// The installer this host has, and how to call it.
async fn installer(
    request: &Request,
    list: &Path,
    folder: &Path,
) -> Result<(&'static str, OsString, Vec<OsString>), DependencyError> {
    if answers("uv", &["--version"]).await {
        return Ok(("uv", "uv".into(), uv_arguments(request, list, folder)));
    }
    // pip judges conditions such as `python_version < "3.12"` by the Python it runs on, so the target's own is best.
    for python in [request.runtime.interpreter(), "python3", "python"] {
        if answers(python, &["-m", "pip", "--version"]).await {
            return Ok(("pip", python.into(), pip_arguments(request, list, folder)));
        }
    }
    Err(DependencyError::NoInstaller)
}

async fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}

/// `3.13` of `python3.13`.
fn python_version(runtime: RuntimeKind) -> &'static str {
    runtime.interpreter().trim_start_matches("python")
}

fn uv_arguments(request: &Request, list: &Path, folder: &Path) -> Vec<OsString> {
    let platform = format!("{}-manylinux_2_{NEWEST_GLIBC}", request.arch.as_str());
    let mut arguments: Vec<OsString> = [
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "--link-mode",
        "copy",
    ]
    .map(Into::into)
    .into();
    arguments.extend(["--python-version".into(), python_version(request.runtime).into()]);
    arguments.extend(["--python-platform".into(), platform.into()]);
    arguments.extend(["--target".into(), folder.into(), "-r".into(), list.into()]);
    arguments
}

fn pip_arguments(request: &Request, list: &Path, folder: &Path) -> Vec<OsString> {
    let fixed = "-m pip install --quiet --disable-pip-version-check --no-input --no-compile --only-binary=:all: \
                 --implementation cp";
    let mut arguments: Vec<OsString> = fixed.split_whitespace().map(Into::into).collect();
    arguments.extend(["--python-version".into(), python_version(request.runtime).into()]);
    // pip takes only the very platforms it is told; the old name stands for itself and all before it.
    let arch = request.arch.as_str();
    let platforms = (OLDEST_GLIBC..=NEWEST_GLIBC)
        .rev()
        .map(|glibc| format!("manylinux_2_{glibc}_{arch}"));
    for platform in platforms.chain([format!("manylinux2014_{arch}")]) {
        arguments.extend(["--platform".into(), platform.into()]);
    }
    arguments.extend(["--target".into(), folder.into(), "-r".into(), list.into()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arch: Arch) -> Request {
        Request {
            code: "/code".into(),
            entry_file: "main.py".to_owned(),
            runtime: RuntimeKind::Python313,
            arch,
            locks: "/locks".into(),
            refresh: false,
        }
    }

    #[test]
    fn wheels_are_asked_for_by_the_targets_python_and_machine() {
        let arguments = pip_arguments(&request(Arch::Aarch64), Path::new("r.txt"), Path::new("/t"));
        let text = arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert!(
            text.contains("--only-binary=:all:") && text.contains("--python-version 3.13 "),
            "{text}"
        );
        assert!(text.contains("--platform manylinux_2_28_aarch64 "), "{text}");
        assert!(text.contains("--platform manylinux2014_aarch64 "), "{text}");
        assert!(!text.contains("x86_64"), "{text}");
        let arguments = uv_arguments(&request(Arch::X86_64), Path::new("r.txt"), Path::new("/t"));
        let text = arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert!(
            text.contains("--python-platform x86_64-manylinux_2_28 "),
            "{text}"
        );
    }

    #[test]
    fn requirements_come_from_either_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_requirements(folder.path()).unwrap(), None);
        let project = "[project]\nname = \"x\"\ndependencies = [\"a>=1\", \"b\"]\n";
        std::fs::write(folder.path().join("pyproject.toml"), project).unwrap();
        assert_eq!(read_requirements(folder.path()).unwrap().unwrap().text, "a>=1\nb");
        std::fs::write(folder.path().join("requirements.txt"), "c==2\n").unwrap();
        assert_eq!(read_requirements(folder.path()).unwrap().unwrap().text, "c==2\n");
        std::fs::write(folder.path().join("requirements.txt"), "# none\n\n").unwrap();
        assert_eq!(read_requirements(folder.path()).unwrap(), None);
    }

    #[test]
    fn requirements_that_lead_elsewhere_are_not_cached() {
        let complete = |text: &str| requirements_from(text.to_owned()).unwrap().complete;
        assert!(complete(
            "a==1\n# comment\nb[extra]>=2 ; python_version < '3.12'\n"
        ));
        for text in ["-r more.txt", "a\n-e .", "./wheels/a.whl", "a @ file:///x.whl"] {
            assert!(!complete(text), "{text}");
        }
    }
}
