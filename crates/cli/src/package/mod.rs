//! Makes the code zip of an agent: its sources and, at the zip's root beside them, its dependencies for the Python
//! and the machine it will run on. The same input gives the same bytes, so that unchanged code is recognised by its
//! digest.

mod archive;
mod cache;
mod choices;
mod dependencies;
mod ignore_rules;
mod lock;
mod node;
mod sources;

use std::path::PathBuf;

use coracle_types::limits::{MAX_CODE_UNPACKED, MAX_CODE_ZIP};
use coracle_types::{Language, RuntimeKind};
use tempfile::TempPath;

pub(crate) use self::dependencies::{DependencyError, Installed};
pub(crate) use self::node::{BuildError, LOCK as NPM_LOCK};
use crate::output::{Printer, size};

/// A machine architecture, as Rust and Linux name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    #[value(name = "aarch64", alias = "arm64")]
    Aarch64,
}

impl Arch {
    /// This machine's.
    pub(crate) fn of_this_host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// What to package.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) code: PathBuf,
    pub(crate) entry_file: String,
    pub(crate) runtime: RuntimeKind,
    pub(crate) arch: Arch,
    /// Where it is written down which packages were chosen.
    pub(crate) locks: PathBuf,
    /// Resolve dependencies again even if the same requirements were resolved before.
    pub(crate) refresh: bool,
}

/// A finished zip; its file goes away with it.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) file: TempPath,
    /// SHA-256 in hexadecimal.
    pub(crate) sha256: String,
    /// Of the zip, in bytes.
    pub(crate) size: u64,
    /// Of all files, in bytes.
    pub(crate) unpacked: u64,
    pub(crate) files: usize,
    /// Top-most paths that were left out, folders with a slash at their end.
    pub(crate) left_out: Vec<String>,
    /// Whether `opentelemetry-instrument` is among the dependencies' commands.
    pub(crate) has_otel_launcher: bool,
}

/// Why there is no zip.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("the code folder `{}` does not exist", .0.display())]
    NoCode(PathBuf),
    #[error("the entry file `{file}` is not among the packaged files of `{}`", code.display())]
    NoEntryFile { file: String, code: PathBuf },
    #[error("the entry file `{file}` does not end in `{expected}`, as {runtime} needs")]
    WrongEntryFile {
        file: String,
        expected: &'static str,
        runtime: RuntimeKind,
    },
    #[error("the zip is {}, the limit is {}", size(*.0), size(MAX_CODE_ZIP))]
    TooLarge(u64),
    #[error("the files are {} together, the limit is {}", size(*.0), size(MAX_CODE_UNPACKED))]
    TooLargeUnpacked(u64),
    #[error("`{}` cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("a file name is not UTF-8: `{}`", .0.display())]
    Name(PathBuf),
    #[error("the ignore file `{}` is malformed", path.display())]
    Ignore {
        path: PathBuf,
        #[source]
        source: ignore::Error,
    },
    #[error("the zip cannot be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the dependencies cannot be installed")]
    Dependencies(#[from] DependencyError),
    #[error("the agent cannot be built")]
    Build(#[from] BuildError),
}

impl PackageError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoCode(_) => {
                Some("`codeLocation` in agentcore.json is relative to the project's folder".to_owned())
            }
            Self::NoEntryFile { .. } => Some(
                "`entrypoint` in agentcore.json is relative to `codeLocation`; is it ignored?".to_owned(),
            ),
            Self::WrongEntryFile { .. } => Some("change `entrypoint` or `runtimeVersion`".to_owned()),
            Self::TooLarge(_) | Self::TooLargeUnpacked(_) => {
                Some("leave files out with a .agentcoreignore file, in .gitignore syntax".to_owned())
            }
            Self::Dependencies(error) => error.hint(),
            Self::Build(error) => Some(error.hint()),
            Self::Read { .. } | Self::Name(_) | Self::Ignore { .. } | Self::Write(_) => None,
        }
    }
}

