//! `agentcore status`: what is deployed.

use serde_json::json;

use super::Context;
use crate::failure::Failure;

pub(super) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    let runtime = context.runtime().await?;
    let endpoints = context.client.endpoints(&runtime.agent_runtime_id).await?;
    let printer = context.printer;
    if printer.json {
        return printer.json(&json!({
            "agentRuntimeName": runtime.agent_runtime_name, "agentRuntimeArn": runtime.agent_runtime_arn,
            "agentRuntimeId": runtime.agent_runtime_id, "agentRuntimeVersion": runtime.agent_runtime_version,
            "status": runtime.status, "failureReason": runtime.failure_reason,
            "createdAt": runtime.created_at, "lastUpdatedAt": runtime.last_updated_at, "endpoints": endpoints,
        }));
    }
    let (name, status, version) = (
        &runtime.agent_runtime_name,
        runtime.status,
        runtime.agent_runtime_version,
    );
    printer.line(&format!("{name} is {status} at version {version}"))?;
    printer.line(&format!("ARN       {}", runtime.agent_runtime_arn))?;
    printer.line(&format!("Updated   {:.0}", runtime.last_updated_at))?;
    if let Some(reason) = &runtime.failure_reason {
        printer.line(&format!("Failure   {reason}"))?;
    }
    for endpoint in endpoints {
        let text =
            |version: Option<coracle_types::VersionNumber>| version.map_or("-".to_owned(), |v| v.to_string());
        let (live, target) = (text(endpoint.live_version), text(endpoint.target_version));
        let towards = if live == target {
            String::new()
        } else {
            format!(", moving to {target}")
        };
        let (name, status) = (endpoint.name.as_str(), endpoint.status);
        printer.line(&format!(
            "Endpoint  {name} is {status}, serving version {live}{towards}"
        ))?;
    }
    Ok(())
}
