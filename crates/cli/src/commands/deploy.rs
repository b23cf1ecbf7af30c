//! `agentcore deploy`: package, upload, create or update, wait.
//!
//! The zip's digest is part of its key, so that code that has not changed is neither uploaded again nor made a
//! version again. A runtime whose creation failed serves nobody and can only be deleted, so it is made anew.

mod definition;

use std::time::Duration;

use coracle_types::{AccountId, ResourceStatus, RuntimeId, RuntimeName, VersionNumber};
use coracle_wire::control::{CreateAgentRuntimeRequest, GetAgentRuntimeResponse, S3Location};

use super::{Context, wait};
use crate::args::Deploy;
use crate::aws::ClientError;
use crate::aws::s3::Upload;
use crate::failure::Failure;
use crate::output::size;
use crate::package::{self, Arch, Package};
use crate::project::{Build, Project, RuntimeEntry};

/// How many left-out paths are named.
const NAMED_PATHS: usize = 6;

pub(super) async fn run(context: &Context<'_>, arguments: &Deploy) -> Result<(), Failure> {
    let project = context.project()?;
    let entry = project.runtime(context.global.runtime.as_deref())?;
    let name = deployed_name(entry, arguments)?;
    context
        .printer
        .info(&format!("Deploying {name} to {}", context.place()));
    let account = account(context).await?;
    let role = definition::role(entry, &account, context.client.settings.endpoints.value.is_aws)?;
    let package = package(context, project, entry, arguments).await?;
    let location = S3Location {
        bucket: bucket(&account, context.client.settings.region.value.as_str()),
        prefix: key(&name, &package.sha256),
        version_id: None,
    };
    let desired = definition::desired(entry, name, role, location.clone(), package.has_otel_launcher)?;

    let timeout = Duration::from_secs(arguments.timeout);
    let current = current(context, &desired.agent_runtime_name, timeout).await?;
    if let Some(runtime) = &current
        && runtime.status == ResourceStatus::Ready
        && definition::is_same(&desired, runtime)
    {
        let version = runtime.agent_runtime_version;
        context
            .printer
            .done(&format!("Nothing has changed: version {version} stays"));
        return report(context, runtime, false);
    }
    upload(context, &location, &package).await?;
    let (id, version) = apply(context, desired, current).await?;
    let runtime = wait::until_settled(context, &id, timeout).await?;
    let runtime = runtime.ok_or_else(|| Failure::Vanished(id.to_string()))?;
    if runtime.status != ResourceStatus::Ready {
        return Err(refused(&runtime, version));
    }
    context
        .printer
        .done(&format!("Version {} is ready", runtime.agent_runtime_version));
    report(context, &runtime, true)
}

fn deployed_name(entry: &RuntimeEntry, arguments: &Deploy) -> Result<RuntimeName, Failure> {
    let Some(name) = &arguments.name else {
        return Ok(entry.name.clone());
    };
    name.parse().map_err(|_| {
        let hint = "use a letter, then letters, digits and underscores, at most 48";
        Failure::usage(format!("`{name}` is not a name for a runtime"), hint)
    })
}

/// The bucket that holds uploaded code.
pub(super) fn bucket(account: &AccountId, region: &str) -> String {
    format!("coracle-artifacts-{account}-{region}")
}

fn key(name: &RuntimeName, sha256: &str) -> String {
    format!("{name}/{sha256}.zip")
}

