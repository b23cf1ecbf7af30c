//! The project file, `agentcore/agentcore.json`, in the layout of the `agentcore` tool from npm: found from the
//! current folder upward. Members we do not use are ignored, so that its projects work here unchanged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use coracle_types::{RuntimeKind, RuntimeName, ServerProtocol};
use coracle_wire::control::FilesystemConfiguration;
use serde::{Deserialize, Serialize};

/// More than any real project file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What makes a folder a project.
pub(crate) const PROJECT_FILE: &str = "agentcore/agentcore.json";
/// Variables of the agent that are kept out of version control, in the project's folder.
pub(crate) const LOCAL_VARIABLES: &str = "agentcore/.env.local";

/// Where it is written down which packages were chosen, in the project's folder.
pub(crate) const LOCKS: &str = "agentcore/locks";

/// A project on disk.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder that holds `agentcore/` and `app/`.
    pub(crate) root: PathBuf,
    pub(crate) runtimes: Vec<RuntimeEntry>,
    pub(crate) targets: Vec<Target>,
}

/// One agent of the project.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuntimeEntry {
    pub(crate) name: RuntimeName,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) build: Build,
    pub(crate) entrypoint: String,
    pub(crate) code_location: PathBuf,
    #[serde(default = "default_runtime_version")]
    pub(crate) runtime_version: RuntimeKind,
    #[serde(default)]
    pub(crate) env_vars: Vec<Variable>,
    #[serde(default = "public")]
    pub(crate) network_mode: String,
    pub(crate) network_config: Option<NetworkConfig>,
    #[serde(default)]
    pub(crate) instrumentation: Instrumentation,
    #[serde(default)]
    pub(crate) protocol: ServerProtocol,
    pub(crate) request_header_allowlist: Option<Vec<String>>,
    pub(crate) execution_role_arn: Option<String>,
    pub(crate) lifecycle_configuration: Option<Lifecycle>,
    /// In the words of the API.
    pub(crate) filesystem_configurations: Option<Vec<FilesystemConfiguration>>,
}

/// How an agent becomes an artifact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[clap(rename_all = "PascalCase")]
pub(crate) enum Build {
    /// A zip of the code and its dependencies.
    #[default]
    #[value(alias = "direct_code_deploy")]
    CodeZip,
    /// A container image from the Dockerfile beside the code.
    Container,
}

impl Build {
    /// The project file's spelling.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CodeZip => "CodeZip",
            Self::Container => "Container",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("write it as NAME=value")?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkConfig {
    #[serde(default)]
    pub(crate) subnets: Vec<String>,
    #[serde(default)]
    pub(crate) security_groups: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instrumentation {
    pub(crate) enable_otel: bool,
}

impl Default for Instrumentation {
    fn default() -> Self {
        Self { enable_otel: true }
    }
}

/// Seconds.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_runtime_session_timeout: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_lifetime: Option<i32>,
}

/// An entry of `agentcore/aws-targets.json`. `endpointUrl` is ours: it names a server that is not AWS.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) region: Option<String>,
    pub(crate) endpoint_url: Option<String>,
}

#[derive(Deserialize)]
struct ProjectFile {
    #[serde(default)]
    runtimes: Vec<RuntimeEntry>,
}

fn default_runtime_version() -> RuntimeKind {
    RuntimeKind::Python314
}

fn public() -> String {
    "PUBLIC".to_owned()
}

/// What is wrong with a project.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error("there is no agentcore/agentcore.json in `{}` or any folder above it", .0.display())]
    NotFound(PathBuf),
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is not what it should be", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{}` is not what it should be", path.display())]
    MalformedVariables {
        path: PathBuf,
        #[source]
        source: dotenvy::Error,
    },
    #[error("the project has no runtime `{wanted}`; it has {}", list(available))]
    UnknownRuntime { wanted: String, available: Vec<String> },
    #[error("the project has several runtimes: {}", list(.0))]
    Ambiguous(Vec<String>),
    #[error("the project has no runtimes")]
    NoRuntimes,
    #[error("aws-targets.json has no target `{wanted}`; it has {}", list(available))]
    UnknownTarget { wanted: String, available: Vec<String> },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl ProjectError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotFound(_) => {
                "`agentcore create` makes a project; or change into the folder of one, or pass --path"
                    .to_owned()
            }
            Self::Unreadable { .. } => "check that the file can be read".to_owned(),
            Self::Malformed { .. } => "the cause names the line and what was expected there".to_owned(),
            Self::MalformedVariables { .. } => "each line is NAME=value or a comment".to_owned(),
            Self::UnknownRuntime { .. } | Self::Ambiguous(_) => "name one with --runtime".to_owned(),
            Self::NoRuntimes => "add one to `runtimes` in agentcore/agentcore.json".to_owned(),
            Self::UnknownTarget { .. } => "name one of those with --target".to_owned(),
        }
    }
}

impl Project {
    /// Finds the project that `start` is in and reads it.
    ///
    /// # Errors
    /// When there is none, or its files are not what they should be.
    pub(crate) fn find(start: &Path) -> Result<Self, ProjectError> {
        let start = std::path::absolute(start).map_err(|source| ProjectError::Unreadable {
            path: start.to_owned(),
            source,
        })?;
        let root = start
            .ancestors()
            .find(|folder| folder.join(PROJECT_FILE).is_file())
            .ok_or_else(|| ProjectError::NotFound(start.clone()))?;
        let file: ProjectFile = read_json(&root.join(PROJECT_FILE))?;
        let targets = root.join("agentcore/aws-targets.json");
        let targets = if targets.is_file() {
            read_json(&targets)?
        } else {
            Vec::new()
        };
        Ok(Self {
            root: root.to_owned(),
            runtimes: file.runtimes,
            targets,
        })
    }

