//! `agentcore versions`: the versions of a runtime, newest first, and which endpoints serve them.

use serde_json::json;

use super::Context;
use crate::failure::Failure;

pub(super) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    let id = context.runtime_id().await?;
    let mut versions = context.client.versions(&id).await?;
    if versions.is_empty() {
        return Err(context.not_deployed(id.to_string()));
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.agent_runtime_version));
    let endpoints = context.client.endpoints(&id).await?;
    for item in &versions {
        let version = item.agent_runtime_version;
        let serving: Vec<_> = endpoints
            .iter()
            .filter(|endpoint| endpoint.live_version == Some(version))
            .map(|endpoint| endpoint.name.as_str())
            .collect();
        if context.printer.json {
            context.printer.json(&json!({
                "agentRuntimeVersion": version, "status": item.status, "lastUpdatedAt": item.last_updated_at,
                "endpoints": serving,
            }))?;
            continue;
        }
        let served = if serving.is_empty() {
            String::new()
        } else {
            format!(", served by {}", serving.join(", "))
        };
        let (status, updated) = (item.status, item.last_updated_at);
        context
            .printer
            .line(&format!("{version}  {status}, made {updated:.0}{served}"))?;
    }
    Ok(())
}
