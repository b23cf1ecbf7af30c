//! `coracle jail`: what the server starts for each microVM, which becomes QEMU.

use std::ffi::OsString;

use super::CommandResult;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The jail, as the server describes it.
    cell: String,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> CommandResult {
    let (program, rest) = arguments
        .command
        .split_first()
        .ok_or("there is no program to run")?;
    Err(coracle_vmm::become_jailed(&arguments.cell, program, rest).into())
}