/// Makes the zip.
///
/// # Errors
/// When something is missing, unreadable or too large, or the dependencies cannot be installed.
pub(crate) async fn build(request: Request, printer: &Printer) -> Result<Package, PackageError> {
    check_entry_file(&request)?;
    let (request, dependencies) = match request.runtime.language() {
        Language::Python => {
            let dependencies = dependencies::install(&request, printer).await?;
            (request, dependencies)
        }
        Language::Node if node::is_needed(&request) => {
            let (request, packages) = node::build(request, printer).await?;
            (request, Some(packages))
        }
        Language::Node => (request, None),
    };
    let progress = printer.working("Making the zip");
    let zipping = tokio::task::spawn_blocking(move || {
        let installed = dependencies.as_ref().map(Installed::path);
        zip(&request, installed)
    });
    let package = zipping.await.map_err(|error| PackageError::Write(error.into()))?;
    drop(progress);
    package
}

/// Installs the dependencies alone; `None` if there are none.
///
/// # Errors
/// When they cannot be installed.
pub(crate) async fn install_dependencies(
    request: &Request,
    printer: &Printer,
) -> Result<Option<Installed>, PackageError> {
    Ok(dependencies::install(request, printer).await?)
}

/// Installs the packages of a Node agent beside its code; nothing where no `package.json` asks for any.
///
/// # Errors
/// When they cannot be installed.
pub(crate) async fn install_node_packages(
    code: &std::path::Path,
    printer: &Printer,
) -> Result<(), PackageError> {
    if code.join("package.json").is_file() {
        node::install(code, false, printer).await?;
    }
    Ok(())
}

/// The files of the code that would be packaged.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn code_files(code: &std::path::Path) -> Result<Vec<PathBuf>, PackageError> {
    let mut files = sources::Files::new();
    sources::add_code(code, &mut files)?;
    Ok(files.into_values().map(|file| file.path).collect())
}

/// What an entry file is called where it is deployed: TypeScript becomes JavaScript.
pub(crate) fn deployed_entry_file(entry_file: &str) -> String {
    match entry_file.strip_suffix(".ts") {
        Some(stem) => format!("{stem}.js"),
        None => entry_file.to_owned(),
    }
}

fn check_entry_file(request: &Request) -> Result<(), PackageError> {
    let expected = request.runtime.entry_point_extension();
    if !request.code.is_dir() {
        return Err(PackageError::NoCode(request.code.clone()));
    }
    if !deployed_entry_file(&request.entry_file).ends_with(expected) {
        let (file, runtime) = (request.entry_file.clone(), request.runtime);
        return Err(PackageError::WrongEntryFile {
            file,
            expected,
            runtime,
        });
    }
    Ok(())
}

fn zip(request: &Request, dependencies: Option<&std::path::Path>) -> Result<Package, PackageError> {
    let mut files = sources::Files::new();
    let mut left_out = match dependencies {
        Some(folder) => sources::add_dependencies(folder, &request.code, &mut files)?,
        None => Vec::new(),
    };
    left_out.extend(sources::add_code(&request.code, &mut files)?);
    if !files.contains_key(&request.entry_file) {
        let (file, code) = (request.entry_file.clone(), request.code.clone());
        return Err(PackageError::NoEntryFile { file, code });
    }
    let unpacked = files.values().map(|file| file.size).sum();
    if unpacked > MAX_CODE_UNPACKED {
        return Err(PackageError::TooLargeUnpacked(unpacked));
    }
    let archive::Archive { file, sha256, size } = archive::write(&files)?;
    if size > MAX_CODE_ZIP {
        return Err(PackageError::TooLarge(size));
    }
    let has_otel_launcher = files.contains_key("bin/opentelemetry-instrument");
    Ok(Package {
        file,
        sha256,
        size,
        unpacked,
        files: files.len(),
        left_out,
        has_otel_launcher,
    })
}

#[cfg(test)]
mod tests;
