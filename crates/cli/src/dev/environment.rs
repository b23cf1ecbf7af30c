//! How an agent is started here: its interpreter, its dependencies, its environment.
//!
//! The dependencies are those that a deployment would package, built for this machine and the Python at hand; a
//! `.venv` beside the code is taken as it is. Variables come from the developer's shell, what the platform sets, the
//! project file, `agentcore/.env.local`, and the command line, later ones winning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_types::{Language, RuntimeKind};
use tempfile::TempDir;
use tokio::process::Command;

use super::DevError;
use crate::output::Printer;
use crate::package::{self, Arch, Installed};
use crate::project::{LOCKS, Project, RuntimeEntry};

/// Loaded by every Python before anything else.
const SITE: &str = include_str!("launch/sitecustomize.py");
/// Loaded by every Node before anything else.
const PRELOAD: &str = include_str!("launch/preload.cjs");

/// Which agent is to be run, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) entry: RuntimeEntry,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The folder of the code.
    pub(crate) code: PathBuf,
    pub(crate) region: String,
    /// Variables of the command line.
    pub(crate) variables: BTreeMap<String, String>,
    /// Where the agent is reached from outside.
    pub(crate) url: String,
}

/// An agent that can be started.
#[derive(Debug)]
pub(super) struct Prepared {
    interpreter: PathBuf,
    dependencies: Option<Installed>,
    environment: BTreeMap<String, String>,
    launch: TempDir,
    /// Worth telling the developer.
    pub(super) warning: Option<String>,
}

impl Plan {
    /// The port that the agent believes to listen on.
    pub(super) fn contract_port(&self) -> u16 {
        self.entry.protocol.default_port()
    }

    /// Finds the interpreter, installs the dependencies and reads the variables.
    pub(super) async fn prepare(&self, printer: &Printer) -> Result<Prepared, DevError> {
        let (interpreter, runtime) = self.interpreter().await?;
        let wanted = self.entry.runtime_version;
        let has_venv = interpreter.starts_with(&self.code);
        let warning =
            (runtime != wanted).then(|| format!("{wanted} is not on this machine; running with {runtime}"));
        let dependencies = if has_venv || runtime.language() == Language::Node {
            None
        } else {
            let request = package::Request {
                code: self.code.clone(),
                entry_file: self.entry.entry_file().to_owned(),
                runtime,
                arch: Arch::of_this_host().ok_or(DevError::Architecture)?,
                locks: self.root.join(LOCKS),
                refresh: false,
            };
            package::install_dependencies(&request, printer).await?
        };
        let launch = tempfile::tempdir().map_err(DevError::Launcher)?;
        for (name, text) in [("sitecustomize.py", SITE), ("preload.cjs", PRELOAD)] {
            std::fs::write(launch.path().join(name), text).map_err(DevError::Launcher)?;
        }
        Ok(Prepared {
            interpreter,
            dependencies,
            environment: self.environment()?,
            launch,
            warning,
        })
    }

    /// The interpreter, and the runtime it is.
    async fn interpreter(&self) -> Result<(PathBuf, RuntimeKind), DevError> {
        let wanted = self.entry.runtime_version;
        let venv = self.code.join(".venv/bin/python");
        if wanted.language() == Language::Python && venv.is_file() {
            return Ok((venv, wanted));
        }
        let name = wanted.interpreter();
        if runs(name).await {
            return Ok((name.into(), wanted));
        }
        if wanted.language() == Language::Python {
            for other in RuntimeKind::ALL.into_iter().rev() {
                if other.language() == Language::Python && runs(other.interpreter()).await {
                    return Ok((other.interpreter().into(), other));
                }
            }
        }
        Err(DevError::NoInterpreter(name))
    }

    fn environment(&self) -> Result<BTreeMap<String, String>, DevError> {
        let name = &self.entry.name;
        let mut environment = BTreeMap::from([
            ("DOCKER_CONTAINER".to_owned(), "1".to_owned()),
            ("AWS_REGION".to_owned(), self.region.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), self.region.clone()),
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
            (
                "OTEL_RESOURCE_ATTRIBUTES".to_owned(),
                format!("service.name={name}.DEV,aws.service.type=gen_ai_agent"),
            ),
            ("AGENTCORE_RUNTIME_URL".to_owned(), format!("{}/", self.url)),
        ]);
        // As they are now: they may have changed since the start.
        let project = Project::find(&self.root)?;
        environment.extend(project.runtime(Some(name.as_str()))?.environment());
        let local = project.local_variables()?.into_iter();
        environment.extend(local.map(|variable| (variable.name, variable.value)));
        environment.extend(self.variables.clone());
        Ok(environment)
    }
}

async fn runs(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    asked.await.is_ok_and(|output| output.status.success())
}

impl Prepared {
    /// The command that starts the agent, its port moved to `port`.
    pub(super) fn command(&self, plan: &Plan, port: u16) -> Command {
        let mut command = Command::new(&self.interpreter);
        let launch = self.launch.path();
        let moved = format!("{}:{port}", plan.contract_port());
        match plan.entry.runtime_version.language() {
            Language::Python => {
                let mut path = vec![launch.to_owned(), plan.code.clone()];
                path.extend(
                    self.dependencies
                        .as_ref()
                        .map(|installed| installed.path().to_owned()),
                );
                let path = path.iter().map(|folder| folder.display().to_string());
                let path = path.chain(self.environment.get("PYTHONPATH").cloned());
                let path = path.collect::<Vec<_>>().join(":");
                command.envs(&self.environment).env("PYTHONPATH", path);
            }
            Language::Node => {
                command
                    .envs(&self.environment)
                    .arg("--require")
                    .arg(launch.join("preload.cjs"));
            }
        }
        command
            .arg(plan.entry.entry_file())
            .current_dir(&plan.code)
            .env("AGENTCORE_DEV_MOVED_PORT", moved);
        command
    }
}
