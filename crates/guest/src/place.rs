//! Where the guest runs, and what is therefore different: a whole machine, or one process among others.

use std::time::{Duration, Instant};

use coracle_guest_proto::message::{AgentExit, GoOn, Resume, Resumed, StartAgent, StartTiming, Usage};
use rustix::process::WaitStatus;

use crate::confine::{Confinement, Identity};
use crate::failure::{Doing as _, Failure};
use crate::machine::Machine;
use crate::{agent, clock, process};

/// How long killed processes get to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Where the guest runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// As the first process of a machine of its own.
    Machine(Machine),
    /// As an ordinary process that adopts the orphans among its descendants.
    Process,
}

impl Place {
    /// Moves the wall clock, where there is one of the guest's own, and tells it in Unix nanoseconds.
    pub(crate) fn clock(&self, step_nanos: i64) -> Result<i64, Failure> {
        if matches!(self, Self::Machine(_)) && step_nanos != 0 {
            clock::step(step_nanos).doing(|| "setting the clock".to_owned())?;
        }
        Ok(clock::unix_nanos())
    }

    /// Makes the surroundings the agent is to find, and says how long that took.
    pub(crate) fn prepare(&self, start: &StartAgent) -> Result<StartTiming, Failure> {
        let begun = Instant::now();
        let kernel_micros = match self {
            Self::Machine(machine) => {
                machine.prepare(start)?;
                machine.kernel_micros()
            }
            Self::Process => {
                if let Some(storage) = &start.storage {
                    process::mount(storage, &start.working_directory)?;
                }
                0
            }
        };
        Ok(StartTiming {
            kernel_micros,
            mount_micros: micros(begun.elapsed()),
            spawn_micros: 0,
        })
    }

    /// Takes on what a restored machine must not share with others.
    pub(crate) async fn resume(&self, resume: &Resume) -> Result<Resumed, Failure> {
        match self {
            Self::Machine(machine) => machine.resume(resume).await,
            Self::Process => Err(Failure::new("resuming", "a process is never restored")),
        }
    }

    /// Goes on after the machine stood still.
    pub(crate) fn go_on(&self, go_on: &GoOn) -> Result<(), Failure> {
        match self {
            Self::Machine(machine) => machine.go_on(go_on),
            Self::Process => Err(Failure::new("going on", "a process never stands still")),
        }
    }

    /// Writes through what the session is to find again, whatever becomes of the machine.
    pub(crate) async fn sync(&self) {
        // What a process has written outlives it without that.
        if let Self::Machine(machine) = self {
            machine.sync().await;
        }
    }

    /// What the agent's process has to give up here.
    pub(crate) fn confinement(&self, start: &StartAgent) -> Result<Confinement, Failure> {
        let cgroup = match self {
            Self::Machine(machine) => machine.agent_cgroup()?,
            Self::Process => None,
        };
        let whole_machine = matches!(self, Self::Machine(_));
        Ok(Confinement {
            user: start.user.as_ref().map(Identity::from),
            cgroup,
            whole_machine,
            at_terminal: false,
        })
    }

    /// What runs beside the agent, at a terminal or not, has to give up here: in a machine it is root, elsewhere whoever
    /// the guest is.
    pub(crate) fn confinement_beside(&self, at_terminal: bool) -> Result<Confinement, Failure> {
        let (user, cgroup) = match self {
            Self::Machine(machine) => (Some(Identity::ROOT), machine.agent_cgroup()?),
            Self::Process => (None, None),
        };
        Ok(Confinement {
            user,
            cgroup,
            whole_machine: matches!(self, Self::Machine(_)),
            at_terminal,
        })
    }

    /// Ends every process but the guest.
    pub(crate) async fn end_all_processes(&self) {
        match self {
            Self::Machine(_) => agent::end_all(Machine::kill_all, KILL_LIMIT).await,
            Self::Process => agent::end_all(process::kill_descendants, KILL_LIMIT).await,
        }
    }

    /// How the agent ended, from what was reaped.
    pub(crate) fn exit(&self, status: Option<WaitStatus>) -> AgentExit {
        let signal = status.and_then(WaitStatus::terminating_signal);
        let out_of_memory = match self {
            Self::Machine(machine) => signal.is_some() && machine.ran_out_of_memory(),
            Self::Process => false,
        };
        AgentExit {
            code: status.and_then(WaitStatus::exit_status),
            signal,
            out_of_memory,
        }
    }

    /// What has been used so far.
    pub(crate) fn usage(&self) -> Usage {
        match self {
            Self::Machine(machine) => machine.usage(),
            Self::Process => process::usage(),
        }
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
