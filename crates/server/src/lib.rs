//! The Coracle server: one HTTP port in front of control plane, data plane, S3 side and operator API.
//!
//! See `ARCHITECTURE.md` for the way of a request through these modules.

pub mod adoption;
pub mod caps;
pub mod code_source;
pub mod config;
pub mod control;
pub mod data;
pub mod deploy;
mod digest;
pub mod directory;
pub mod drivers;
pub mod egress;
pub mod folders;
pub mod gateway;
mod housekeeping;
pub mod issuers;
pub mod jail;
pub mod metrics;
pub mod operator;
mod report;
pub mod roles;
pub mod rollout;
pub mod s3;
pub mod serve;
pub mod warm;

/// An error with all its causes, for the operator.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
