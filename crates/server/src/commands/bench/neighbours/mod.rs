//! `coracle bench neighbours`: what an agent that takes all it can get costs the session next to it.
//!
//! A session is asked at a steady rate, alone and then while the agents of others do one thing as hard as they can.
//! Each load has its own quiet time, directly before it, so that what else the machine does meets both.

mod report;

use std::convert::Infallible;
use std::time::Duration;

use coracle_types::RuntimeKind;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use self::report::Beside;
pub(super) use self::report::Report;
use super::deploy;
use super::measure::Subject;
use super::report::Head;
use super::server::Server;
use super::statistics::Percentiles;
use super::{Cause, JSON};
use crate::commands::client::{CallError, Client, Service};
use crate::commands::output;

const AGENT: &str = include_str!("agent.py");
/// What the agent knows to do; the last is the answers that are asked of it.
const LOADS: [&str; 7] = [
    "processors",
    "processes",
    "memory",
    "disk",
    "output",
    "network",
    ANSWERS,
];
const ANSWERS: &str = "answers";
/// Bytes of each of these answers.
const ANSWER: usize = 15 * 1024 * 1024;
/// The neighbour is asked once in this time.
const PACE: Duration = Duration::from_millis(50);
/// How long a load has before the clock starts.
const RISE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Seconds of each measurement.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// Sessions that do the same at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    sessions: u16,
    /// Only this load.
    #[arg(long, value_parser = LOADS)]
    load: Option<String>,
}

/// Asks a session again and again for this long.
async fn latency(subject: &Subject<'_>, session: &str, time: Duration) -> Result<Percentiles, Cause> {
    let mut client = subject.client().await?;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end || times.is_empty() {
        pace.tick().await;
        // Signed for each: signatures hold for minutes, and a measurement may take an hour.
        let call = subject.call(session, JSON, r#"{"prompt": "hello"}"#)?;
        times.push(client.send(&call).await?.whole);
    }
    Percentiles::of(times).ok_or_else(|| "nothing was measured".into())
}

/// What asks a session for answers; it ends only when that fails.
type Asking = AbortOnDropHandle<Result<Infallible, CallError>>;

/// Has a session do this until it is stopped. What is returned asks for answers, if that is the load.
async fn begin(subject: &Subject<'_>, session: &str, load: &str) -> Result<Option<Asking>, Cause> {
    let mut client = subject.client().await?;
    if load != ANSWERS {
        let call = subject.call(session, JSON, json!({ "load": load }).to_string())?;
        client.send(&call).await?;
        return Ok(None);
    }
    let (signer, runtime, session) = (
        subject.server.signer(),
        subject.runtime.clone(),
        session.to_owned(),
    );
    // Beside the task that measures, not in it.
    let asking = tokio::spawn(async move {
        loop {
            let ask = runtime.invocation(&session, JSON, json!({ "answer": ANSWER }).to_string());
            client.send(&signer.signed(Service::AgentCore, ask)?).await?;
        }
    });
    Ok(Some(AbortOnDropHandle::new(asking)))
}

/// Measures all of it on this server.
pub(super) async fn measure(
    arguments: &Arguments,
    server: &Server,
    runtime: RuntimeKind,
) -> Result<Report, Cause> {
    let signer = server.signer();
    let mut client = Client::connect(server.address).await?;
    output::progress(format!("deploying two agents for {runtime}"));
    let measured = deploy::deploy(&mut client, &signer, runtime, "bench", deploy::SOURCE).await?;
    let loading = deploy::deploy(&mut client, &signer, runtime, "load", AGENT).await?;
    let subject = |runtime| Subject {
        server,
        signer: &signer,
        runtime,
    };
    let (measured, loading) = (subject(&measured), subject(&loading));
    let neighbour = new_session();
    // Not only its start: what an emulator has not translated yet is translated now.
    latency(&measured, &neighbour, RISE).await?;
    let time = Duration::from_secs(arguments.seconds.into());
    let mut besides = Vec::new();
    let chosen = |load: &&str| arguments.load.as_ref().is_none_or(|only| only == load);
    for load in LOADS.into_iter().filter(chosen) {
        let others: Vec<_> = (0..arguments.sessions).map(|_| new_session()).collect();
        for other in &others {
            let start = loading.call(other, JSON, r#"{"answer": 1}"#)?;
            client.send(&start).await?;
        }
        let quiet = latency(&measured, &neighbour, time).await?;
        let mut asking = Vec::new();
        for other in &others {
            asking.push(begin(&loading, other, load).await?);
        }
        tokio::time::sleep(RISE).await;
        let loaded = latency(&measured, &neighbour, time).await?;
        if let Some(ended) = asking.into_iter().flatten().find(AbortOnDropHandle::is_finished) {
            let Err(error) = ended.await?;
            return Err(format!("a session stopped answering under its load: {error}").into());
        }
        for other in &others {
            // One whose load did not last is not there any more.
            loading.end(&mut client, other).await?;
        }
        output::progress(format!(
            "{load}: p50 {:.1} ms, {:.1} ms alone",
            loaded.p50, quiet.p50
        ));
        besides.push(Beside { load, quiet, loaded });
    }
    Ok(Report {
        head: Head::new(server.execution(), runtime),
        sessions: arguments.sessions,
        besides,
    })
}

fn new_session() -> String {
    format!("bench-{}", Uuid::new_v4())
}
