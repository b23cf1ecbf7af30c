//! The commands of `coracle`.

pub(crate) mod bench;
mod client;
mod connection;
pub(crate) mod doctor;
pub(crate) mod image;
mod interpreter;
pub(crate) mod jail;
pub(crate) mod output;
pub(crate) mod rollout;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod template;

/// How a command ends.
pub(crate) type CommandResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;
