//! From a booted machine to a healthy, warmed-up agent that is worth a template.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coracle_guest_proto::message::{AgentExit, StartAgent};
use coracle_guest_proto::{Channel, ChannelStream, MuxError, log};
use tokio::time::Instant;

use crate::driver::{AgentSpec, TemplateSpec};
use crate::guest::{Guest, GuestError};
use crate::probe;
use crate::session::life::Probe;

/// How often the agent is probed.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the warm-up request may take.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the last output of a failed agent gets to arrive.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(300);
/// How much of the end of the agent's output is kept, in bytes and in lines.
const KEPT_OUTPUT: usize = 16 * 1024;
const KEPT_LINES: usize = 20;

/// Why there is no healthy agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    /// The agent's doing. Names the phase, and ends with its last log lines.
    #[error("{0}")]
    Agent(String),
    /// The channel to the guest failed.
    #[error("the guest could not be reached")]
    Channel(#[from] MuxError),
    /// The guest did not do its part.
    #[error("the guest could not be told to start the agent")]
    Guest(#[source] GuestError),
    /// A restored guest did not do its part.
    #[error("the restored guest did not resume")]
    Resume(#[source] GuestError),
}

/// What the agent did wrong.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("start: its process could not be started: {0}")]
    NotStarted(String),
    #[error("{phase}: it {exit}")]
    Exited { phase: &'static str, exit: AgentExit },
    #[error("ping: it was not healthy within {limit:?}{}", .last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    NeverHealthy { limit: Duration, last: Option<String> },
    #[error("warm-up: {0}")]
    WarmUp(String),
}

/// Starts the agent and waits until it is healthy and warmed up. The host has left the channel when this returns.
pub(super) async fn bring_up(
    channel: impl Channel,
    start: StartAgent,
    agent: &AgentSpec,
    template: &TemplateSpec,
) -> Result<(), NotReady> {
    let guest = Guest::connect(channel).await?;
    let output = LastOutput::collect(guest.logs().await?);
    let fault = match guest.start_agent(start).await {
        Ok(()) => become_ready(&guest, agent, template).await,
        Err(GuestError::Refused(reason)) => Err(Fault::NotStarted(reason)),
        Err(error) => return Err(NotReady::Guest(error)),
    };
    let Err(fault) = fault else {
        return guest.announce_snapshot().await.map_err(NotReady::Guest);
    };
    tokio::time::sleep(OUTPUT_TIMEOUT).await;
    let mut text = format!("The agent did not become ready. Phase {fault}.");
    let lines = output.lines();
    if !lines.is_empty() {
        text.push_str(" Its last log lines:\n");
        text.push_str(&lines.join("\n"));
    }
    Err(NotReady::Agent(text))
}

/// Resumes a restored agent that nobody will use.
pub(super) async fn resumes(channel: impl Channel) -> Result<(), NotReady> {
    let guest = Guest::connect(channel).await?;
    match guest.resume("template".to_owned(), None).await {
        Ok(_) => Ok(()),
        Err(error @ GuestError::NotRenewed { .. }) => Err(NotReady::Agent(format!(
            "The agent cannot be restored: {error}. With platformVersion V1 each session boots."
        ))),
        Err(error) => Err(NotReady::Resume(error)),
    }
}

async fn become_ready(guest: &Guest, agent: &AgentSpec, template: &TemplateSpec) -> Result<(), Fault> {
    tokio::select! {
        exit = guest.exited() => return Err(Fault::Exited { phase: "start", exit }),
        healthy = healthy(guest, agent, template.init_timeout) => healthy?,
    }
    let Some(warm_up) = &template.warm_up else {
        return Ok(());
    };
    tokio::select! {
        exit = guest.exited() => Err(Fault::Exited { phase: "warm-up", exit }),
        warmed = probe::call(guest, warm_up, WARM_UP_TIMEOUT) => warmed.map_err(Fault::WarmUp),
    }
}

async fn healthy(guest: &Guest, agent: &AgentSpec, limit: Duration) -> Result<(), Fault> {
    let deadline = Instant::now() + limit;
    let mut last = None;
    loop {
        let probing = tokio::time::timeout(PROBE_TIMEOUT, probe::ping(guest, agent.port, agent.protocol));
        match tokio::time::timeout_at(deadline, probing).await {
            Ok(Ok(Probe::Healthy { .. })) => return Ok(()),
            Ok(Ok(Probe::Failed(failure))) => last = Some(failure),
            Ok(Err(_)) => last = Some("GET /ping had no answer".to_owned()),
            Err(_) => return Err(Fault::NeverHealthy { limit, last }),
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// The end of what the agent has written.
struct LastOutput(Arc<Mutex<VecDeque<u8>>>);

impl LastOutput {
    fn collect(mut stream: ChannelStream) -> Self {
        let kept = Arc::<Mutex<VecDeque<u8>>>::default();
        let written = Arc::clone(&kept);
        // Ends with the channel.
        tokio::spawn(async move {
            while let Ok(record) = log::read(&mut stream).await {
                let mut kept = written.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(record.bytes);
                let surplus = kept.len().saturating_sub(KEPT_OUTPUT);
                kept.drain(..surplus);
            }
        });
        Self(kept)
    }

    fn lines(&self) -> Vec<String> {
        let kept: Vec<u8> = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect();
        let text = String::from_utf8_lossy(&kept);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(KEPT_LINES);
        lines[first..].iter().map(|line| (*line).to_owned()).collect()
    }
}
