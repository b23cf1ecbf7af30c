//! `coracle bench protocols`: how fast a running session is in each way of talking to it.
//!
//! Round trips and bytes per second of invocations, pages through the session's URL, its WebSocket, and commands, as a
//! client sees them through boto3 and `websockets`. The agent is on the SDK, so part of every figure is its server's.

mod report;

use std::path::Path;

use serde::Serialize;

use self::report::Measured;
pub(super) use self::report::Report;
use super::Cause;
use super::report::Head;
use super::script::{PackedAgent, Workshop};
use super::server::Server;

const AGENT: &str = include_str!("agent.py");
const MEASURE: &str = include_str!("measure.py");
pub(super) const REQUIREMENTS: [&str; 3] = ["bedrock-agentcore==1.25.0", "boto3==1.44.5", "websockets==17.4"];

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
    agent: PackedAgent,
}

/// Measures all of it on this server.
pub(super) async fn measure(
    arguments: &Arguments,
    server: &Server,
    workshop: &Workshop,
) -> Result<Report, Cause> {
    let plan = Plan {
        data_dir: &server.data_dir(),
        requests: arguments.round_trips,
        frames: arguments.frames,
        mebibytes: arguments.mebibytes,
        agent: workshop.pack("protocols", AGENT).await?,
    };
    let measured: Measured = workshop.measure(MEASURE, server, &plan).await?;
    Ok(Report::new(
        Head::new(server.execution(), workshop.runtime),
        measured,
    ))
}