async fn account(context: &Context<'_>) -> Result<AccountId, Failure> {
    match context.client.account_id().await {
        Ok(account) => Ok(account),
        // A server without STS has one account; AWS always has it.
        Err(error) if !context.client.settings.endpoints.value.is_aws && has_no_sts(&error) => {
            "000000000000".parse().map_err(|_| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn has_no_sts(error: &ClientError) -> bool {
    matches!(error.status(), Some(400 | 404 | 405 | 501)) || matches!(error, ClientError::Incomplete(_))
}

async fn package(
    context: &Context<'_>,
    project: &Project,
    entry: &RuntimeEntry,
    arguments: &Deploy,
) -> Result<Package, Failure> {
    if entry.build == Build::Container {
        let hint = "set `build` to CodeZip, or push the image and create the runtime with the AWS CLI";
        return Err(Failure::usage(
            "this version of agentcore does not build container images",
            hint,
        ));
    }
    let default_arch = if context.client.settings.endpoints.value.is_aws {
        Some(Arch::Aarch64)
    } else {
        Arch::of_this_host()
    };
    let arch = arguments.arch.or(default_arch).ok_or_else(|| {
        Failure::usage(
            "this host's architecture cannot be packaged for",
            "name the server's with --arch",
        )
    })?;
    let request = package::Request {
        code: project.root.join(&entry.code_location),
        entry_file: entry.entry_file().to_owned(),
        runtime: entry.runtime_version,
        arch,
        refresh: arguments.refresh,
    };
    let package = package::build(request, context.printer).await?;
    let (files, zipped, unpacked) = (package.files, size(package.size), size(package.unpacked));
    context.printer.done(&format!(
        "Packaged {files} files: {zipped} zipped, {unpacked} unpacked"
    ));
    if !package.left_out.is_empty() {
        context
            .printer
            .info(&format!("  left out: {}", some_of(&package.left_out)));
    }
    Ok(package)
}

fn some_of(paths: &[String]) -> String {
    let named = paths[..paths.len().min(NAMED_PATHS)].join(", ");
    match paths.len().saturating_sub(NAMED_PATHS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

async fn upload(context: &Context<'_>, location: &S3Location, package: &Package) -> Result<(), Failure> {
    let S3Location {
        bucket, prefix: key, ..
    } = location;
    if context.client.object_exists(bucket, key).await? {
        context
            .printer
            .done(&format!("Already uploaded: s3://{bucket}/{key}"));
        return Ok(());
    }
    context.client.ensure_bucket(bucket).await?;
    let upload = Upload {
        path: package.file.to_path_buf(),
        size: package.size,
        sha256: package.sha256.clone(),
    };
    let progress = context.printer.transfer("Uploading", package.size);
    context
        .client
        .put_object(bucket, key, &upload, progress.advance())
        .await?;
    drop(progress);
    context.printer.done(&format!("Uploaded to s3://{bucket}/{key}"));
    Ok(())
}

/// The runtime of this name once it has come to rest, if there is one.
async fn current(
    context: &Context<'_>,
    name: &RuntimeName,
    timeout: Duration,
) -> Result<Option<GetAgentRuntimeResponse>, Failure> {
    let Some(found) = context.client.find_runtime(name).await? else {
        return Ok(None);
    };
    let id = found.agent_runtime_id;
    let runtime = wait::until_settled(context, &id, timeout).await?;
    match runtime {
        Some(runtime) if runtime.status == ResourceStatus::CreateFailed => {
            context
                .printer
                .info(&format!("Removing {id}, whose creation failed"));
            context.client.delete_runtime(&id).await?;
            match wait::until_settled(context, &id, timeout).await? {
                None => Ok(None),
                Some(left) => Err(refused(&left, left.agent_runtime_version)),
            }
        }
        runtime => Ok(runtime),
    }
}

/// Creates or updates.
async fn apply(
    context: &Context<'_>,
    desired: CreateAgentRuntimeRequest,
    current: Option<GetAgentRuntimeResponse>,
) -> Result<(RuntimeId, VersionNumber), Failure> {
    match current {
        Some(runtime) => {
            let input = definition::update(desired, &runtime);
            let updated = context.client.update_runtime(&input).await?;
            Ok((updated.agent_runtime_id, updated.agent_runtime_version))
        }
        None => {
            let created = context.client.create_runtime(&desired).await?;
            Ok((created.agent_runtime_id, created.agent_runtime_version))
        }
    }
}

fn refused(runtime: &GetAgentRuntimeResponse, version: VersionNumber) -> Failure {
    Failure::Refused {
        name: format!("version {version} of {}", runtime.agent_runtime_name),
        status: runtime.status,
        reason: runtime
            .failure_reason
            .clone()
            .unwrap_or_else(|| "the server gives no reason".to_owned()),
    }
}

fn report(context: &Context<'_>, runtime: &GetAgentRuntimeResponse, changed: bool) -> Result<(), Failure> {
    let printer = context.printer;
    if printer.json {
        return printer.json(&serde_json::json!({
            "agentRuntimeArn": runtime.agent_runtime_arn, "agentRuntimeId": runtime.agent_runtime_id,
            "agentRuntimeVersion": runtime.agent_runtime_version, "status": runtime.status, "changed": changed,
        }));
    }
    printer.line(&format!("ARN      {}", runtime.agent_runtime_arn))?;
    printer.line(&format!("Version  {}", runtime.agent_runtime_version))?;
    printer.line(&format!(
        "Invoke   {}",
        invoke_line(context, &runtime.agent_runtime_name)
    ))
}

/// A command that talks to what was deployed, with the settings of this one.
fn invoke_line(context: &Context<'_>, name: &RuntimeName) -> String {
    let global = context.global;
    let mut line = "agentcore invoke".to_owned();
    let path = global.path.as_ref().map(|path| path.display().to_string());
    let only = context
        .project
        .as_ref()
        .is_ok_and(|project| project.runtimes.len() == 1);
    let is_default = only
        && context
            .runtime_name()
            .is_ok_and(|default| default == name.as_str());
    for (flag, value) in [
        ("--path", path.as_deref()),
        ("--runtime", (!is_default).then_some(name.as_str())),
        ("--target", global.target.as_deref()),
        ("--endpoint-url", global.endpoint_url.as_deref()),
        ("--region", global.region.as_deref()),
        ("--profile", global.profile.as_deref()),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {flag} {}", shell_word(value)));
        }
    }
    line + " \"Hello\""
}

/// A word as a POSIX shell reads it back.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(shell_word("http://127.0.0.1:4580"), "http://127.0.0.1:4580");
        assert_eq!(shell_word("my agent's"), "'my agent'\\''s'");
    }

    #[test]
    fn only_some_left_out_paths_are_named() {
        let paths: Vec<_> = (1..=8).map(|number| number.to_string()).collect();
        assert_eq!(some_of(&paths), "1, 2, 3, 4, 5, 6 and 2 more");
        assert_eq!(some_of(&paths[..2]), "1, 2");
    }
}
