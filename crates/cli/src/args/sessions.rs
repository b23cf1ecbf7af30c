//! `agentcore sessions …`

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Sessions {
    #[command(subcommand)]
    pub(crate) command: Option<SessionCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List the sessions that are there (the default), or those that have ended
    #[command(before_help = "Example: agentcore sessions list --state ended")]
    List(ListSessions),
    /// All that is known of a session, also of one that has ended
    #[command(before_help = "Example: agentcore sessions describe 7f0c2d9e-2b61-4c1b-9d5e-0a3f6c1e8b42")]
    Describe(OneSession),
    /// End a session, as its caller could
    #[command(before_help = "Example: agentcore sessions stop 7f0c2d9e-2b61-4c1b-9d5e-0a3f6c1e8b42")]
    Stop(OneSession),
    /// End a session at once, without asking the agent
    #[command(before_help = "Example: agentcore sessions kill 7f0c2d9e-2b61-4c1b-9d5e-0a3f6c1e8b42")]
    Kill(OneSession),
}

#[derive(Debug, Args, Default)]
pub(crate) struct ListSessions {
    /// Only sessions of this endpoint
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// Only sessions in this state: starting, active, idle, stopping, hibernated, ended
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Most sessions to list of those that have ended
    #[arg(long, short = 'n', value_name = "NUMBER")]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct OneSession {
    /// The session
    #[arg(value_name = "SESSION_ID")]
    pub(crate) session_id: String,
    /// Endpoint it was opened on
    #[arg(long, value_name = "NAME", default_value = "DEFAULT")]
    pub(crate) endpoint: String,
}
