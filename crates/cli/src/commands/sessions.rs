//! `agentcore sessions`: the sessions that are alive, from Coracle's operator API.

use super::{Context, endpoint_name};
use crate::args::Sessions;
use crate::failure::Failure;

pub(super) async fn run(context: &Context<'_>, arguments: &Sessions) -> Result<(), Failure> {
    let endpoint = arguments.endpoint.as_deref().map(endpoint_name).transpose()?;
    if context.client.settings.endpoints.value.is_aws {
        return Err(Failure::usage(
            "AWS does not list sessions",
            "Coracle does: pass its --endpoint-url",
        ));
    }
    let runtime = context.runtime_id().await?;
    let mut sessions = context.client.sessions().await?;
    sessions.retain(|item| {
        item.runtime == runtime && endpoint.as_ref().is_none_or(|name| item.endpoint == *name)
    });
    sessions.sort_by_key(|item| item.started);
    if sessions.is_empty() {
        context.printer.info("no sessions");
    }
    for item in &sessions {
        if context.printer.json {
            context.printer.json(item)?;
        } else {
            let (session, state, version, endpoint) =
                (&item.session, &item.state, item.version, &item.endpoint);
            let (started, used) = (item.started, item.last_used);
            context.printer.line(&format!(
                "{session}  {state}  version {version} on {endpoint}, started {started:.0}, last used {used:.0}"
            ))?;
        }
    }
    Ok(())
}
