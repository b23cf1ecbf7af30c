//! What images and whoever runs them agree on.

/// The unprivileged user agents run as.
pub const AGENT_USER: &str = "agentcore-runtime-user";
/// Its user id and its group id.
pub const AGENT_ID: u32 = 1000;
/// Where directly deployed code is, below the root.
pub const CODE_FOLDER: &str = "var/task";
