//! Brings agents onto the server, as any client would.

use std::io::{Cursor, Write};
use std::time::Duration;

use bytes::Bytes;
use coracle_types::RuntimeKind;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use zip::write::SimpleFileOptions;

use crate::commands::client::{Call, CallError, Client, Service, Signer};

/// The agent that invocations are measured with.
pub(super) const SOURCE: &str = include_str!("agent.py");
/// How long the version may take. It may have to build a base image.
const READY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const POLL: Duration = Duration::from_millis(20);
const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
/// What a label in a path leaves as it is.
const LABEL: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why the agent is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeployError {
    /// A request.
    #[error("the server refused the agent")]
    Call(#[from] CallError),
    /// The zip.
    #[error("the agent cannot be packed")]
    Pack(#[from] zip::result::ZipError),
    /// The version failed.
    #[error("the agent could not be deployed: {0}")]
    Failed(String),
    /// It took too long.
    #[error("the agent was not ready within {READY_TIMEOUT:?}")]
    TooSlow,
}

/// A runtime that is ready.
#[derive(Clone)]
pub(super) struct Runtime {
    arn: String,
}

impl Runtime {
    /// An invocation of one of its sessions, not yet signed.
    pub(super) fn invocation(&self, session: &str, media_type: &'static str, body: impl Into<Bytes>) -> Call {
        Call::new(Method::POST, self.path("invocations"), body)
            .with(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type))
            .with(SESSION_ID, session_header(session))
    }

    /// The end of a session, not yet signed.
    pub(super) fn stop(&self, session: &str) -> Call {
        Call::new(Method::POST, self.path("stopruntimesession"), "").with(SESSION_ID, session_header(session))
    }

    fn path(&self, verb: &str) -> String {
        format!("/runtimes/{}/{verb}", utf8_percent_encode(&self.arn, &LABEL))
    }
}

/// Session ids are made here and are ASCII; anything else the server would refuse.
fn session_header(session: &str) -> HeaderValue {
    HeaderValue::from_str(session).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    agent_runtime_id: String,
    agent_runtime_arn: String,
    status: String,
    failure_reason: Option<String>,
}

/// Uploads an agent of one file, makes a runtime of it and waits until it is ready.
///
/// # Errors
/// When the server does not take it.
pub(super) async fn deploy(
    client: &mut Client,
    signer: &Signer,
    runtime: RuntimeKind,
    name: &str,
    source: &str,
) -> Result<Runtime, DeployError> {
    let bucket = format!("bench-{name}");
    let uploads = [
        (format!("/{bucket}"), Vec::new()),
        (format!("/{bucket}/agent.zip"), packed(source)?),
    ];
    for (target, body) in uploads {
        let call = signer.signed(Service::S3, Call::new(Method::PUT, target, body))?;
        client.send(&call).await?;
    }
    let artifact = json!({ "codeConfiguration": {
        "code": { "s3": { "bucket": bucket, "prefix": "agent.zip" } },
        "runtime": runtime.as_str(),
        "entryPoint": ["agent.py"],
    } });
    create(client, signer, name, &artifact).await
}

/// Makes a runtime and waits until it is ready.
///
/// # Errors
/// As [`deploy`].
pub(super) async fn create(
    client: &mut Client,
    signer: &Signer,
    name: &str,
    artifact: &Value,
) -> Result<Runtime, DeployError> {
    let create = json!({
        "agentRuntimeName": name,
        "agentRuntimeArtifact": artifact,
        "roleArn": "arn:aws:iam::000000000000:role/bench",
        "networkConfiguration": { "networkMode": "PUBLIC" },
    });
    let create = signer.signed(Service::AgentCore, Call::json(Method::PUT, "/runtimes/", &create))?;
    let mut described: Described = client.send(&create).await?.json()?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while described.status != "READY" {
        if described.status.ends_with("FAILED") {
            let reason = described.failure_reason.unwrap_or(described.status);
            return Err(DeployError::Failed(reason));
        }
        if Instant::now() > deadline {
            return Err(DeployError::TooSlow);
        }
        tokio::time::sleep(POLL).await;
        let get = Call::new(
            Method::GET,
            format!("/runtimes/{}/", described.agent_runtime_id),
            "",
        );
        let answer = client.send(&signer.signed(Service::AgentCore, get)?).await?;
        described = answer.json()?;
    }
    Ok(Runtime {
        arn: described.agent_runtime_arn,
    })
}

fn packed(source: &str) -> Result<Vec<u8>, DeployError> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("agent.py", SimpleFileOptions::default())?;
    archive
        .write_all(source.as_bytes())
        .map_err(zip::result::ZipError::from)?;
    Ok(archive.finish()?.into_inner())
}
