//! One pull of an image into an empty place, each way.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use coracle_server::config::DriverKind;
use serde_json::json;
use tokio::process::Command;
use tokio::time::Instant;

use super::super::Cause;
use super::super::deploy;
use super::super::server::{Server, Setup};
use crate::commands::client::Client;
use coracle_server::drivers::program_on_path;

/// How long `skopeo` or `umoci` may take.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A pull by Coracle.
pub(super) struct Pulled {
    pub(super) took: Duration,
    /// The most memory the server had while it pulled, in bytes.
    pub(super) peak_memory: u64,
}

/// From the creation of a runtime until it is `READY`, on a server that has nothing and runs nothing.
pub(super) async fn by_coracle(setup: &Setup, uri: &str) -> Result<Pulled, Cause> {
    let setup = Setup {
        driver: DriverKind::Simulated,
        ..setup.clone()
    };
    let server = Server::start(&setup).await?;
    let signer = server.signer();
    let mut client = Client::connect(server.address).await?;
    let artifact = json!({ "containerConfiguration": { "containerUri": uri } });
    let began = Instant::now();
    let created = deploy::create(&mut client, &signer, "bench", &artifact).await;
    let took = began.elapsed();
    let peak_memory = server.peak_memory();
    server.stop().await;
    created?;
    Ok(Pulled {
        took,
        peak_memory: peak_memory?,
    })
}

/// The programs whose work is closest to Coracle's: `skopeo` copies an image into a folder, `umoci` unpacks it.
pub(super) fn others_are_installed() -> bool {
    ["skopeo", "umoci"]
        .iter()
        .all(|program| program_on_path(program).is_some())
}

/// From the start of `skopeo` to the end of `umoci`.
pub(super) async fn by_the_others(uri: &str) -> Result<Duration, Cause> {
    let folder = tempfile::Builder::new()
        .prefix("coracle-bench-umoci-")
        .tempdir()?;
    let layout = format!("{}:latest", folder.path().join("layout").display());
    let began = Instant::now();
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"])
        .arg(format!("docker://{uri}"))
        .arg(format!("oci:{layout}")))
    .await?;
    unpack(&layout, &folder.path().join("bundle")).await?;
    Ok(began.elapsed())
}

async fn unpack(layout: &str, bundle: &Path) -> Result<(), Cause> {
    let mut umoci = Command::new("umoci");
    umoci.arg("unpack");
    if !rustix::process::geteuid().is_root() {
        umoci.arg("--rootless");
    }
    run(umoci.args(["--image", layout]).arg(bundle)).await
}

async fn run(command: &mut Command) -> Result<(), Cause> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await??;
    if output.status.success() {
        return Ok(());
    }
    let program = command.as_std().get_program().display();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} ended with {}: {said}", output.status).into())
}
