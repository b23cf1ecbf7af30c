//! The steps of a start that need no decisions: boot, connect, start the agent.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_guest_proto::message::{Request, Response, StartAgent};
use tokio::time::Instant;

use super::{Context, EndReason, HostFailure, Shared, StartPhases};
use crate::driver::{AgentSpec, BootPhase, Booted, BoxableChannel};
use crate::guest::{Guest, GuestError};
use crate::logs::SessionLog;

/// How long the guest may take to prepare its file system and start the agent's process.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Boots the sandbox.
pub(super) async fn boot(
    context: &Context,
    shared: &Shared,
    agent: &AgentSpec,
    phases: &mut StartPhases,
) -> Result<Booted, HostFailure> {
    let timeout = context.config.boot_timeout;
    let booted = tokio::time::timeout(timeout, context.driver.boot(shared.sandbox, agent))
        .await
        .map_err(|_| HostFailure::BootTimeout(timeout))?
        .map_err(HostFailure::Boot)?;
    for (phase, took) in &booted.timing {
        *match phase {
            BootPhase::Disks => &mut phases.disks,
            BootPhase::Machine => &mut phases.machine,
            BootPhase::Kernel => &mut phases.kernel,
        } += *took;
    }
    Ok(booted)
}

/// Connects to the guest and begins to collect the agent's output, before there is any.
pub(super) async fn connect(
    context: &Context,
    shared: &Shared,
    channel: Box<dyn BoxableChannel>,
    phases: &mut StartPhases,
) -> Result<(Guest, SessionLog), HostFailure> {
    let began = Instant::now();
    let guest = Guest::connect(channel).await.map_err(HostFailure::Channel)?;
    let output = guest.logs().await.map_err(HostFailure::Channel)?;
    phases.kernel += began.elapsed();
    let log = SessionLog::collect(
        shared.key.clone(),
        output,
        Arc::clone(&context.logs),
        context.config.log_budget,
    );
    Ok((guest, log))
}

/// Has the guest start the agent's process.
pub(super) async fn start_agent(guest: &Guest, mut start: StartAgent) -> Result<(), EndReason> {
    if start.clock_unix_nanos.is_some() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        start.clock_unix_nanos = i64::try_from(now.as_nanos()).ok();
    }
    if start.entropy_hex.is_some() {
        start.entropy_hex = Some(hex::encode(rand::random::<[u8; 32]>()));
    }
    match guest
        .request(Request::Start(Box::new(start)), START_TIMEOUT)
        .await
    {
        Ok(Response::Started { .. }) => Ok(()),
        Ok(_) => Err(EndReason::host(HostFailure::Guest(GuestError::WrongAnswer))),
        Err(GuestError::Refused(reason)) => Err(EndReason::NotStarted(reason)),
        Err(error) => Err(EndReason::host(HostFailure::Guest(error))),
    }
}
