//! `agentcore deploy`: package or build, upload or push, create or update, wait.
//!
//! The digest of the zip or the image is part of its key, so that code that has not changed is neither uploaded again nor made a
//! version again. A runtime whose creation failed serves nobody and can only be deleted, so it is made anew.

mod container;
mod definition;

use std::path::PathBuf;
use std::time::Duration;

use coracle_types::{AccountId, ResourceStatus, RuntimeId, RuntimeName, VersionNumber};
use coracle_wire::control::{
    AgentRuntimeArtifact, ContainerConfiguration, CreateAgentRuntimeRequest, GetAgentRuntimeResponse,
    S3Location,
};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use self::container::BuiltImage;
use super::{Context, wait};
use crate::args::Deploy;
use crate::aws::ClientError;
use crate::aws::s3::Upload;
use crate::failure::Failure;
use crate::package::{Arch, Package};
use crate::project::{Build, LOCAL_VARIABLES, Project, RuntimeEntry};

/// How much of an image's id is its tag.
const TAG_LENGTH: usize = 16;
const HASH_BUFFER: usize = 256 * 1024;

pub(super) async fn run(context: &Context<'_>, arguments: &Deploy) -> Result<(), Failure> {
    let project = context.project()?;
    let entry = &with_variables(context, project, arguments)?;
    let name = deployed_name(entry, arguments)?;
    context
        .printer
        .info(&format!("Deploying {name} to {}", context.place()));
    let account = account(context).await?;
    let role = definition::role(entry, &account, context.client.settings.endpoints.value.is_aws)?;
    let bucket = bucket(&account, context.client.settings.region.value.as_str());
    let made = make(context, project, entry, arguments, &name, bucket).await?;
    let desired = definition::desired(entry, name, role, made.artifact(entry))?;

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
    made.deliver(context).await?;
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

/// The runtime that is meant, with the variables that its own entry does not name; the last of a name wins.
fn with_variables(
    context: &Context<'_>,
    project: &Project,
    arguments: &Deploy,
) -> Result<RuntimeEntry, Failure> {
    let mut entry = project.runtime(context.global.runtime.as_deref())?.clone();
    let local = project.local_variables()?;
    if !local.is_empty() {
        let names: Vec<_> = local.iter().map(|variable| variable.name.as_str()).collect();
        let names = names.join(", ");
        context
            .printer
            .info(&format!("  with {names} from {LOCAL_VARIABLES}"));
    }
    entry.env_vars.extend(local);
    entry.env_vars.extend(arguments.env.iter().cloned());
    Ok(entry)
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

/// What will be deployed, and where the server finds it.
enum Made {
    Code(Package, S3Location),
    /// An image that is uploaded as an archive.
    Archive(BuiltImage, S3Location),
    /// An image that goes into a registry under this reference.
    Pushed(BuiltImage, String),
}

async fn make(
    context: &Context<'_>,
    project: &Project,
    entry: &RuntimeEntry,
    arguments: &Deploy,
    name: &RuntimeName,
    bucket: String,
) -> Result<Made, Failure> {
    let location = |digest: &str, kind: &str| S3Location {
        bucket,
        prefix: format!("{name}/{digest}.{kind}"),
        version_id: None,
    };
    if arguments.build.unwrap_or(entry.build) == Build::CodeZip {
        let package = package(context, project, entry, arguments).await?;
        let location = location(&package.sha256, "zip");
        return Ok(Made::Code(package, location));
    }
    if arguments.push.is_none() && context.client.settings.endpoints.value.is_aws {
        return Err(Failure::usage(
            "AWS takes images from Amazon ECR only",
            "name your repository there with --push",
        ));
    }
    let folder = project.root.join(&entry.code_location);
    let image = container::build(&folder, name.as_str(), context.printer).await?;
    Ok(match &arguments.push {
        Some(repository) => {
            let reference = format!("{repository}:{}", &image.id[..TAG_LENGTH]);
            Made::Pushed(image, reference)
        }
        None => {
            let location = location(&image.id, "tar");
            Made::Archive(image, location)
        }
    })
}

impl Made {
    fn artifact(&self, entry: &RuntimeEntry) -> AgentRuntimeArtifact {
        let image = |container_uri| {
            AgentRuntimeArtifact::ContainerConfiguration(ContainerConfiguration { container_uri })
        };
        match self {
            Self::Code(package, location) => {
                definition::code(entry, location.clone(), package.has_otel_launcher)
            }
            Self::Archive(_, S3Location { bucket, prefix, .. }) => image(format!("s3://{bucket}/{prefix}")),
            Self::Pushed(_, reference) => image(reference.clone()),
        }
    }

    /// Takes it to where the server will look.
    async fn deliver(&self, context: &Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Code(package, location) => {
                let file = Upload {
                    path: package.file.to_path_buf(),
                    size: package.size,
                    sha256: package.sha256.clone(),
                };
                upload(context, location, async || Ok(file)).await
            }
            Self::Archive(image, location) => {
                let folder = tempfile::tempdir().map_err(Failure::Start)?;
                let archive = folder.path().join("image.tar");
                upload(context, location, async || {
                    image.save(&archive).await?;
                    Ok(hashed(archive).await?)
                })
                .await
            }
            Self::Pushed(image, reference) => {
                image.push(reference).await?;
                context.printer.done(&format!("Pushed to {reference}"));
                Ok(())
            }
        }
    }
}

async fn hashed(path: PathBuf) -> Result<Upload, ClientError> {
    let unreadable = |path: &PathBuf| {
        let path = path.clone();
        |source| ClientError::File { path, source }
    };
    let mut file = tokio::fs::File::open(&path).await.map_err(unreadable(&path))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; HASH_BUFFER];
    loop {
        match file.read(&mut buffer).await.map_err(unreadable(&path))? {
            0 => break,
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
    let sha256 = hex::encode(hash.finalize());
    Ok(Upload { path, size, sha256 })
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
    let default_arch = if context.client.settings.endpoints.value.is_aws {
        Some(Arch::Aarch64)
    } else {
        Arch::of_this_host()
    };
    let arch = arguments
        .arch
        .or(default_arch)
        .ok_or_else(super::package::unknown_arch)?;
    super::package::make(context.printer, project, entry, arch, arguments.refresh).await
}

/// Uploads what `file` makes, unless it is there already.
async fn upload(
    context: &Context<'_>,
    location: &S3Location,
    file: impl AsyncFnOnce() -> Result<Upload, Failure>,
) -> Result<(), Failure> {
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
    let upload = file().await?;
    let progress = context.printer.transfer("Uploading", upload.size);
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
}
