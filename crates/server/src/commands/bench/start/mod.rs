//! `coracle bench start`: how long a session takes to its first byte through boto3, by the way it starts.
//!
//! | way | before the clock runs | on the clock |
//! |---|---|---|
//! | bare process | nothing | the interpreter starts the agent on the host, and it answers |
//! | boot | a version of platform `V1` | the first invocation of a session |
//! | restore | a version of platform `V2`, with its template | the same |
//! | warm pool | as restore, and sandboxes stand ready | the same |
//! | warm pool, rehearsed | as warm pool, and the agent has answered itself in each | the same |
//! | wake | sessions that are hibernated | their next invocation |
//!
//! The measuring is `start.py`, because boto3 is what callers use. It runs with the host's interpreter of the version
//! that the agents run with in their guests, on the same packages; both come from the package index, into a folder
//! that goes when the run ends.

mod agents;
mod report;

use std::path::Path;

use serde::Serialize;

pub(super) use self::agents::{Agent, REQUIREMENTS};
use self::report::Measured;
pub(super) use self::report::Report;
use super::Cause;
use super::report::Head;
use super::script::{PackedAgent, Workshop};
use super::server::Server;

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

/// An agent, and where it rehearses.
#[derive(Serialize)]
struct PlannedAgent {
    #[serde(flatten)]
    packed: PackedAgent,
    rehearsal: Option<&'static str>,
}

/// Measures all of it on this server, which must be one for microVMs.
pub(super) async fn measure(
    arguments: &Arguments,
    server: &Server,
    workshop: &Workshop,
) -> Result<Report, Cause> {
    let agents = arguments.agent.map_or(Agent::ALL.to_vec(), |agent| vec![agent]);
    let mut planned = Vec::new();
    for agent in agents {
        planned.push(PlannedAgent {
            packed: workshop.pack(agent.name(), agent.source()).await?,
            rehearsal: agent.rehearsal(),
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
    let measured: Vec<Measured> = workshop.measure(MEASURE, server, &plan).await?;
    Ok(Report::new(
        Head::new(server.execution(), workshop.runtime),
        measured,
    ))
}
