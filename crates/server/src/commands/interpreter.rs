//! Interpreters on this machine's PATH, which the `process` driver runs agents with.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use coracle_server::drivers::program_on_path;
use coracle_types::RuntimeKind;
use tokio::process::Command;

/// How long a program may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a program answers to `--version`, if it runs.
pub(super) async fn version(program: impl AsRef<std::ffi::OsStr>) -> Option<String> {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await.ok()?.ok()?;
    let first = output
        .stdout
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(first).trim().to_owned())
}

/// The interpreter of a runtime with its version. That it is on the PATH is not enough: version managers put
/// programs there which only say that they are not installed.
pub(super) async fn interpreter(runtime: RuntimeKind) -> Option<(PathBuf, String)> {
    let program = program_on_path(runtime.interpreter())?;
    let version = version(&program).await?;
    Some((program, version))
}
