//! `agentcore endpoints …`

use clap::{Args, Subcommand};
use coracle_types::VersionNumber;

#[derive(Debug, Args)]
pub(crate) struct Endpoints {
    #[command(subcommand)]
    pub(crate) command: Option<EndpointCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// List the endpoints of the runtime (the default)
    #[command(before_help = "Example: agentcore endpoints list")]
    List,
    /// Make an endpoint
    #[command(before_help = "Example: agentcore endpoints create prod --version 3")]
    Create(PointAt),
    /// Point an endpoint at another version
    #[command(
        before_help = "Example: agentcore endpoints update prod --version 4",
        alias = "point"
    )]
    Update(PointAt),
    /// Delete an endpoint and end its sessions
    #[command(before_help = "Example: agentcore endpoints delete prod")]
    Delete {
        /// The endpoint
        name: String,
        /// Seconds to wait until it is gone
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        timeout: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PointAt {
    /// The endpoint
    pub(crate) name: String,
    /// Version it serves; the newest unless given
    #[arg(long, value_name = "NUMBER")]
    pub(crate) version: Option<VersionNumber>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Seconds to wait until it serves that version
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
}
