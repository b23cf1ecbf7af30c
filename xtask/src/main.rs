//! Chores of the project, as `cargo xtask <command>`.

mod build;
mod generate;
mod layers;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Chores of the project")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the wire layer's types, tables and dispatchers from the service models.
    Generate(generate::Arguments),
    /// Builds all programs, the guest statically linked, side by side in the target folder.
    Build(build::Arguments),
    /// Checks that crates depend on each other only as ARCHITECTURE.md says.
    Layers,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Layers => layers::run(),
    }
}
