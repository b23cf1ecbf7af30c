//! The commands of `coracle`.

pub(crate) mod image;
pub(crate) mod output;
pub(crate) mod serve;

/// How a command ends.
pub(crate) type CommandResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;
