//! How an agent is started here: its interpreter, its dependencies, its environment.
//!
//! The dependencies are those that a deployment would package, built for this machine and the Python at hand; a
//! `.venv` beside the code is taken as it is. Packages of npm are installed beside the code, and TypeScript runs
//! unbuilt, through the tsx among them, so that a change shows at once. Variables come from the developer's shell, what the platform sets, the
//! project file, `agentcore/.env.local`, and the command line, later ones winning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coracle_types::{Language, RuntimeKind};
use tempfile::TempDir;
use tokio::process::Command;

use super::{DevError, otlp};
use crate::output::Printer;
use crate::package::{self, Arch, Installed};
use crate::project::{LOCKS, Project, RuntimeEntry};

/// Loaded by every Python before anything else.
const SITE: &str = include_str!("launch/sitecustomize.py");
/// Loaded by every Node before anything else.
const PRELOAD: &str = include_str!("launch/preload.cjs");

/// Where OpenTelemetry's own `sitecustomize.py` lies among the packages; ours loads it.
const OTEL_STARTER: &str = "opentelemetry/instrumentation/auto_instrumentation";

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
    /// As the project's file had it when this was prepared.
    plan: Plan,
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

    /// The plan as the project's file now has it; a protocol stays what it was at the start.
    fn renewed(&self, project: &Project) -> Result<Self, DevError> {
        let entry = project.runtime(Some(self.entry.name.as_str()))?.clone();
        Ok(Self {
            code: self.root.join(&entry.code_location),
            entry: RuntimeEntry {
                protocol: self.entry.protocol,
                ..entry
            },
            ..self.clone()
        })
    }

    /// Reads the project, finds the interpreter, and installs the dependencies.
    pub(super) async fn prepare(&self, printer: &Printer) -> Result<Prepared, DevError> {
        let project = Project::find(&self.root)?;
        self.renewed(&project)?.prepare_from(&project, printer).await
    }

    async fn prepare_from(self, project: &Project, printer: &Printer) -> Result<Prepared, DevError> {
        let (interpreter, runtime) = self.interpreter().await?;
        let wanted = self.entry.runtime_version;
        let warning =
            (runtime != wanted).then(|| format!("{wanted} is not on this machine; running with {runtime}"));
        let dependencies = self.dependencies(&interpreter, runtime, printer).await?;
        let launch = tempfile::tempdir().map_err(DevError::Launcher)?;
        for (name, text) in [("sitecustomize.py", SITE), ("preload.cjs", PRELOAD)] {
            std::fs::write(launch.path().join(name), text).map_err(DevError::Launcher)?;
        }
        Ok(Prepared {
            interpreter,
            dependencies,
            environment: self.environment(project)?,
            launch,
            warning,
            plan: self,
        })
    }

    /// Installs what the agent asks for; `None` where it lies beside the code.
    async fn dependencies(
        &self,
        interpreter: &Path,
        runtime: RuntimeKind,
        printer: &Printer,
    ) -> Result<Option<Installed>, DevError> {
        if runtime.language() == Language::Node {
            package::install_node_packages(&self.code, printer).await?;
            if self.is_typescript() && !self.has_tsx() {
                return Err(DevError::NoTsx(self.code.clone()));
            }
            return Ok(None);
        }
        if interpreter.starts_with(&self.code) {
            return Ok(None);
        }
        let request = package::Request {
            code: self.code.clone(),
            entry_file: self.entry.entry_file().to_owned(),
            runtime,
            arch: Arch::of_this_host().ok_or(DevError::Architecture)?,
            locks: self.root.join(LOCKS),
            refresh: false,
        };
        Ok(package::install_dependencies(&request, printer).await?)
    }

    /// Has the agent export its spans to us, unless the developer has somebody else who takes them.
    fn telemetry(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let taken = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some());
        let variables = [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("{}{}", self.url, otlp::BASE),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
            ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
            ("OTEL_METRICS_EXPORTER", "none".to_owned()),
            ("OTEL_LOGS_EXPORTER", "none".to_owned()),
            // Somebody is looking.
            ("OTEL_BSP_SCHEDULE_DELAY", "500".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        variables.into_iter().filter(move |_| !taken)
    }

    fn is_typescript(&self) -> bool {
        self.entry.entry_file().ends_with(".ts")
    }

    /// Whether Node finds tsx from the code on.
    fn has_tsx(&self) -> bool {
        let mut folders = self.code.ancestors();
        folders.any(|folder| folder.join("node_modules/tsx").is_dir())
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

    fn environment(&self, project: &Project) -> Result<BTreeMap<String, String>, DevError> {
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
        environment.extend(self.telemetry());
        environment.extend(self.entry.environment());
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
    pub(super) fn command(&self, port: u16) -> Command {
        let plan = &self.plan;
        let mut command = Command::new(&self.interpreter);
        let launch = self.launch.path();
        let moved = format!("{}:{port}", plan.contract_port());
        match plan.entry.runtime_version.language() {
            Language::Python => {
                let mut path = vec![launch.to_owned(), plan.code.clone()];
                let packages = self.dependencies.as_ref().map(Installed::path);
                path.extend(packages.map(Path::to_owned));
                if plan.entry.instrumentation.enable_otel {
                    // What `opentelemetry-instrument` does, which starts the agent where it is deployed.
                    path.extend(packages.map(|folder| folder.join(OTEL_STARTER)));
                }
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
                if plan.is_typescript() {
                    command.args(["--import", "tsx"]);
                }
            }
        }
        command
            .arg(plan.entry.entry_file())
            .current_dir(&plan.code)
            .env("AGENTCORE_DEV_MOVED_PORT", moved);
        command
    }
}
