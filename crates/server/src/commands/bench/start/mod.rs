//! `coracle bench start`: how long a session takes to its first byte through boto3, by the way it starts.
//!
//! | way | before the clock runs | on the clock |
//! |---|---|---|
//! | bare process | nothing | the interpreter starts the agent on the host, and it answers |
//! | boot | a version of platform `V1` | the first invocation of a session |
//! | restore | a version of platform `V2`, with its template | the same |
//! | warm pool | as restore, and sandboxes stand ready | the same |
//! | wake | sessions that are hibernated | their next invocation |
//!
//! The measuring is `start.py`, because boto3 is what callers use. It runs with the host's interpreter of the version
//! that the agents run with in their guests, on the same packages; both come from the package index, into a folder
//! that goes when the run ends.

mod agents;
mod report;

use std::path::{Path, PathBuf};

use coracle_artifact::images::ImageStore;
use coracle_types::RuntimeKind;
use serde::Serialize;

use self::agents::{Agent, REQUIREMENTS};
use self::report::Measured;
pub(super) use self::report::Report;
use super::super::interpreter::interpreter;
use super::packages::{self, Packages};
use super::server::Server;
use super::{Cause, Execution, RUNTIMES, script};
use crate::commands::output;

const MEASURE: &str = include_str!("start.py");
/// The memory of sessions is read with their health probes, every five seconds.
const SETTLE_SECONDS: u16 = 12;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Sessions for each way: one after the other, and again ten at once.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    sessions: u16,
    /// Sessions that boot, which takes seconds each in emulation.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    boots: u16,
    /// How long new sessions are started as fast as they go.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    rate_seconds: u16,
    /// Only this agent [default: both].
    #[arg(long)]
    agent: Option<Agent>,
}

/// What `start.py` is told.
#[derive(Serialize)]
struct Plan<'a> {
    data_dir: &'a Path,
    sessions: u16,
    boots: u16,
    rate_seconds: u16,
    settle_seconds: u16,
    agents: Vec<PlannedAgent>,
}

#[derive(Serialize)]
struct PlannedAgent {
    name: &'static str,
    runtime: &'static str,
    /// Where the agent's main.py is on the host.
    folder: PathBuf,
    zip: PathBuf,
}

/// The runtime to measure with, and the host's interpreter of the same version.
pub(super) async fn choose_runtime(images_dir: &Path) -> Result<(RuntimeKind, PathBuf), Cause> {
    let images = ImageStore::open(images_dir, None)?;
    for runtime in RUNTIMES {
        if images.base(runtime).is_ok()
            && let Some((program, _)) = interpreter(runtime).await
        {
            return Ok((runtime, program));
        }
    }
    let folder = images_dir.display();
    Err(format!(
        "no Python has both a base image in {folder} and an interpreter on PATH, which the bare process needs; build \
         the image of the one you have, for example: coracle image build PYTHON_3_11 --images-dir {folder}"
    )
    .into())
}

/// Measures all of it on this server, which must be one for microVMs.
pub(super) async fn measure(
    arguments: &Arguments,
    server: &Server,
    execution: Execution,
    (runtime, interpreter): (RuntimeKind, PathBuf),
) -> Result<Report, Cause> {
    let folder = tempfile::Builder::new().prefix("coracle-bench-").tempdir()?;
    let agents = arguments.agent.map_or(Agent::ALL.to_vec(), |agent| vec![agent]);
    output::progress("fetching the agents' packages from the package index");
    let packages = Packages::install(&interpreter, &folder.path().join("packages"), &REQUIREMENTS).await?;
    let mut planned = Vec::new();
    for agent in agents {
        let (place, packages) = (folder.path().to_owned(), packages.clone());
        let (folder, zip) = tokio::task::spawn_blocking(move || {
            packages::pack(&place, agent.name(), agent.source(), &packages)
        })
        .await??;
        planned.push(PlannedAgent {
            name: agent.name(),
            runtime: runtime.as_str(),
            folder,
            zip,
        });
    }
    let plan = Plan {
        data_dir: &server.data_dir(),
        sessions: arguments.sessions,
        boots: arguments.boots,
        rate_seconds: arguments.rate_seconds,
        settle_seconds: SETTLE_SECONDS,
        agents: planned,
    };
    let measured: Vec<Measured> = script::run(MEASURE, &interpreter, &packages, server, &plan).await?;
    Ok(Report::new(execution, runtime, measured))
}
