//! `agentcore dev`, `agentcore invoke`, `agentcore tools …` and `agentcore card`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use secrecy::SecretString;

const HEADING: &str = "Who asks, and whom";

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// Text, sent as {"prompt": text}; or a JSON object, sent as it is; or `-` to read either from stdin. Without one, a
    /// conversation begins on a terminal, and stdin is read elsewhere
    pub(crate) prompt: Option<String>,
    /// File to read the prompt from
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub(crate) prompt_file: Option<PathBuf>,
    /// File sent along as `media`, in base64; may be repeated
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the answer when it is complete
    #[arg(long, conflicts_with = "stream")]
    pub(crate) no_stream: bool,
    /// Print the answer as it arrives (the default)
    #[arg(long, hide = true)]
    pub(crate) stream: bool,
    #[command(flatten)]
    pub(crate) peer: Peer,
}

/// Which agent is asked, and in whose name.
#[derive(Debug, Args)]
pub(crate) struct Peer {
    /// Session to continue: 33 to 256 characters; a new one unless given
    #[arg(long, short, value_name = "ID", help_heading = HEADING)]
    pub(crate) session_id: Option<String>,
    /// Talk to the agent that `agentcore dev` runs here
    #[arg(long, short = 'd', help_heading = HEADING)]
    pub(crate) dev: bool,
    /// Port of `agentcore dev`, when it is not the one of this project
    #[arg(long, requires = "dev", help_heading = HEADING)]
    pub(crate) port: Option<u16>,
    /// Endpoint to call
    #[arg(
        long, visible_alias = "qualifier", value_name = "NAME", default_value = "DEFAULT", help_heading = HEADING
    )]
    pub(crate) endpoint: String,
    /// User the agent acts for
    #[arg(long, short, value_name = "ID", help_heading = HEADING)]
    pub(crate) user_id: Option<String>,
    /// Token that says who calls, instead of a signature
    #[arg(
        long, value_name = "TOKEN", env = "BEDROCK_AGENTCORE_BEARER_TOKEN", hide_env_values = true, help_heading = HEADING
    )]
    pub(crate) bearer_token: Option<SecretString>,
    /// Header to send along, as `Name: value`; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER", help_heading = HEADING)]
    pub(crate) headers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Send this to the agent that runs already, instead of running one
    pub(crate) prompt: Option<String>,
    /// Port to listen on; the next free one when it is taken [default: 8080]
    #[arg(long, short)]
    pub(crate) port: Option<u16>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Variable for the agent, as NAME=value; may be repeated
    #[arg(long = "env", short, value_name = "VARIABLE")]
    pub(crate) variables: Vec<String>,
    /// Do not open the page in a browser
    #[arg(long, short = 'b')]
    pub(crate) no_browser: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(subcommand)]
    pub(crate) command: ToolCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// List the tools
    #[command(before_help = "Example: agentcore tools list")]
    List {
        #[command(flatten)]
        peer: Peer,
    },
    /// Call a tool
    #[command(before_help = "Example: agentcore tools call add --input '{\"a\": 1, \"b\": 2}'")]
    Call {
        /// The tool
        name: String,
        /// Its arguments, as a JSON object
        #[arg(long, value_name = "JSON", default_value = "{}")]
        input: String,
        #[command(flatten)]
        peer: Peer,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Card {
    #[command(flatten)]
    pub(crate) peer: Peer,
}
