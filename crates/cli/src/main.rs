//! `agentcore`: deploys agents to Coracle, or to Amazon Bedrock AgentCore itself, and talks to them.
//!
//! ```text
//! args ──► settings ──► aws ──┐
//!   └────► project ──► package┴─► commands ──► output
//! ```
//!
//! `settings` decides where to and as whom, without I/O; `project` reads `agentcore.json`; `package` makes the
//! zip; `aws` signs and sends; each command is a module of its own. Data goes to stdout, everything else to
//! stderr. A command fails with a [`failure::Failure`], which knows its hint and its exit code.

mod args;
mod aws;
mod commands;
mod failure;
mod output;
mod package;
mod project;
mod scaffold;
mod settings;
mod sse;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Printer;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.global.json, cli.global.debug);
    let result = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let result = runtime.block_on(run(&cli, &printer));
            // Somebody who was asked a question and interrupted us will not answer it.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::Start(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(cli: &Cli, printer: &Printer) -> Result<(), Failure> {
    tokio::select! {
        result = commands::run(cli, printer) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}
