//! `agentcore doctor`: looks at what a developer needs, one thing after the other, and says what is wrong and what
//! to do about it. Nothing is changed.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use coracle_types::{Language, RuntimeKind};
use serde_json::json;
use tokio::process::Command;

use super::Place;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::Printer;
use crate::project::{Build, Project, ProjectError, RuntimeEntry};

/// What a look at one thing found.
struct Finding {
    what: &'static str,
    /// What is so, or else what is wrong and what to do about it.
    state: Result<String, (String, String)>,
}

impl Finding {
    fn good(what: &'static str, text: impl Into<String>) -> Self {
        let state = Ok(text.into());
        Self { what, state }
    }

    fn bad(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        let state = Err((text.into(), advice.into()));
        Self { what, state }
    }
}

pub(super) async fn run(global: &Global, printer: &Printer) -> Result<(), Failure> {
    let mut findings = project(global).await;
    findings.extend(server(global, printer).await);
    for Finding { what, state } in &findings {
        if printer.json {
            let (text, advice) = match state {
                Ok(text) => (text, None),
                Err((text, advice)) => (text, Some(advice)),
            };
            printer.json(&json!({ "check": what, "ok": state.is_ok(), "found": text, "advice": advice }))?;
            continue;
        }
        match state {
            Ok(text) => printer.line(&format!("✓ {what}: {text}"))?,
            Err((text, advice)) => printer.line(&format!("✗ {what}: {text}\n    {advice}"))?,
        }
    }
    match findings.iter().filter(|finding| finding.state.is_err()).count() {
        0 => Ok(()),
        failed => Err(Failure::Unready(failed)),
    }
}

async fn project(global: &Global) -> Vec<Finding> {
    let project = match Project::find(global.path.as_deref().unwrap_or(Path::new("."))) {
        Ok(project) => project,
        Err(ProjectError::NotFound(_)) => {
            return vec![Finding::good("project", "none here; most commands want one")];
        }
        Err(error) => return vec![Finding::bad("project", error.to_string(), error.hint())],
    };
    let mut findings = vec![Finding::good("project", project.root.display().to_string())];
    for entry in &project.runtimes {
        findings.extend(tools(entry).await);
    }
    findings
}

/// The programs that this agent is packaged and run with.
async fn tools(entry: &RuntimeEntry) -> Vec<Finding> {
    let mut findings = Vec::new();
    if entry.build == Build::Container {
        findings.push(match first_of(&["buildah", "podman", "docker"]).await {
            Some(found) => Finding::good("container builder", found),
            None => Finding::bad(
                "container builder",
                "none was found",
                "install buildah, podman or docker",
            ),
        });
        return findings;
    }
    findings.push(interpreter(entry).await);
    if entry.runtime_version.language() == Language::Python {
        let uv = first_of(&["uv"]).await;
        let pip = first_of_arguments("python3", &["-m", "pip", "--version"]).await;
        findings.push(match uv.or(pip) {
            Some(found) => Finding::good("installer", found),
            None => Finding::bad(
                "installer",
                "neither uv nor pip was found",
                "install uv (https://docs.astral.sh/uv), or Python with pip",
            ),
        });
    }
    findings
}

/// What runs this agent here; another version of its language will do.
async fn interpreter(entry: &RuntimeEntry) -> Finding {
    let wanted = entry.runtime_version;
    if let Some(found) = first_of(&[wanted.interpreter()]).await {
        return Finding::good("interpreter", found);
    }
    let others = RuntimeKind::ALL.into_iter().rev();
    let others = others.filter(|other| other.language() == wanted.language());
    let others: Vec<_> = others.map(RuntimeKind::interpreter).collect();
    let name = wanted.interpreter();
    match first_of(&others).await {
        Some(found) => {
            let text = format!("{found}, by which `agentcore dev` runs the agent, since {name} is not here");
            Finding::good("interpreter", text)
        }
        None => Finding::bad(
            "interpreter",
            format!("{name} is not on the PATH; deploying works, running it here does not"),
            format!("install it, or change `runtimeVersion` of {}", entry.name),
        ),
    }
}

async fn first_of(programs: &[&str]) -> Option<String> {
    for program in programs {
        if let Some(version) = first_of_arguments(program, &["--version"]).await {
            return Some(version);
        }
    }
    None
}

/// The first line that a program prints, if it runs.
async fn first_of_arguments(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or(program).trim().to_owned())
}

async fn server(global: &Global, printer: &Printer) -> Vec<Finding> {
    let context = match Place::find(global, printer).and_then(|place| place.connect(false)) {
        Ok(context) => context,
        Err(failure) => {
            return vec![Finding::bad(
                "settings",
                failure.to_string(),
                failure.hint().unwrap_or_default(),
            )];
        }
    };
    let explained = context.client.settings.explain();
    let mut findings = vec![Finding::good("settings", explained.join("; "))];
    let asked = Instant::now();
    findings.push(match context.client.answers().await {
        Ok(()) => {
            let text = format!("{} answers in {:.0?}", context.place(), asked.elapsed());
            Finding::good("server", text)
        }
        Err(error) => {
            let failure = Failure::from(error);
            let advice = failure
                .hint()
                .unwrap_or_else(|| "see the server's own log".to_owned());
            Finding::bad("server", failure.to_string(), advice)
        }
    });
    findings
}
