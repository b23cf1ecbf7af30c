//! The command line. Each command's help begins with an example.

mod configure;
mod create;
mod endpoints;
mod exec;
mod invoke;
mod sessions;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::configure::Configure;
pub(crate) use self::create::Create;
pub(crate) use self::endpoints::{EndpointCommand, Endpoints, PointAt};
pub(crate) use self::exec::Exec;
pub(crate) use self::invoke::{Card, Dev, Invoke, Peer, ToolCommand, Tools};
pub(crate) use self::sessions::{ListSessions, OneSession, SessionCommand, Sessions};

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    the service or this machine failed
  2    the command line or the project is wrong
  3    there is nothing of that name
  4    the server cannot be reached
  5    credentials are missing or refused
  6    the agent failed
  130  interrupted";

/// Deploy agents and talk to them
#[derive(Debug, Parser)]
#[command(
    name = "agentcore",
    version,
    before_help = "Example: agentcore create --name Boat --defaults && cd Boat && agentcore deploy"
)]
#[command(after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Server to talk to, instead of the one settings name
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) endpoint_url: Option<String>,
    /// AWS region
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) region: Option<String>,
    /// Profile of the shared AWS configuration files
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) profile: Option<String>,
    /// Entry of agentcore/aws-targets.json; the first one unless given
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) target: Option<String>,
    /// Folder of the project, or one inside it
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Global options")]
    pub(crate) path: Option<PathBuf>,
    /// Runtime of the project; elsewhere also an id or an ARN
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) runtime: Option<String>,
    /// Print JSON for machines
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say which settings won and what is sent
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) debug: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new project that runs at once
    #[command(before_help = "Example: agentcore create --name Boat --framework Strands")]
    Create(Create),
    /// Make a script that is there already into a project
    #[command(before_help = "Example: agentcore configure --entrypoint agent.py")]
    Configure(Configure),
    /// Package the agent, upload it, and make it a version that answers
    #[command(
        alias = "launch",
        visible_alias = "dp",
        before_help = "Example: agentcore deploy"
    )]
    Deploy(Deploy),
    /// Run the agent on this machine, with a page to look inside
    #[command(before_help = "Example: agentcore dev", visible_alias = "d")]
    Dev(Dev),
    /// Send the agent a prompt and print its answer as it arrives
    #[command(before_help = "Example: agentcore invoke \"What can you do?\"")]
    #[command(visible_alias = "i")]
    Invoke(Invoke),
    /// List and call the tools of an MCP server
    #[command(before_help = "Example: agentcore tools call add --input '{\"a\": 1, \"b\": 2}'")]
    Tools(Tools),
    /// Show the card of an A2A agent
    #[command(before_help = "Example: agentcore card")]
    Card(Card),
    /// Run a command beside the agent, or open a shell there
    #[command(
        before_help = "Example: agentcore exec -- ls -la /var/task\n         agentcore exec --it",
        after_help = "The exit code is that of the command, or of the shell."
    )]
    Exec(Exec),
    /// Show what is deployed
    #[command(before_help = "Example: agentcore status --watch", visible_alias = "s")]
    Status(Status),
    /// List the versions of the runtime
    #[command(before_help = "Example: agentcore versions")]
    Versions,
    /// List endpoints, make one, point it at a version, delete it
    #[command(before_help = "Example: agentcore endpoints create prod --version 3")]
    Endpoints(Endpoints),
    /// Print what the agent wrote to stdout and stderr
    #[command(
        visible_alias = "l",
        before_help = "Example: agentcore logs --follow --since 10m"
    )]
    Logs(Logs),
    /// List, describe, stop and kill sessions
    #[command(before_help = "Example: agentcore sessions list")]
    Sessions(Sessions),
    /// End a session now
    #[command(before_help = "Example: agentcore stop-session 7f0c2d9e-2b61-4c1b-9d5e-0a3f6c1e8b42")]
    StopSession(StopSession),
    /// Delete the runtime, its endpoints and its uploaded code
    #[command(before_help = "Example: agentcore destroy --dry-run")]
    Destroy(Destroy),
    /// Make the zip that a deployment would upload
    #[command(
        before_help = "Example: agentcore package --arch aarch64",
        visible_alias = "pkg"
    )]
    Package(PackageCode),
    /// Check the project without sending it anywhere
    #[command(before_help = "Example: agentcore validate")]
    Validate,
    /// Check that this machine, its settings and the server are ready
    #[command(before_help = "Example: agentcore doctor")]
    Doctor,
    /// Print what makes a shell complete commands and flags
    #[command(
        before_help = "Example: agentcore completion bash > ~/.local/share/bash-completion/completions/agentcore"
    )]
    Completion(Completion),
}

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Name of the runtime on the server, instead of the project's
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How the agent becomes an artifact, instead of the project's `build`
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) build: Option<crate::project::Build>,
    /// Push the container image to this repository, such as registry.example.com/team/agent, and have the server pull
    /// it there; otherwise it is uploaded to the server
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) push: Option<String>,
    /// Architecture to package for, instead of this host's (AWS: aarch64)
    #[arg(long, value_enum)]
    pub(crate) arch: Option<crate::package::Arch>,
    /// Variable for the agent; may be given more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<crate::project::Variable>,
    /// Resolve the dependencies again, instead of what agentcore/locks says
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Seconds to wait for the version to become ready
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Show it again whenever it changes, until it is interrupted
    #[arg(long, short)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Wait for more
    #[arg(long, short, visible_alias = "tail")]
    pub(crate) follow: bool,
    /// Begin there: an age such as 30s, 10m, 2h, 1d, or a time such as 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only this session
    #[arg(long, value_name = "ID")]
    pub(crate) session_id: Option<String>,
    /// Endpoint whose sessions are meant
    #[arg(long, value_name = "NAME", default_value = "DEFAULT")]
    pub(crate) endpoint: String,
    /// Only lines of this level and above, as far as lines name one
    #[arg(long, value_enum, value_name = "LEVEL", ignore_case = true)]
    pub(crate) level: Option<crate::commands::Level>,
    /// Most lines to print of what there is already
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 1000)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct StopSession {
    /// The session
    #[arg(value_name = "SESSION_ID", required_unless_present = "session_flag")]
    pub(crate) session_id: Option<String>,
    /// The session
    #[arg(long = "session-id", short, hide = true, conflicts_with = "session_id")]
    pub(crate) session_flag: Option<String>,
    /// Endpoint it was opened on
    #[arg(long, value_name = "NAME", default_value = "DEFAULT")]
    pub(crate) endpoint: String,
}

#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// Do not ask
    #[arg(long, short, visible_alias = "yes")]
    pub(crate) force: bool,
    /// Only say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Seconds to wait for the deletion
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct PackageCode {
    /// File to write; NAME.zip unless given
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Architecture to package for, instead of this host's
    #[arg(long, value_enum)]
    pub(crate) arch: Option<crate::package::Arch>,
    /// Resolve the dependencies again, instead of what agentcore/locks says
    #[arg(long)]
    pub(crate) refresh: bool,
}
