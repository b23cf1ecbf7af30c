//! The steps of a start that need no decisions: boot, connect, start the agent; and the end of a sandbox.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use coracle_guest_proto::message::{StartAgent, Storage};
use coracle_guest_proto::{ChannelStream, MuxError};
use coracle_types::{SandboxId, StorageId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Context, EndReason, HostFailure, StartPhases};
use crate::driver::{
    AgentSpec, BootError, BootPhase, Booted, BoxableChannel, Identity, Machine, Origin, Start,
};
use crate::guest::{Guest, GuestError};
use crate::probe;

/// How long a driver has to remove a sandbox before it is dropped.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a restored agent has to renew what is its own.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A sandbox whose guest can be asked.
pub(crate) struct Reached {
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) guest: Guest,
    /// What the agent prints; there has been nobody to read it yet.
    pub(crate) output: ChannelStream,
    /// What this host has to say to its log.
    pub(crate) notices: Option<mpsc::Receiver<String>>,
    /// How the agent is to be started; nothing when it runs and is known to be healthy.
    pub(crate) begin: Option<Box<StartAgent>>,
    pub(crate) phases: StartPhases,
}

/// What a sandbox gets that is its session's alone. One that no session has yet gets nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belongings {
    /// For its guest to mount.
    pub(crate) storage: Option<StorageId>,
    /// What its agent acts as.
    pub(crate) identity: Option<Arc<dyn Identity>>,
}

impl Belongings {
    /// Of what has its storage already.
    fn only(identity: Option<Arc<dyn Identity>>) -> Self {
        Self {
            storage: None,
            identity,
        }
    }
}

/// A sandbox that did not come up.
struct NotReached {
    /// Whether another one in its place may: this one was restored, and nothing is left of it.
    may_boot: bool,
    failure: HostFailure,
}

impl NotReached {
    fn booted(failure: HostFailure) -> Self {
        Self {
            may_boot: false,
            failure,
        }
    }
}

/// Boots or restores a sandbox, gives it what belongs to the session, and connects to its guest. A restored one has
/// become one of its own, and is as healthy as its template was; when that fails, another one is booted. What was begun
/// is undone when all fails.
pub(crate) async fn reach(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
    belongings: &Belongings,
) -> Result<Reached, HostFailure> {
    let booting = context.driver.boot(sandbox, agent);
    let failure = match attempt(context, sandbox, agent, belongings, booting).await {
        Ok(reached) => return Ok(reached),
        Err(NotReached {
            may_boot: false,
            failure,
        }) => return Err(failure),
        Err(NotReached { failure, .. }) => failure,
    };
    warn_of_boot(sandbox, &failure);
    let booted = AgentSpec {
        template: None,
        ..agent.clone()
    };
    let booting = context.driver.boot(sandbox, &booted);
    let mut reached = attempt(context, sandbox, &booted, belongings, booting)
        .await
        .map_err(|error| error.failure)?;
    reached.phases.origin = Origin::BootedInstead;
    Ok(reached)
}

/// Wakes what was hibernated, which has its storage. What was begun is undone when that fails.
pub(crate) async fn wake(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
    identity: Option<Arc<dyn Identity>>,
    hibernated: SandboxId,
) -> Result<Reached, HostFailure> {
    let waking = context.driver.wake(sandbox, agent, hibernated);
    attempt(context, sandbox, agent, &Belongings::only(identity), waking)
        .await
        .map_err(|error| error.failure)
}

/// Takes over what an earlier server left running, which has its storage. Nothing is left of it when that fails.
pub(crate) async fn adopt(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
    identity: Option<Arc<dyn Identity>>,
) -> Result<Reached, HostFailure> {
    let adopting = context.driver.adopt(sandbox, agent);
    attempt(context, sandbox, agent, &Belongings::only(identity), adopting)
        .await
        .map_err(|error| error.failure)
}

