//! `agentcore create`. Spellings of the tools that people come from are accepted beside ours.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use crate::project::Build;
use crate::scaffold::{Framework, Language, Memory, ModelProvider, Protocol};

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of the project and its agent: a letter, then letters and digits, at most 23
    #[arg(long, short = 'p', visible_alias = "project-name")]
    pub(crate) name: Option<String>,
    /// What the agent is made with
    #[arg(long, visible_alias = "agent-framework", value_enum, ignore_case = true)]
    pub(crate) framework: Option<Framework>,
    /// What the agent speaks; an MCP server has tools and no framework
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) protocol: Option<Protocol>,
    /// How the agent is deployed
    #[arg(long, value_enum, ignore_case = true, value_name = "HOW")]
    pub(crate) build: Option<Build>,
    /// Whose model answers: stub, Bedrock, Anthropic, OpenAI, Gemini, or the URL of anything that speaks OpenAI's chat
    /// completions, such as http://localhost:11434/v1
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) model_provider: Option<ModelProvider>,
    /// Which of its models
    #[arg(long, value_name = "ID")]
    pub(crate) model_id: Option<String>,
    /// Key for the model; it goes into agentcore/.env.local, where it can be written later, too
    #[arg(long, visible_alias = "provider-api-key", value_name = "KEY")]
    pub(crate) api_key: Option<SecretString>,
    /// Whether the agent remembers what was said before in its session
    #[arg(long, short, value_enum, ignore_case = true)]
    pub(crate) memory: Option<Memory>,
    /// What the agent is written in; TypeScript has protocol HTTP and framework none
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) language: Option<Language>,
    /// Ask nothing: what is not given is Python, Strands with a stub model, over HTTP, in a zip
    #[arg(long, visible_alias = "non-interactive")]
    pub(crate) defaults: bool,
    /// Where the project's folder is made
    #[arg(long, visible_alias = "output", value_name = "FOLDER", default_value = ".")]
    pub(crate) output_dir: PathBuf,
    /// Only say which files would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}
