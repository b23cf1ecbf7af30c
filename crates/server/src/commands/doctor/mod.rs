//! `coracle doctor`: what this machine has, why it matters, and what to do about what it lacks.
//!
//! Each check is one function that looks and changes nothing; what it needs in files is in a temporary folder.
//! A finding is *broken* only if the configured driver cannot run because of it.

mod finding;
mod host;
mod microvm;
mod other_processor;

use std::io::IsTerminal;
use std::path::PathBuf;

use coracle_server::config::{Config, DriverKind};
use coracle_types::Architecture;
use serde_json::json;

use self::finding::{Finding, Level};
use super::{CommandResult, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder for everything the server keeps [default: coracle in the user's data folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder with kernel and base images [default: images in the data folder].
    #[arg(long, value_name = "DIR")]
    images_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How sandboxes are to be made.
    #[arg(long)]
    driver: Option<DriverKind>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// What is asked about.
struct Question {
    config: Config,
    data_dir: PathBuf,
    images_dir: PathBuf,
}

impl Question {
    fn is_for(&self, driver: DriverKind) -> bool {
        self.config.sandbox.driver == driver
    }
}

pub(crate) fn run(arguments: Arguments) -> CommandResult {
    let mut config = match &arguments.config {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    config.sandbox.driver = arguments.driver.unwrap_or(config.sandbox.driver);
    let data_dir = arguments.data_dir.unwrap_or_else(crate::default_data_dir);
    let images_dir = arguments
        .images_dir
        .or_else(|| config.images_dir.clone())
        .unwrap_or_else(|| data_dir.join("images"));
    let question = Question {
        config,
        data_dir,
        images_dir,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let findings = runtime.block_on(examine(&question));
    let driver = match question.config.sandbox.driver {
        DriverKind::Microvm => "microvm",
        DriverKind::Process => "process",
        DriverKind::Simulated => "simulated",
    };
    let can_run = findings.iter().all(|finding| finding.level != Level::Broken);
    if arguments.json {
        let all = json!({ "driver": driver, "can_run": can_run, "findings": findings });
        output::data(serde_json::to_string_pretty(&all)?);
    } else {
        let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        for finding in &findings {
            finding.lines(coloured).into_iter().for_each(output::data);
        }
    }
    if can_run {
        Ok(())
    } else {
        Err(format!("the {driver} driver cannot run on this machine; ✗ above says why").into())
    }
}

async fn examine(question: &Question) -> Vec<Finding> {
    let mut findings = vec![
        microvm::qemu(question).await,
        microvm::kvm(question).await,
        microvm::jail(question).await,
        host::guest(question),
    ];
    if let Some(own) = Architecture::host() {
        findings.extend(microvm::images(question, own));
        findings.push(other_processor::images(question, own.other()).await);
    }
    findings.extend(microvm::tools(question));
    findings.extend([
        host::python(question).await,
        host::user_namespaces(question).await,
        host::data_folder(question),
        host::disk(question),
        host::memory(question),
        host::cgroups(),
    ]);
    findings
}
