use serde::{Deserialize, Serialize};

/// What an agent's server speaks (`protocolConfiguration.serverProtocol`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServerProtocol {
    /// Plain request and response, or server-sent events.
    #[default]
    Http,
    /// Model Context Protocol, streamable HTTP.
    Mcp,
    /// Agent-to-agent, JSON-RPC binding.
    A2a,
    /// AG-UI events.
    Agui,
}

impl ServerProtocol {
    /// Port the agent listens on when its configuration does not say.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Agui => 8080,
            Self::Mcp => 8000,
            Self::A2a => 9000,
        }
    }

    /// Path of an invocation when the configuration does not say.
    pub fn default_path(self) -> &'static str {
        match self {
            Self::Http | Self::Agui => "/invocations",
            Self::Mcp => "/mcp",
            Self::A2a => "/",
        }
    }
}
