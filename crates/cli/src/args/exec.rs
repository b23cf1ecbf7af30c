//! `agentcore exec`

use clap::Args;
use secrecy::SecretString;

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The command, for the shell of the agent's machine; write -- in front of it if it has options
    #[arg(required_unless_present = "interactive", conflicts_with = "interactive")]
    pub(crate) command: Vec<String>,
    /// Open a shell instead, on this terminal
    #[arg(long = "it")]
    pub(crate) interactive: bool,
    /// Session whose machine is meant: 33 to 256 characters; a new one unless given
    #[arg(long, short, value_name = "ID")]
    pub(crate) session_id: Option<String>,
    /// Endpoint the session belongs to
    #[arg(
        long,
        visible_alias = "qualifier",
        value_name = "NAME",
        default_value = "DEFAULT"
    )]
    pub(crate) endpoint: String,
    /// Shell to go on with; a new one unless given
    #[arg(long, value_name = "ID", requires = "interactive")]
    pub(crate) shell_id: Option<String>,
    /// Seconds after which the command is killed, at most 3600
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        conflicts_with = "interactive"
    )]
    pub(crate) timeout: i32,
    /// Token that says who calls, instead of a signature
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BEDROCK_AGENTCORE_BEARER_TOKEN",
        hide_env_values = true
    )]
    pub(crate) bearer_token: Option<SecretString>,
}
