//! `agentcore configure`, in the words of the Python toolkit that has it, too.

use std::path::PathBuf;

use clap::Args;
use coracle_types::RuntimeKind;

use crate::project::Build;
use crate::scaffold::Protocol;

#[derive(Debug, Args)]
pub(crate) struct Configure {
    /// The script that answers requests, or the folder of its main.py, agent.py or app.py
    #[arg(long, short, value_name = "FILE")]
    pub(crate) entrypoint: PathBuf,
    /// Name of the agent: a letter, then letters, digits and underscores; the file's or folder's unless given
    #[arg(long, short)]
    pub(crate) name: Option<String>,
    /// What the agent speaks
    #[arg(long, short, value_enum, ignore_case = true, default_value = "HTTP")]
    pub(crate) protocol: Protocol,
    /// How the agent is deployed
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        value_name = "HOW",
        default_value = "CodeZip"
    )]
    pub(crate) build: Build,
    /// Managed runtime for it, such as PYTHON_3_13; the newest that Coracle has an image of unless given
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime_version: Option<RuntimeKind>,
    /// What it needs: requirements.txt beside the script, and no other
    #[arg(long, value_name = "FILE")]
    pub(crate) requirements_file: Option<PathBuf>,
    /// Role that AWS gives to it; Coracle needs none
    #[arg(long, value_name = "ARN")]
    pub(crate) execution_role: Option<String>,
    /// Headers that reach it, separated by commas
    #[arg(long, value_name = "HEADERS", value_delimiter = ',')]
    pub(crate) request_header_allowlist: Vec<String>,
    /// Seconds without a request until a session ends
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(60..=28_800))]
    pub(crate) idle_timeout: Option<i32>,
    /// Seconds until a session ends in any case
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(60..=28_800))]
    pub(crate) max_lifetime: Option<i32>,
}
