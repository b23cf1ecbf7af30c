//! `agentcore stop-session`: ends a session now.

use super::{Context, endpoint_name, session_id};
use crate::args::StopSession;
use crate::failure::Failure;

pub(super) async fn run(context: &Context<'_>, arguments: &StopSession) -> Result<(), Failure> {
    let text = arguments.session_id.as_ref().or(arguments.session_flag.as_ref());
    stop(
        context,
        text.map(String::as_str).unwrap_or_default(),
        &arguments.endpoint,
    )
    .await
}

/// Ends the session of this id.
pub(super) async fn stop(context: &Context<'_>, session: &str, endpoint: &str) -> Result<(), Failure> {
    let session = session_id(session)?;
    let endpoint = endpoint_name(endpoint)?;
    let runtime = context.runtime_arn().await?;
    context.client.stop_session(&runtime, &endpoint, &session).await?;
    context.printer.done(&format!("Session {session} has ended"));
    if context.printer.json {
        context
            .printer
            .json(&serde_json::json!({ "sessionId": session, "stopped": true }))?;
    }
    Ok(())
}
