//! `agentcore create`: asks what was not given, if there is somebody to ask, and writes a project.

mod questions;

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::args::Create;
use crate::failure::Failure;
use crate::output::Printer;
use crate::project::{Build, LOCAL_VARIABLES};
use crate::scaffold::{
    self, Choices, Files, Framework, Language, Memory, ModelProvider, Protocol, WriteError,
};

pub(super) fn run(arguments: &Create, printer: &Printer) -> Result<(), Failure> {
    let choices = if arguments.defaults || !printer.is_interactive() {
        defaults(arguments)?
    } else {
        questions::ask(arguments)?
    };
    choices.check()?;
    check_key(arguments.api_key.as_ref())?;
    let files = scaffold::files(&choices, arguments.api_key.as_ref()).map_err(WriteError::Describe)?;
    let folder = arguments.output_dir.join(&choices.name);
    let folder = folder.strip_prefix(".").unwrap_or(&folder).to_owned();
    if !arguments.dry_run {
        scaffold::write(&folder, &files)?;
    }
    report(&folder, &choices, &files, arguments.dry_run, printer)?;
    if choices.provider.needs_key() && arguments.api_key.is_none() {
        printer.info(&format!(
            "The model wants a key: write it into {}, where MODEL_URL=stub has a stub answer without one",
            folder.join(LOCAL_VARIABLES).display()
        ));
    }
    Ok(())
}

/// What was given, and the defaults for the rest; only a name has none.
fn defaults(given: &Create) -> Result<Choices, Failure> {
    let name = given.name.clone().ok_or_else(|| {
        Failure::usage(
            "the project needs a name",
            "pass one: agentcore create --name Boat",
        )
    })?;
    let language = given.language.unwrap_or(Language::Python);
    let protocol = given.protocol.unwrap_or(Protocol::HTTP);
    Ok(Choices {
        name,
        language,
        protocol,
        framework: given.framework.unwrap_or(default_framework(language, protocol)),
        provider: given.model_provider.clone().unwrap_or(ModelProvider::Stub),
        model_id: given.model_id.clone(),
        memory: given.memory.unwrap_or(Memory::ShortTerm),
        build: given.build.unwrap_or(Build::CodeZip),
    })
}

/// Whether a key can be written into a file of variables as it is.
fn check_key(key: Option<&SecretString>) -> Result<(), Failure> {
    let plain = |key: &SecretString| {
        let key = key.expose_secret();
        key.chars().all(|c| c.is_ascii_graphic() && c != '\'')
    };
    if key.is_none_or(plain) {
        return Ok(());
    }
    Err(Failure::usage(
        "the key has spaces, quotes or other characters that no key has",
        "check what --api-key was given",
    ))
}

/// Of MCP servers and TypeScript projects it is the only one.
fn default_framework(language: Language, protocol: Protocol) -> Framework {
    if has_frameworks(language, protocol) {
        Framework::Strands
    } else {
        Framework::None
    }
}

fn has_frameworks(language: Language, protocol: Protocol) -> bool {
    language == Language::Python && protocol != Protocol::MCP
}

fn report(
    folder: &Path,
    choices: &Choices,
    files: &Files,
    dry_run: bool,
    printer: &Printer,
) -> Result<(), Failure> {
    let place = folder.display().to_string();
    if printer.json {
        let paths: Vec<_> = files.iter().map(|file| &file.path).collect();
        let report = serde_json::json!({
            "name": choices.name, "folder": place, "files": paths, "written": !dry_run,
        });
        return printer.json(&report);
    }
    if dry_run {
        return files
            .iter()
            .try_for_each(|file| printer.line(&format!("{place}/{}", file.path)));
    }
    printer.done(&format!("Made {place} with {} files", files.len()));
    printer.line(&format!(
        "Next: cd {place} && agentcore dev   # runs it here; agentcore deploy takes it to the server"
    ))
}
