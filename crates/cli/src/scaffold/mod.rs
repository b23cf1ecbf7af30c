//! New projects: what they can be made of ([`choices`]), and the files that they are. Everything but [`write`] is pure.
//!
//! The layout is that of the `agentcore` tool from npm, so that either tool's projects work with the other:
//!
//! ```text
//! Boat/
//!   README.md  pytest.ini  tests/
//!   agentcore/  agentcore.json  aws-targets.json  .env.local
//!   app/Boat/   main.py  agent.py  model.py  settings.py  …
//! ```

mod choices;
mod python;
mod readme;
mod typescript;

use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

pub(crate) use self::choices::{
    Choices, Conflict, Framework, Language, Memory, ModelProvider, PROVIDERS, Protocol, check_name,
};
use crate::project::{Build, LOCAL_VARIABLES, Lifecycle, PROJECT_FILE};

/// A file of a project.
#[derive(Debug)]
pub(crate) struct File {
    /// Where, in the project's folder.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

pub(crate) type Files = Vec<File>;

/// A project's file, with the one runtime of a new project.
#[derive(Serialize)]
struct ProjectFile<'a> {
    name: &'a str,
    version: u32,
    runtimes: [&'a Runtime<'a>; 1],
}

/// The runtime of a project, as its file describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Runtime<'a> {
    pub(crate) name: &'a str,
    pub(crate) build: &'static str,
    pub(crate) entrypoint: &'a str,
    pub(crate) code_location: &'a str,
    pub(crate) runtime_version: &'a str,
    pub(crate) protocol: &'static str,
    pub(crate) network_mode: &'static str,
    pub(crate) instrumentation: Instrumentation,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) request_header_allowlist: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) execution_role_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle_configuration: Option<Lifecycle>,
}

impl Default for Runtime<'_> {
    fn default() -> Self {
        Self {
            name: "",
            build: Build::CodeZip.as_str(),
            entrypoint: "",
            code_location: "./",
            runtime_version: python::RUNTIME,
            protocol: Protocol::HTTP.as_str(),
            network_mode: "PUBLIC",
            instrumentation: Instrumentation { enable_otel: false },
            request_header_allowlist: &[],
            execution_role_arn: None,
            lifecycle_configuration: None,
        }
    }
}

/// Whether the agent is started with OpenTelemetry's launcher.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Instrumentation {
    pub(crate) enable_otel: bool,
}

/// All files of a new project, sorted by their paths.
///
/// # Errors
/// When they cannot be put into JSON.
pub(crate) fn files(choices: &Choices, api_key: Option<&SecretString>) -> serde_json::Result<Files> {
    let (entrypoint, runtime_version, mut files) = match choices.language {
        Language::Python => (python::ENTRY_FILE, python::RUNTIME, python::files(choices)),
        Language::TypeScript => (
            typescript::ENTRY_FILE,
            typescript::RUNTIME,
            typescript::files(choices),
        ),
    };
    let runtime = Runtime {
        name: &choices.name,
        build: choices.build.as_str(),
        entrypoint,
        code_location: &choices.code_folder(),
        runtime_version,
        protocol: choices.protocol.as_str(),
        ..Runtime::default()
    };
    files.extend(project_files(&choices.name, &runtime)?);
    files.push(local_variables(choices, api_key));
    files.push(File::new("README.md", readme::text(choices)));
    files.push(File::new(".gitignore", ".venv/\n__pycache__/\n.pytest_cache/\n"));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The files that make any folder a project.
///
/// # Errors
/// When they cannot be put into JSON.
pub(crate) fn project_files(name: &str, runtime: &Runtime<'_>) -> serde_json::Result<Files> {
    let project = ProjectFile {
        name,
        version: 1,
        runtimes: [runtime],
    };
    let project = serde_json::to_string_pretty(&project)?;
    Ok(vec![
        File::new(PROJECT_FILE, project + "\n"),
        File::new("agentcore/aws-targets.json", "[]\n"),
        File::new("agentcore/.gitignore", ".env.local\n.cli/\n"),
    ])
}

fn local_variables(choices: &Choices, api_key: Option<&SecretString>) -> File {
    let mut text =
        "# Variables of the agent on this machine and where it is deployed. Not for version control.\n"
            .to_owned();
    if let Some(service) = choices.provider.chat_service() {
        let variable = service.key_variable;
        match api_key {
            Some(key) => text += &format!("{variable}='{}'\n", key.expose_secret()),
            None => text += &format!("# {variable}=\n"),
        }
    }
    if choices.protocol != Protocol::MCP {
        text += "# MODEL_ID=\n# MODEL_URL=stub\n";
    }
    File::new(LOCAL_VARIABLES, text)
}

/// Writes a project beside its final place and gives it its name when it is complete.
///
/// # Errors
/// When there is something of that name, or a file cannot be written.
pub(crate) fn write(folder: &Path, files: &Files) -> Result<(), WriteError> {
    if folder.exists() {
        return Err(WriteError::Taken(folder.to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Write { path, source }
    };
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed(parent))?;
    let draft = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
    let draft = draft.map_err(failed(parent))?;
    for file in files {
        let path = draft.path().join(&file.path);
        write_file(&path, &file.text).map_err(failed(&path))?;
    }
    std::fs::rename(draft.path(), folder).map_err(failed(folder))?;
    drop(draft.keep());
    Ok(())
}

/// Adds a file to a folder that is there, unless it has one of that name.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn add(folder: &Path, file: &File) -> Result<(), WriteError> {
    let path = folder.join(&file.path);
    if path.exists() {
        return Ok(());
    }
    write_file(&path, &file.text).map_err(|source| WriteError::Write { path, source })
}

/// Writes one file and the folders it is in.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text)
}

/// Why a project was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("`{}` is there already", .0.display())]
    Taken(PathBuf),
    #[error("the project file cannot be put into JSON")]
    Describe(#[source] serde_json::Error),
    #[error("`{}` cannot be written", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Taken(_) => Some("choose another --name, or another folder with --output-dir".to_owned()),
            Self::Write { .. } => Some("choose a folder you may write to with --output-dir".to_owned()),
            Self::Describe(_) => None,
        }
    }
}
