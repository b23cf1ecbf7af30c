//! The steps of a start that need no decisions: boot, connect, start the agent; and the end of a sandbox.

use std::time::Duration;

use coracle_guest_proto::{ChannelStream, MuxError};
use coracle_types::SandboxId;
use tokio::time::Instant;

use super::{Context, EndReason, HostFailure, StartPhases};
use crate::driver::{AgentSpec, BootError, BootPhase, Booted, BoxableChannel, Machine, Start};
use crate::guest::{Guest, GuestError};

/// How long a driver has to remove a sandbox before it is dropped.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(30);

/// A sandbox whose guest can be asked.
pub(crate) struct Reached {
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) guest: Guest,
    /// What the agent prints; there has been nobody to read it yet.
    pub(crate) output: ChannelStream,
    /// What the guest is to be asked first; nothing when its agent is known to be healthy.
    pub(crate) begin: Option<Start>,
    pub(crate) phases: StartPhases,
}

/// Boots a sandbox and connects to its guest. What was begun is undone when that fails.
pub(crate) async fn reach(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
) -> Result<Reached, HostFailure> {
    reached(context, sandbox, context.driver.boot(sandbox, agent)).await
}

/// Wakes what was hibernated. What was begun is undone when that fails.
pub(crate) async fn wake(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
    hibernated: SandboxId,
) -> Result<Reached, HostFailure> {
    let waking = context.driver.wake(sandbox, agent, hibernated);
    let mut reached = reached(context, sandbox, waking).await?;
    // Its agent was healthy when it was hibernated: once its guest goes on, nothing is left to begin.
    reached.begin = None;
    if let Err(error) = reached.guest.go_on().await {
        destroy(&mut *reached.machine, sandbox).await;
        return Err(HostFailure::Guest(error));
    }
    Ok(reached)
}

async fn reached(
    context: &Context,
    sandbox: SandboxId,
    booting: impl Future<Output = Result<Booted, BootError>>,
) -> Result<Reached, HostFailure> {
    let timeout = context.config.boot_timeout;
    let Booted {
        channel,
        start,
        origin,
        mut machine,
        timing,
    } = tokio::time::timeout(timeout, booting)
        .await
        .map_err(|_| HostFailure::BootTimeout(timeout))?
        .map_err(HostFailure::Boot)?;
    let mut phases = StartPhases {
        origin,
        ..StartPhases::default()
    };
    for (phase, took) in timing {
        *match phase {
            BootPhase::Disks => &mut phases.disks,
            BootPhase::Machine => &mut phases.machine,
            BootPhase::Kernel => &mut phases.kernel,
        } += took;
    }
    let began = Instant::now();
    match connect(channel).await {
        Ok((guest, output)) => {
            phases.kernel += began.elapsed();
            Ok(Reached {
                machine,
                guest,
                output,
                begin: Some(start),
                phases,
            })
        }
        Err(error) => {
            destroy(&mut *machine, sandbox).await;
            Err(HostFailure::Channel(error))
        }
    }
}

async fn connect(channel: Box<dyn BoxableChannel>) -> Result<(Guest, ChannelStream), MuxError> {
    let guest = Guest::connect(channel).await?;
    let output = guest.logs().await?;
    Ok((guest, output))
}

/// Has the guest start the agent's process, or take on its own identity when the agent runs already.
pub(crate) async fn start_agent(guest: &Guest, start: Start) -> Result<(), EndReason> {
    let failed = |error| EndReason::host(HostFailure::Guest(error));
    match start {
        Start::Agent(start) => guest.start_agent(*start).await.map_err(|error| match error {
            GuestError::Refused(reason) => EndReason::NotStarted(reason),
            error => failed(error),
        }),
        Start::GoOn => guest.go_on().await.map_err(failed),
        Start::Resume { hostname } => {
            let resumed = guest.resume(hostname).await.map_err(failed)?;
            tracing::debug!(?resumed, "a restored sandbox has become one of its own");
            Ok(())
        }
    }
}

/// Ends a sandbox and removes what it had.
pub(crate) async fn destroy(machine: &mut dyn Machine, sandbox: SandboxId) {
    if tokio::time::timeout(DESTROY_TIMEOUT, machine.destroy())
        .await
        .is_err()
    {
        tracing::error!(%sandbox, "the driver did not remove a sandbox in time");
    }
}
