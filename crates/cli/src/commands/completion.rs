//! `agentcore completion`: the script that makes a shell complete commands, flags and their values.

use clap::CommandFactory as _;

use crate::args::{Cli, Completion};
use crate::failure::Failure;

pub(super) fn run(arguments: &Completion) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "agentcore", &mut script);
    let mut stdout = std::io::stdout().lock();
    std::io::Write::write_all(&mut stdout, &script).map_err(Failure::Output)
}
