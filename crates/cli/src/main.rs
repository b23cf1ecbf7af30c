//! `agentcore`: deploys agents to Coracle, or to Amazon Bedrock AgentCore itself, and talks to them.
//!
//! ```text
//! args ──► settings ──► aws ──┐
//!   └────► project ──► package┴─► commands ──► output
//! ```
//!
//! `dev` runs an agent on this machine. `settings` decides where to and as whom, without I/O; `project` reads `agentcore.json`; `package` makes the
//! zip; `aws` signs and sends; each command is a module of its own. Data goes to stdout, everything else to
//! stderr. A command fails with a [`failure::Failure`], which knows its hint and its exit code.

mod args;
mod aws;
mod commands;
mod dev;
mod failure;
mod older;
mod output;
mod package;
mod project;
mod scaffold;
mod settings;
mod sse;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::Printer;

fn main() -> ExitCode {
    let translated = older::translate(std::env::args_os());
    if let Some((message, hint)) = translated.refusal {
        return refused(&Failure::usage(message, hint));
    }
    let cli = match Cli::try_parse_from(translated.arguments) {
        Ok(cli) => cli,
        Err(error) if !wants_json() || !error.use_stderr() => error.exit(),
        Err(error) => return refused(&unparsed(&error)),
    };
    let printer = Printer::new(cli.global.json, cli.global.debug);
    for note in &translated.notes {
        printer.info(note);
    }
    let result = start(&cli, &printer);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        // What it had to say it has said itself.
        Err(Failure::Exited(code)) => ExitCode::from(code),
        Err(failure @ Failure::Interrupted) if !printer.json => {
            printer.interrupted();
            ExitCode::from(failure.exit_code())
        }
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Whether whoever called us reads JSON, as far as that can be told before the command line is understood.
fn wants_json() -> bool {
    let ours = std::env::args_os().take_while(|argument| argument != "--");
    ours.into_iter().any(|argument| argument == "--json")
}

fn refused(failure: &Failure) -> ExitCode {
    Printer::new(wants_json(), false).failure(failure);
    ExitCode::from(failure.exit_code())
}

/// What is wrong with a command line, without its decoration.
fn unparsed(error: &clap::Error) -> Failure {
    let hint = "`agentcore COMMAND --help` lists what a command takes";
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("a command is missing", hint);
    }
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    Failure::usage(message.trim_start_matches("error: "), hint)
}

fn start(cli: &Cli, printer: &Printer) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Start)?;
    let result = runtime.block_on(run(cli, printer));
    // Somebody who was asked a question and interrupted us will not answer it.
    runtime.shutdown_background();
    result
}

async fn run(cli: &Cli, printer: &Printer) -> Result<(), Failure> {
    if let Command::Dev(_) = cli.command {
        // Ends its agent first.
        return commands::run(cli, printer).await;
    }
    tokio::select! {
        result = commands::run(cli, printer) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}
