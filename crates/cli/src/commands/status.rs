//! `agentcore status`: what is deployed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Context;
use super::endpoints::described;
use crate::args::Status;
use crate::failure::Failure;

/// How often `--watch` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is deployed, in both forms.
#[derive(PartialEq)]
struct Shown {
    lines: Vec<String>,
    json: Value,
}

pub(super) async fn run(context: &Context<'_>, arguments: &Status) -> Result<(), Failure> {
    let mut shown = look(context).await?;
    show(context, &shown)?;
    if !arguments.watch {
        return Ok(());
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = look(context).await?;
        if now != shown {
            if !context.printer.json {
                context.printer.line(&format!("\n{:.0}", Timestamp::now()))?;
            }
            show(context, &now)?;
            shown = now;
        }
    }
}

fn show(context: &Context<'_>, shown: &Shown) -> Result<(), Failure> {
    if context.printer.json {
        return context.printer.json(&shown.json);
    }
    shown.lines.iter().try_for_each(|line| context.printer.line(line))
}

async fn look(context: &Context<'_>) -> Result<Shown, Failure> {
    let runtime = context.runtime().await?;
    let endpoints = context.client.endpoints(&runtime.agent_runtime_id).await?;
    let (name, status, version) = (
        &runtime.agent_runtime_name,
        runtime.status,
        runtime.agent_runtime_version,
    );
    let mut lines = vec![
        format!("{name} is {status} at version {version}"),
        format!("ARN       {}", runtime.agent_runtime_arn),
        format!("Updated   {:.0}", runtime.last_updated_at),
    ];
    lines.extend(
        runtime
            .failure_reason
            .iter()
            .map(|reason| format!("Failure   {reason}")),
    );
    lines.extend(
        endpoints
            .iter()
            .map(|endpoint| format!("Endpoint  {}", described(endpoint))),
    );
    let json = json!({
        "agentRuntimeName": runtime.agent_runtime_name, "agentRuntimeArn": runtime.agent_runtime_arn,
        "agentRuntimeId": runtime.agent_runtime_id, "agentRuntimeVersion": runtime.agent_runtime_version,
        "status": runtime.status, "failureReason": runtime.failure_reason,
        "createdAt": runtime.created_at, "lastUpdatedAt": runtime.last_updated_at, "endpoints": endpoints,
    });
    Ok(Shown { lines, json })
}