fn warn_of_boot(sandbox: SandboxId, error: &(dyn Error + 'static)) {
    tracing::warn!(%sandbox, error, "a restored sandbox did not resume; another one is booted instead");
}

async fn attempt(
    context: &Context,
    sandbox: SandboxId,
    agent: &AgentSpec,
    belongings: &Belongings,
    booting: impl Future<Output = Result<Booted, BootError>>,
) -> Result<Reached, NotReached> {
    let timeout = context.config.boot_timeout;
    let Booted {
        channel,
        start,
        origin,
        mut machine,
        notices,
        timing,
    } = tokio::time::timeout(timeout, booting)
        .await
        .map_err(|_| NotReached::booted(HostFailure::BootTimeout(timeout)))?
        .map_err(|error| NotReached::booted(HostFailure::Boot(error)))?;
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
    let was_restored = matches!(start, Start::Resume { .. });
    match come_up(&mut *machine, channel, start, sandbox, agent, belongings).await {
        Ok((guest, output, begin)) => {
            phases.kernel += began.elapsed();
            Ok(Reached {
                machine,
                guest,
                output,
                notices,
                begin,
                phases,
            })
        }
        Err(failure) => {
            let is_gone = destroy(&mut *machine, sandbox).await;
            Err(NotReached {
                may_boot: was_restored && is_gone,
                failure,
            })
        }
    }
}

/// Talks to the guest of a sandbox until its agent runs, or is to be started with what is returned.
async fn come_up(
    machine: &mut dyn Machine,
    channel: Box<dyn BoxableChannel>,
    start: Start,
    sandbox: SandboxId,
    agent: &AgentSpec,
    belongings: &Belongings,
) -> Result<(Guest, ChannelStream, Option<Box<StartAgent>>), HostFailure> {
    let storage = hand_over(machine, agent, belongings).await?;
    let (guest, output) = connect(channel).await.map_err(HostFailure::Channel)?;
    let begin = match start {
        Start::Agent(mut start) => {
            start.storage = storage;
            Some(start)
        }
        Start::Resume { hostname } => {
            let resumed = guest
                .resume(hostname, storage)
                .await
                .map_err(HostFailure::Resume)?;
            tracing::debug!(%sandbox, ?resumed, "a restored sandbox has become one of its own");
            let template = agent.template.as_ref();
            if let Some(hook) = template.and_then(|template| template.restored.as_ref()) {
                probe::call(&guest, hook, HOOK_TIMEOUT)
                    .await
                    .map_err(HostFailure::RestoreHook)?;
            }
            None
        }
        Start::Adopted => None,
        // Its agent was healthy when it was hibernated.
        Start::GoOn => {
            guest.go_on(None).await.map_err(HostFailure::Guest)?;
            None
        }
    };
    Ok((guest, output, begin))
}

/// Gives a sandbox what belongs to its session. Returns the storage that its guest is to mount.
pub(crate) async fn hand_over(
    machine: &mut dyn Machine,
    agent: &AgentSpec,
    belongings: &Belongings,
) -> Result<Option<Storage>, HostFailure> {
    if let Some(identity) = &belongings.identity {
        machine.identify(Arc::clone(identity));
    }
    let (Some(mount_path), Some(storage)) = (&agent.storage, belongings.storage) else {
        return Ok(None);
    };
    let source = machine.attach(storage).await.map_err(HostFailure::Storage)?;
    Ok(Some(Storage {
        source,
        mount_path: mount_path.clone(),
    }))
}

async fn connect(channel: Box<dyn BoxableChannel>) -> Result<(Guest, ChannelStream), MuxError> {
    let guest = Guest::connect(channel).await?;
    let output = guest.logs().await?;
    Ok((guest, output))
}

/// Has the guest start the agent's process.
pub(crate) async fn start_agent(guest: &Guest, start: StartAgent) -> Result<(), EndReason> {
    guest.start_agent(start).await.map_err(|error| match error {
        GuestError::Refused(reason) => EndReason::NotStarted(reason),
        error => EndReason::host(HostFailure::Guest(error)),
    })
}

/// Ends a sandbox and removes what it had. Returns whether that is done.
pub(crate) async fn destroy(machine: &mut dyn Machine, sandbox: SandboxId) -> bool {
    let destroyed = tokio::time::timeout(DESTROY_TIMEOUT, machine.destroy()).await;
    if destroyed.is_err() {
        tracing::error!(%sandbox, "the driver did not remove a sandbox in time");
    }
    destroyed.is_ok()
}