    /// The variables of [`LOCAL_VARIABLES`], if there is such a file.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(crate) fn local_variables(&self) -> Result<Vec<Variable>, ProjectError> {
        let path = self.root.join(LOCAL_VARIABLES);
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = read_text(&path)?;
        dotenvy::from_read_iter(text.as_bytes())
            .map(|line| line.map(|(name, value)| Variable { name, value }))
            .collect::<Result<_, _>>()
            .map_err(|source| ProjectError::MalformedVariables { path, source })
    }

    /// The runtime of this name, or the only one.
    ///
    /// # Errors
    /// When there is none of that name, or several to choose from.
    pub(crate) fn runtime(&self, wanted: Option<&str>) -> Result<&RuntimeEntry, ProjectError> {
        let available = || {
            self.runtimes
                .iter()
                .map(|entry| entry.name.to_string())
                .collect::<Vec<_>>()
        };
        match (wanted, self.runtimes.as_slice()) {
            (Some(wanted), entries) => entries
                .iter()
                .find(|entry| entry.name.as_str() == wanted)
                .ok_or_else(|| ProjectError::UnknownRuntime {
                    wanted: wanted.to_owned(),
                    available: available(),
                }),
            (None, []) => Err(ProjectError::NoRuntimes),
            (None, [only]) => Ok(only),
            (None, _) => Err(ProjectError::Ambiguous(available())),
        }
    }

    /// The target of this name, or the first one if there is any.
    ///
    /// # Errors
    /// When a name was given and there is none of that name.
    pub(crate) fn target(&self, wanted: Option<&str>) -> Result<Option<&Target>, ProjectError> {
        let Some(wanted) = wanted else {
            return Ok(self.targets.first());
        };
        match self.targets.iter().find(|target| target.name == wanted) {
            Some(target) => Ok(Some(target)),
            None => Err(ProjectError::UnknownTarget {
                wanted: wanted.to_owned(),
                available: self.targets.iter().map(|target| target.name.clone()).collect(),
            }),
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ProjectError> {
    serde_json::from_str(&read_text(path)?).map_err(|source| ProjectError::Malformed {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, ProjectError> {
    let unreadable = |source| ProjectError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

impl RuntimeEntry {
    /// The agent's environment variables.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.env_vars
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect()
    }

    /// The entry file, without the symbol that may follow it.
    pub(crate) fn entry_file(&self) -> &str {
        self.entrypoint
            .split_once(':')
            .map_or(self.entrypoint.as_str(), |(file, _)| file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> (tempfile::TempDir, Result<Project, ProjectError>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("agentcore")).unwrap();
        std::fs::create_dir_all(folder.path().join("app/deep")).unwrap();
        std::fs::write(folder.path().join("agentcore/agentcore.json"), text).unwrap();
        let found = Project::find(&folder.path().join("app/deep"));
        (folder, found)
    }

    #[test]
    fn a_project_of_the_npm_tool_is_found_from_below_and_read() {
        let (folder, found) = project(
            r#"{"$schema": "x", "name": "Shop", "version": 1, "managedBy": "CDK", "memories": [],
               "runtimes": [{"name": "Clerk", "build": "CodeZip", "entrypoint": "main.py:app",
                 "codeLocation": "app/Clerk/", "runtimeVersion": "PYTHON_3_13", "networkMode": "PUBLIC",
                 "envVars": [{"name": "A", "value": "1"}], "endpoints": {}}]}"#,
        );
        let project = found.unwrap();
        assert_eq!(project.root, folder.path());
        let runtime = project.runtime(None).unwrap();
        assert_eq!(runtime.runtime_version, RuntimeKind::Python313);
        assert!(runtime.instrumentation.enable_otel);
        assert_eq!(runtime.environment().get("A").map(String::as_str), Some("1"));
    }

    #[test]
    fn local_variables_are_read_where_there_are_any() {
        let (folder, found) = project("{\"runtimes\": []}");
        let project = found.unwrap();
        assert!(project.local_variables().unwrap().is_empty());
        let write = |text: &str| std::fs::write(folder.path().join(LOCAL_VARIABLES), text).unwrap();
        write("# mine\nKEY='a b'\nexport OTHER=1\n");
        let variables = project.local_variables().unwrap();
        let pairs: Vec<_> = variables
            .iter()
            .map(|each| (each.name.as_str(), each.value.as_str()))
            .collect();
        assert_eq!(pairs, [("KEY", "a b"), ("OTHER", "1")]);
        write("no variable\n");
        let error = project.local_variables().unwrap_err();
        assert!(error.hint().contains("NAME=value"), "{error}");
    }

    #[test]
    fn a_malformed_project_file_says_where() {
        let (_folder, found) = project("{\"runtimes\": [{\"name\": \"with-hyphen\"}]}");
        let error = found.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("line 1"), "{cause}");
    }

    #[test]
    fn several_runtimes_need_a_name() {
        let entry =
            |name: &str| format!(r#"{{"name": "{name}", "entrypoint": "m.py", "codeLocation": "app"}}"#);
        let (_folder, found) = project(&format!("{{\"runtimes\": [{}, {}]}}", entry("one"), entry("two")));
        let project = found.unwrap();
        assert!(
            matches!(project.runtime(None), Err(ProjectError::Ambiguous(names)) if names == ["one", "two"])
        );
        assert_eq!(project.runtime(Some("two")).unwrap().name.as_str(), "two");
        assert!(project.runtime(Some("three")).is_err());
    }
}
