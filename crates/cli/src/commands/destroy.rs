//! `agentcore destroy`: deletes the runtime, its endpoints and its uploaded code, in that order, so that what is
//! left after an interruption is found and deleted by the next attempt.

use std::io::BufRead as _;
use std::time::Duration;

use coracle_types::{EndpointName, ResourceStatus};
use coracle_wire::control::GetAgentRuntimeResponse;
use serde_json::{Value, json};

use super::{Context, arn_of, deploy, wait};
use crate::args::Destroy;
use crate::failure::Failure;
use crate::output::note;

/// What will be deleted.
struct Plan {
    runtime: GetAgentRuntimeResponse,
    endpoints: Vec<EndpointName>,
    bucket: String,
    uploads: Vec<String>,
}

pub(super) async fn run(context: &Context<'_>, arguments: &Destroy) -> Result<(), Failure> {
    let plan = plan(context).await?;
    let printer = context.printer;
    if arguments.dry_run {
        return if printer.json {
            printer.json(&described(&plan, true))
        } else {
            let lines = lines(context, &plan, "would delete");
            lines.iter().try_for_each(|line| printer.line(line))
        };
    }
    let verb = if arguments.force {
        "deleting"
    } else {
        "would delete"
    };
    if !printer.json {
        lines(context, &plan, verb).iter().for_each(|line| note(line));
    }
    if !arguments.force {
        confirm(context).await?;
    }
    carry_out(context, &plan, Duration::from_secs(arguments.timeout)).await?;
    printer.done(&format!("{} is gone", plan.runtime.agent_runtime_id));
    if printer.json {
        printer.json(&described(&plan, false))?;
    }
    Ok(())
}

async fn plan(context: &Context<'_>) -> Result<Plan, Failure> {
    let runtime = context.runtime().await?;
    let endpoints = context.client.endpoints(&runtime.agent_runtime_id).await?;
    let endpoints = endpoints.into_iter().map(|endpoint| endpoint.name.into_inner());
    let bucket = deploy::bucket(
        &arn_of(&runtime)?.account,
        context.client.settings.region.value.as_str(),
    );
    let prefix = format!("{}/", runtime.agent_runtime_name);
    let uploads = context.client.list_objects(&bucket, &prefix).await?;
    let uploads = uploads
        .into_iter()
        .filter(|key| is_upload(key, &prefix))
        .collect();
    Ok(Plan {
        runtime,
        endpoints: endpoints.filter(|name| !name.is_default()).collect(),
        bucket,
        uploads,
    })
}

/// Whether `deploy` made this object.
fn is_upload(key: &str, prefix: &str) -> bool {
    let digest = key
        .strip_prefix(prefix)
        .and_then(|name| name.strip_suffix(".zip"));
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What is or would be deleted, for machines.
fn described(plan: &Plan, dry_run: bool) -> Value {
    json!({
        "agentRuntimeArn": plan.runtime.agent_runtime_arn, "endpoints": plan.endpoints, "bucket": plan.bucket,
        "uploads": plan.uploads, "dryRun": dry_run,
    })
}

/// The same for people.
fn lines(context: &Context<'_>, plan: &Plan, verb: &str) -> Vec<String> {
    let (arn, bucket) = (&plan.runtime.agent_runtime_arn, &plan.bucket);
    let mut lines = vec![format!("{verb} runtime {arn} at {}", context.place())];
    lines.extend(
        plan.endpoints
            .iter()
            .map(|name| format!("{verb} endpoint {name}")),
    );
    lines.extend(
        plan.uploads
            .iter()
            .map(|key| format!("{verb} s3://{bucket}/{key}")),
    );
    lines
}

async fn confirm(context: &Context<'_>) -> Result<(), Failure> {
    if !context.printer.is_interactive() {
        let hint = "--dry-run shows what would be deleted";
        return Err(Failure::usage(
            "nobody is here to confirm: pass --force to delete",
            hint,
        ));
    }
    note("Sessions end at once and nothing of them is kept. Delete? [y/N]");
    let asking = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = asking
        .await
        .map_err(|error| Failure::Input(error.into()))?
        .map_err(Failure::Input)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Declined)
    }
}

async fn carry_out(context: &Context<'_>, plan: &Plan, timeout: Duration) -> Result<(), Failure> {
    let id = &plan.runtime.agent_runtime_id;
    for endpoint in &plan.endpoints {
        context.client.delete_endpoint(id, endpoint).await?;
    }
    wait::until_endpoints_gone(context, id, timeout).await?;
    if plan.runtime.status != ResourceStatus::Deleting {
        context.client.delete_runtime(id).await?;
    }
    if let Some(left) = wait::until_settled(context, id, timeout).await? {
        return Err(Failure::Refused {
            name: id.to_string(),
            status: left.status,
            reason: left
                .failure_reason
                .unwrap_or_else(|| "the server gives no reason".to_owned()),
        });
    }
    for key in &plan.uploads {
        context.client.delete_object(&plan.bucket, key).await?;
    }
    Ok(())
}
