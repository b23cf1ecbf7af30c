//! Measurements that are written in Python, because boto3 is what callers use: each a script beside `client.py`, run
//! with a server's address and credentials, and its report read from what it prints.

use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::Cause;
use super::packages::Packages;
use super::server::Server;

const CLIENT: &str = include_str!("client.py");

/// Runs a script for this plan and returns what it found.
///
/// # Errors
/// When it fails, or prints something else.
pub(super) async fn run<R: DeserializeOwned>(
    script: &str,
    interpreter: &Path,
    packages: &Packages,
    server: &Server,
    plan: &impl Serialize,
) -> Result<R, Cause> {
    let folder = tempfile::Builder::new()
        .prefix("coracle-bench-script-")
        .tempdir()?;
    let main = folder.path().join("measure.py");
    std::fs::write(&main, script)?;
    std::fs::write(folder.path().join("client.py"), CLIENT)?;
    let output = Command::new(interpreter)
        .arg(main)
        .arg(serde_json::to_string(plan)?)
        .env("PYTHONPATH", packages.folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_ENDPOINT_URL", format!("http://{}", server.address))
        .env(
            "AWS_SHARED_CREDENTIALS_FILE",
            server.data_dir().join("credentials"),
        )
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?
        .wait_with_output()
        .await?;
    if !output.status.success() {
        return Err(format!("the measurement ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
