//! `agentcore configure`: writes the project file for code that is there already, and changes nothing else.

use std::path::{Path, PathBuf};

use coracle_types::RuntimeName;

use crate::args::{Configure, Global};
use crate::failure::Failure;
use crate::output::Printer;
use crate::project::{Lifecycle, PROJECT_FILE};
use crate::scaffold::{self, Runtime, WriteError};

/// What an entry file is called where only its folder is named, in the order they are looked for.
const ENTRY_FILES: [&str; 3] = ["main.py", "agent.py", "app.py"];

pub(super) fn run(global: &Global, arguments: &Configure, printer: &Printer) -> Result<(), Failure> {
    let root = global.path.clone().unwrap_or_else(|| PathBuf::from("."));
    if root.join(PROJECT_FILE).exists() {
        return Err(Failure::usage(
            format!("`{}` is there already", root.join(PROJECT_FILE).display()),
            "edit it, or remove it to have it written anew",
        ));
    }
    let (folder, file) = entry_file(&root, &arguments.entrypoint)?;
    check_requirements(&root, &folder, arguments.requirements_file.as_deref())?;
    let name = name(arguments, &root, &file)?;
    let lifecycle = Lifecycle {
        idle_runtime_session_timeout: arguments.idle_timeout,
        max_lifetime: arguments.max_lifetime,
    };
    let has_lifecycle = arguments.idle_timeout.is_some() || arguments.max_lifetime.is_some();
    let mut runtime = Runtime {
        name: name.as_str(),
        build: arguments.build.as_str(),
        entrypoint: &file,
        code_location: &folder,
        protocol: arguments.protocol.as_str(),
        request_header_allowlist: &arguments.request_header_allowlist,
        execution_role_arn: arguments.execution_role.as_deref(),
        lifecycle_configuration: has_lifecycle.then_some(lifecycle),
        ..Runtime::default()
    };
    if let Some(kind) = arguments.runtime_version {
        runtime.runtime_version = kind.as_str();
    }
    let files = scaffold::project_files(name.as_str(), &runtime).map_err(WriteError::Describe)?;
    for file in &files {
        scaffold::add(&root, file)?;
    }
    report(printer, &root, &folder, name.as_str())
}

/// The code folder, from the project's, and the entry file in it.
fn entry_file(root: &Path, given: &Path) -> Result<(String, String), Failure> {
    let missing = || {
        Failure::usage(
            format!("there is no agent at `{}`", given.display()),
            "name the script, or a folder with a main.py, agent.py or app.py, inside the project's folder",
        )
    };
    let real = |path: &Path| path.canonicalize().map_err(|_| missing());
    let (root, path) = (real(root)?, real(&root.join(given))?);
    let path = if path.is_dir() {
        let found = ENTRY_FILES
            .map(|name| path.join(name))
            .into_iter()
            .find(|path| path.is_file());
        found.ok_or_else(missing)?
    } else {
        path
    };
    let inside = path.strip_prefix(&root).map_err(|_| missing())?;
    let folder = inside.parent().and_then(Path::to_str).ok_or_else(missing)?;
    let file = inside
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(missing)?;
    let folder = if folder.is_empty() {
        "./".to_owned()
    } else {
        format!("{folder}/")
    };
    Ok((folder, file.to_owned()))
}

/// Deploying reads the list of packages beside the code, so another one would be passed over in silence.
fn check_requirements(root: &Path, folder: &str, given: Option<&Path>) -> Result<(), Failure> {
    let Some(given) = given else {
        return Ok(());
    };
    let expected = root.join(folder).join("requirements.txt");
    let same = |one: &Path, other: &Path| matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other);
    if same(&root.join(given), &expected) {
        return Ok(());
    }
    Err(Failure::usage(
        format!("`{}` is not read when the agent is deployed", given.display()),
        format!("move it to `{}`", expected.display()),
    ))
}

/// The name that was given, or one made of the file's; of the folder's where the file's says nothing.
fn name(arguments: &Configure, root: &Path, file: &str) -> Result<RuntimeName, Failure> {
    let hint = "use a letter, then letters, digits and underscores, at most 48: --name";
    if let Some(name) = &arguments.name {
        return name
            .parse()
            .map_err(|_| Failure::usage(format!("`{name}` is not a name for a runtime"), hint));
    }
    let stem = file.split('.').next().unwrap_or(file);
    let folder = root.canonicalize().ok();
    let folder = folder
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let source = match folder {
        Some(folder) if ENTRY_FILES.contains(&file) => folder,
        _ => stem,
    };
    let name: String = source
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    name.parse()
        .map_err(|_| Failure::usage(format!("no name can be made of `{source}`"), hint))
}

fn report(printer: &Printer, root: &Path, folder: &str, name: &str) -> Result<(), Failure> {
    if printer.json {
        let file = root.join(PROJECT_FILE).display().to_string();
        return printer.json(&serde_json::json!({ "name": name, "projectFile": file }));
    }
    printer.done(&format!("{name} is described in {PROJECT_FILE}"));
    let lists = ["requirements.txt", "pyproject.toml"];
    if !lists.iter().any(|list| root.join(folder).join(list).is_file()) {
        printer.info(&format!(
            "There is no requirements.txt in {folder}: no packages will be installed"
        ));
    }
    printer.line("Next: agentcore deploy")
}
