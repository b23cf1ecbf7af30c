//! `coracle bench protocols`: how fast a running session is in each way of talking to it.
//!
//! Round trips and bytes per second of invocations, pages through the session's URL, its WebSocket, and commands, as a
//! client sees them through boto3 and `websockets`. The agent is on the SDK, so part of every figure is its server's.

mod report;

use std::path::{Path, PathBuf};

use coracle_types::RuntimeKind;
use serde::Serialize;

use self::report::Measured;
pub(super) use self::report::Report;
use super::packages::{self, Packages};
use super::server::Server;
use super::{Cause, Execution, script};
use crate::commands::output;

const AGENT: &str = include_str!("agent.py");
const MEASURE: &str = include_str!("measure.py");
const REQUIREMENTS: [&str; 3] = ["bedrock-agentcore==1.25.0", "boto3==1.44.5", "websockets==17.4"];

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Round trips in each way.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    round_trips: u16,
    /// Small frames from the agent.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    frames: u32,
    /// Bytes in each way.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=90))]
    mebibytes: u16,
}

/// What the script is told.
#[derive(Serialize)]
struct Plan<'a> {
    data_dir: &'a Path,
    requests: u16,
    frames: u32,
    mebibytes: u16,
    agent: PlannedAgent,
}

#[derive(Serialize)]
struct PlannedAgent {
    name: &'static str,
    runtime: &'static str,
    zip: PathBuf,
}

/// Measures all of it on this server.
pub(super) async fn measure(
    arguments: &Arguments,
    server: &Server,
    execution: Execution,
    (runtime, interpreter): (RuntimeKind, PathBuf),
) -> Result<Report, Cause> {
    let folder = tempfile::Builder::new().prefix("coracle-bench-").tempdir()?;
    output::progress("fetching the agent's packages from the package index");
    let packages = Packages::install(&interpreter, &folder.path().join("packages"), &REQUIREMENTS).await?;
    let (place, added) = (folder.path().to_owned(), packages.clone());
    let (_, zip) =
        tokio::task::spawn_blocking(move || packages::pack(&place, "protocols", AGENT, &added)).await??;
    let plan = Plan {
        data_dir: &server.data_dir(),
        requests: arguments.round_trips,
        frames: arguments.frames,
        mebibytes: arguments.mebibytes,
        agent: PlannedAgent {
            name: "protocols",
            runtime: runtime.as_str(),
            zip,
        },
    };
    let measured: Measured = script::run(MEASURE, &interpreter, &packages, server, &plan).await?;
    Ok(Report::new(execution, runtime, measured))
}
