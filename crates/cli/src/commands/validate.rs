//! `agentcore validate`: finds what would make `deploy` fail, or would be ignored by it, without sending anything.

use std::path::Path;

use coracle_types::Language;
use serde_json::json;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{Printer, count};
use crate::project::{Build, Project, RuntimeEntry};

pub(super) fn run(global: &Global, printer: &Printer) -> Result<(), Failure> {
    let project = Project::find(global.path.as_deref().unwrap_or(Path::new(".")))?;
    if project.runtimes.is_empty() {
        project.runtime(None)?;
    }
    project.target(global.target.as_deref())?;
    let problems: Vec<_> = project
        .runtimes
        .iter()
        .flat_map(|entry| {
            problems(&project, entry)
                .into_iter()
                .map(move |text| (entry.name.to_string(), text))
        })
        .collect();
    for (runtime, problem) in &problems {
        if printer.json {
            printer.json(&json!({ "runtime": runtime, "problem": problem }))?;
        } else {
            printer.line(&format!("{runtime}: {problem}"))?;
        }
    }
    if !problems.is_empty() {
        let file = project.root.join("agentcore/agentcore.json");
        return Err(Failure::usage(
            format!("the project has {} to mend", count(problems.len(), "thing")),
            format!("they are in {}, or missing beside it", file.display()),
        ));
    }
    let runtimes = count(project.runtimes.len(), "runtime");
    printer.done(&format!("{} is in order: {runtimes}", project.root.display()));
    if printer.json {
        printer.json(&json!({ "valid": true, "runtimes": project.runtimes.len() }))?;
    }
    Ok(())
}

fn problems(project: &Project, entry: &RuntimeEntry) -> Vec<String> {
    let mut problems = Vec::new();
    let code = project.root.join(&entry.code_location);
    let same_name = |other: &&RuntimeEntry| other.name == entry.name;
    if project.runtimes.iter().filter(same_name).count() > 1 {
        problems.push("another runtime has the same `name`".to_owned());
    }
    if !code.is_dir() {
        problems.push(format!(
            "`codeLocation` {} is no folder",
            entry.code_location.display()
        ));
        return problems;
    }
    match entry.build {
        Build::Container if !code.join("Dockerfile").is_file() => {
            problems.push(format!(
                "`build` is Container, and there is no Dockerfile in {}",
                code.display()
            ));
        }
        Build::CodeZip => problems.extend(entry_point(entry, &code)),
        Build::Container => {}
    }
    if let Some(lifecycle) = entry.lifecycle_configuration
        && let (Some(idle), Some(most)) = (lifecycle.idle_runtime_session_timeout, lifecycle.max_lifetime)
        && idle > most
    {
        problems.push(format!(
            "`idleRuntimeSessionTimeout` {idle} is longer than `maxLifetime` {most}"
        ));
    }
    problems
}

fn entry_point(entry: &RuntimeEntry, code: &Path) -> Option<String> {
    let (file, runtime) = (entry.entry_file(), entry.runtime_version);
    let ending = runtime.entry_point_extension();
    if !file.ends_with(ending) {
        return Some(format!(
            "`entrypoint` {file} does not end in {ending}, as {runtime} needs"
        ));
    }
    if !code.join(file).is_file() {
        return Some(format!("`entrypoint` {file} is not in {}", code.display()));
    }
    let dependencies = ["requirements.txt", "pyproject.toml"];
    let has_some = dependencies.iter().any(|name| code.join(name).is_file());
    let warns = runtime.language() == Language::Python && !has_some && uses_the_sdk(&code.join(file));
    warns.then(|| {
        format!(
            "{file} imports bedrock_agentcore, and neither requirements.txt nor pyproject.toml asks for it"
        )
    })
}

fn uses_the_sdk(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| {
        text.lines().any(|line| {
            line.starts_with("from bedrock_agentcore") || line.starts_with("import bedrock_agentcore")
        })
    })
}
