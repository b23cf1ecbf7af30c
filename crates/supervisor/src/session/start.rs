//! The steps of a start that need no decisions: boot, connect, start the agent.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Context, EndReason, HostFailure, Shared, StartPhases};
use crate::driver::{AgentSpec, BootPhase, Booted, BoxableChannel, Start};
use crate::guest::{Guest, GuestError};
use crate::logs::SessionLog;

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
    phases.origin = booted.origin;
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

/// Has the guest start the agent's process, or take on its own identity when the agent runs already.
pub(super) async fn start_agent(guest: &Guest, start: Start) -> Result<(), EndReason> {
    let failed = |error| EndReason::host(HostFailure::Guest(error));
    match start {
        Start::Agent(start) => guest.start_agent(*start).await.map_err(|error| match error {
            GuestError::Refused(reason) => EndReason::NotStarted(reason),
            error => failed(error),
        }),
        Start::Resume { hostname } => {
            let resumed = guest.resume(hostname).await.map_err(failed)?;
            tracing::debug!(?resumed, "a restored sandbox has become one of its own");
            Ok(())
        }
    }
}
