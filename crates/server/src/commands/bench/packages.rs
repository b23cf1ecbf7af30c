//! Agents that are measured, with their packages from the package index: as a folder for a bare process, and as a code
//! zip.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use zip::write::SimpleFileOptions;

/// What wheels may ask of the C library, which is newer in the base images; the last two are one, named twice.
const PLATFORMS: [&str; 3] = ["manylinux_2_28", "manylinux_2_17", "manylinux2014"];
const INSTALL_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const COMPILE: &str = "import compileall, py_compile, sys; compileall.compile_dir(sys.argv[1], quiet=2, \
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";

/// Why an agent cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    /// The interpreter did not run, or too long.
    #[error("{0} could not be run")]
    Interpreter(PathBuf, #[source] io::Error),
    /// The package index, or no pip.
    #[error("the agents' packages could not be installed; the last lines of pip:\n{0}")]
    Install(String),
    /// A file.
    #[error("the agent could not be packed")]
    Pack(#[from] io::Error),
    /// The zip.
    #[error("the agent's zip could not be written")]
    Zip(#[from] zip::result::ZipError),
}

/// A folder with a main.py, and a zip of that and the packages. Blocks.
///
/// # Errors
/// When they cannot be written.
pub(super) fn pack(
    place: &Path,
    name: &str,
    source: &str,
    packages: &Packages,
) -> Result<(PathBuf, PathBuf), AgentError> {
    let folder = place.join(name);
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("main.py"), source)?;
    let path = place.join(format!("{name}.zip"));
    let mut zip = zip::ZipWriter::new(BufWriter::new(File::create(&path)?));
    add_folder(&mut zip, &folder, &folder)?;
    add_folder(&mut zip, packages.folder(), packages.folder())?;
    zip.finish()?;
    Ok((folder, path))
}

type Zip = zip::ZipWriter<BufWriter<File>>;

/// Adds the files of a folder under their names relative to `root`.
fn add_folder(zip: &mut Zip, root: &Path, folder: &Path) -> Result<(), AgentError> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            add_folder(zip, root, &path)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            zip.start_file_from_path(name, SimpleFileOptions::default())?;
            io::copy(&mut File::open(&path)?, zip)?;
        }
    }
    Ok(())
}

/// A folder with what agents and measurement import.
#[derive(Clone)]
pub(super) struct Packages(Arc<Path>);

impl Packages {
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Installs what these requirements name, for this interpreter, into a new folder.
    ///
    /// # Errors
    /// When pip fails or takes too long.
    pub(super) async fn install(
        interpreter: &Path,
        folder: &Path,
        requirements: &[&str],
    ) -> Result<Self, AgentError> {
        let mut pip = Command::new(interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        ])
        .args(["--only-binary", ":all:", "--target"])
        .arg(folder);
        for platform in PLATFORMS {
            pip.arg("--platform")
                .arg(format!("{platform}_{}", std::env::consts::ARCH));
        }
        run(interpreter, pip.args(requirements)).await?;
        // A zip does not keep the times by which compiled modules are known to be current.
        let mut compile = Command::new(interpreter);
        run(interpreter, compile.args(["-c", COMPILE]).arg(folder)).await?;
        Ok(Self(folder.into()))
    }
}

async fn run(interpreter: &Path, command: &mut Command) -> Result<(), AgentError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(INSTALL_TIMEOUT, command.output()).await;
    let output = output
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| AgentError::Interpreter(interpreter.to_owned(), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().rev().take(5).collect();
    Err(AgentError::Install(
        lines.into_iter().rev().collect::<Vec<_>>().join("\n"),
    ))
}
