//! The program at the other end of every sandbox's channel.
//!
//! | started as | it is | ends by |
//! |---|---|---|
//! | process 1 | the first process of a microVM, see [`machine`] | powering the machine off |
//! | `coracle-guest process` | the child of a server without virtual machines, see [`process`] | exiting |
//!
//! Both serve the same protocol over their channel ([`serve`]) and run one agent ([`agent`]), whose output
//! they keep until a host takes it ([`output`]). One thread does everything: the guest's work is moving
//! bytes, and the agent should have the processors.

mod agent;
mod beside;
mod clock;
mod commands;
mod confine;
mod console;
mod failure;
mod listeners;
mod machine;
mod network;
mod output;
mod place;
mod process;
mod readiness;
mod relay;
mod serve;
mod shells;

use std::process::ExitCode;

fn main() -> ExitCode {
    if rustix::process::getpid().is_init() {
        machine::main();
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["process"] => process::main(process::Network::Own),
        ["process", "--host-network"] => process::main(process::Network::Host),
        _ => {
            console::say("usage: coracle-guest process [--host-network], with the channel as standard input");
            ExitCode::from(2)
        }
    }
}
