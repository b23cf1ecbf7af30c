//! `agentcore endpoints`: named pointers to versions. `DEFAULT` follows the newest by itself.

use std::time::Duration;

use coracle_types::{EndpointName, ResourceStatus, RuntimeId, VersionNumber};
use coracle_wire::control::AgentRuntimeEndpoint;
use serde_json::json;

use super::{Context, endpoint_name, wait};
use crate::args::{EndpointCommand, Endpoints, PointAt};
use crate::failure::Failure;

pub(super) async fn run(context: &Context<'_>, arguments: &Endpoints) -> Result<(), Failure> {
    let id = context.runtime_id().await?;
    match arguments.command.as_ref().unwrap_or(&EndpointCommand::List) {
        EndpointCommand::List => list(context, &id).await,
        EndpointCommand::Create(wanted) => {
            let name = endpoint_name(&wanted.name)?;
            let description = wanted.description.clone();
            context
                .client
                .create_endpoint(&id, &name, wanted.version, description)
                .await?;
            settle(context, &id, &name, wanted).await
        }
        EndpointCommand::Update(wanted) => {
            let name = movable(&wanted.name)?;
            let version = match wanted.version {
                Some(version) => version,
                None => newest(context).await?,
            };
            let description = wanted.description.clone();
            context
                .client
                .update_endpoint(&id, &name, Some(version), description)
                .await?;
            settle(context, &id, &name, wanted).await
        }
        EndpointCommand::Delete { name, timeout } => delete(context, &id, &movable(name)?, *timeout).await,
    }
}

fn movable(name: &str) -> Result<EndpointName, Failure> {
    let name = endpoint_name(name)?;
    if name.is_default() {
        let hint = "make an endpoint of your own with `agentcore endpoints create`";
        return Err(Failure::usage(
            "DEFAULT follows the newest version by itself",
            hint,
        ));
    }
    Ok(name)
}

async fn newest(context: &Context<'_>) -> Result<VersionNumber, Failure> {
    Ok(context.runtime().await?.agent_runtime_version)
}

async fn list(context: &Context<'_>, id: &RuntimeId) -> Result<(), Failure> {
    let endpoints = context.client.endpoints(id).await?;
    if endpoints.is_empty() {
        return Err(context.not_deployed(id.to_string()));
    }
    for endpoint in &endpoints {
        if context.printer.json {
            context.printer.json(endpoint)?;
        } else {
            context.printer.line(&described(endpoint))?;
        }
    }
    Ok(())
}

/// An endpoint in one line.
pub(super) fn described(endpoint: &AgentRuntimeEndpoint) -> String {
    let text = |version: Option<VersionNumber>| version.map_or("-".to_owned(), |version| version.to_string());
    let (live, target) = (text(endpoint.live_version), text(endpoint.target_version));
    let towards = if live == target {
        String::new()
    } else {
        format!(", moving to {target}")
    };
    let (name, status) = (endpoint.name.as_str(), endpoint.status);
    format!("{name} is {status}, serving version {live}{towards}")
}

/// Waits until the endpoint serves what it was pointed at, and says so.
async fn settle(
    context: &Context<'_>,
    id: &RuntimeId,
    name: &EndpointName,
    wanted: &PointAt,
) -> Result<(), Failure> {
    let timeout = Duration::from_secs(wanted.timeout);
    let Some(endpoint) = wait::until_endpoint_settled(context, id, name, timeout).await? else {
        return Err(Failure::Vanished(format!("endpoint {name}")));
    };
    if endpoint.status != ResourceStatus::Ready {
        return Err(Failure::Refused {
            name: format!("endpoint {name}"),
            status: endpoint.status,
            reason: endpoint
                .failure_reason
                .unwrap_or_else(|| "the server gives no reason".to_owned()),
        });
    }
    if context.printer.json {
        return context.printer.json(&endpoint);
    }
    let version = endpoint
        .live_version
        .map_or("-".to_owned(), |version| version.to_string());
    context.printer.done(&format!("{name} serves version {version}"));
    context
        .printer
        .line(&format!("ARN  {}", endpoint.agent_runtime_endpoint_arn))
}

async fn delete(
    context: &Context<'_>,
    id: &RuntimeId,
    name: &EndpointName,
    timeout: u64,
) -> Result<(), Failure> {
    if context.client.endpoint(id, name).await?.is_none() {
        return Err(context.not_deployed(format!("endpoint {name} of {id}")));
    }
    context.client.delete_endpoint(id, name).await?;
    let left = wait::until_endpoint_settled(context, id, name, Duration::from_secs(timeout)).await?;
    if let Some(left) = left {
        return Err(Failure::Refused {
            name: format!("endpoint {name}"),
            status: left.status,
            reason: "it could not be deleted".to_owned(),
        });
    }
    context.printer.done(&format!("Endpoint {name} is gone"));
    if context.printer.json {
        context
            .printer
            .json(&json!({ "endpoint": name, "deleted": true }))?;
    }
    Ok(())
}
