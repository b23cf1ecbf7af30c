//! Measurements that are written in Python, because boto3 is what callers use: each a script beside `client.py`, run
//! with what to measure as its only argument, and its report read from what it prints.
//!
//! A [`Workshop`] is what they need on the host: an interpreter, packages from the package index, and a folder that
//! goes when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use coracle_types::RuntimeKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::process::Command;

use super::Cause;
use super::packages::{self, Packages};
use super::server::Server;
use crate::commands::output;

const CLIENT: &str = include_str!("client.py");

/// Where scripts are run and agents are packed.
pub(super) struct Workshop {
    pub(super) runtime: RuntimeKind,
    interpreter: PathBuf,
    packages: Packages,
    folder: TempDir,
}

/// An agent that a script deploys.
#[derive(Serialize)]
pub(super) struct PackedAgent {
    name: &'static str,
    runtime: &'static str,
    /// Where its main.py is on the host.
    folder: PathBuf,
    zip: PathBuf,
}

impl Workshop {
    /// One for this interpreter, which is of the version that the agents run with.
    ///
    /// # Errors
    /// When the packages cannot be installed.
    pub(super) async fn open(
        (runtime, interpreter): (RuntimeKind, PathBuf),
        requirements: &[&str],
    ) -> Result<Self, Cause> {
        let folder = tempfile::Builder::new().prefix("coracle-bench-").tempdir()?;
        output::progress("fetching packages from the package index");
        let packages = Packages::install(&interpreter, &folder.path().join("packages"), requirements).await?;
        Ok(Self {
            runtime,
            interpreter,
            packages,
            folder,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn packages(&self) -> &Path {
        self.packages.folder()
    }

    /// Packs an agent with the packages.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn pack(&self, name: &'static str, source: &'static str) -> Result<PackedAgent, Cause> {
        let (place, packages) = (self.folder().to_owned(), self.packages.clone());
        let packed =
            tokio::task::spawn_blocking(move || packages::pack(&place, name, source, &packages)).await?;
        let (folder, zip) = packed?;
        Ok(PackedAgent {
            name,
            runtime: self.runtime.as_str(),
            folder,
            zip,
        })
    }

    /// Runs a script that measures this server, and returns what it found.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub(super) async fn measure<R: DeserializeOwned>(
        &self,
        script: &str,
        server: &Server,
        plan: &impl Serialize,
    ) -> Result<R, Cause> {
        let mut command = self.command();
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", server.address))
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                server.data_dir().join("credentials"),
            )
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN");
        run(command, script, plan).await
    }

    /// Runs a script that needs no server.
    ///
    /// # Errors
    /// As [`Workshop::measure`].
    pub(super) async fn run<R: DeserializeOwned>(
        &self,
        script: &str,
        plan: &impl Serialize,
    ) -> Result<R, Cause> {
        run(self.command(), script, plan).await
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .env("PYTHONPATH", self.packages())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

async fn run<R: DeserializeOwned>(
    mut command: Command,
    script: &str,
    plan: &impl Serialize,
) -> Result<R, Cause> {
    let folder = tempfile::Builder::new()
        .prefix("coracle-bench-script-")
        .tempdir()?;
    let main = folder.path().join("main.py");
    std::fs::write(&main, script)?;
    std::fs::write(folder.path().join("client.py"), CLIENT)?;
    let output = command
        .arg(main)
        .arg(serde_json::to_string(plan)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?
        .wait_with_output()
        .await?;
    if !output.status.success() {
        return Err(format!("the measurement ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
