//! `coracle`: the server and its operator's commands.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use coracle_server::error_chain;
use tracing_subscriber::EnvFilter;

/// Runs AI agents behind the wire API of Amazon Bedrock AgentCore Runtime, each session in a microVM of its own.
///
/// CORACLE_LOG sets what is logged to stderr (info, debug, coracle_server=trace, …), CORACLE_LOG_FORMAT=json how.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve(commands::serve::Arguments),
    /// Build, list and remove guest kernel and base images.
    Image(commands::image::Arguments),
    /// List the snapshots that sessions are restored from.
    Template(commands::template::Arguments),
    /// Say what this machine has and lacks, and what to do about it.
    Doctor(commands::doctor::Arguments),
    /// List, describe, stop and kill the sessions of a running server, and read their logs.
    Sessions(commands::sessions::Arguments),
    /// Move an endpoint of a running server from one version to another, by share, and back.
    Rollout(commands::rollout::Arguments),
    /// Measure what sessions and invocations cost on this machine.
    Bench(commands::bench::Arguments),
    /// Become the process of a microVM, in a jail. The server starts machines with it.
    #[command(hide = true)]
    Jail(commands::jail::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    // Fails only when there is a provider already, and then it is this one.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let result = match arguments.command {
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Image(arguments) => commands::image::run(arguments),
        Command::Template(arguments) => commands::template::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(arguments),
        Command::Sessions(arguments) => commands::sessions::run(&arguments),
        Command::Rollout(arguments) => commands::rollout::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Jail(arguments) => commands::jail::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::output::error(&error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("CORACLE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::env::var("CORACLE_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().init();
    } else {
        logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
}

/// The user's data folder.
fn default_data_dir() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home)
        .unwrap_or_else(|| PathBuf::from("."))
        .join("coracle")
}
