//! The drivers that run real code, through the trait and the channel that the supervisor uses.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints spare tests but not what tests share"
)]

mod microvm;
mod process;
mod sandbox;
