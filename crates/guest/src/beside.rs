//! What runs beside the agent, in its file system and with its environment: commands and shells.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use coracle_guest_proto::command::CommandEnd;
use coracle_guest_proto::message::StartAgent;
use rustix::process::{Pid, Signal, WaitStatus};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// The first of these that there is reads what is to be done.
const INTERPRETERS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Where it runs, and who waits for its end.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    surroundings: Mutex<Option<Surroundings>>,
    waiting: Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>,
}

/// What it has in common with the agent.
#[derive(Clone)]
struct Surroundings {
    environment: BTreeMap<String, String>,
    working_directory: String,
}

/// Shows no environment.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

/// A process that was started.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// It leads a session and a process group of its own.
    pub(crate) pid: Pid,
    pub(crate) ended: oneshot::Receiver<WaitStatus>,
}

impl Beside {
    /// From now on things run as this agent does.
    pub(crate) fn surround(&self, start: &StartAgent) {
        let surroundings = Surroundings {
            environment: start.environment.clone(),
            working_directory: start.working_directory.clone(),
        };
        *lock(&self.surroundings) = Some(surroundings);
    }

    /// A child was reaped: somebody may be waiting for it.
    pub(crate) fn reaped(&self, pid: Pid, status: WaitStatus) {
        if let Some(waiting) = lock(&self.waiting).remove(&pid) {
            // Whoever started it may have stopped waiting.
            waiting.send(status).ok();
        }
    }

    /// An interpreter that is yet to be told what to do.
    pub(crate) fn interpreter(&self, starting: impl Fn() -> String) -> Result<Command, Failure> {
        let Some(surroundings) = lock(&self.surroundings).clone() else {
            return Err(Failure::new(starting(), "the agent has not been started"));
        };
        let found = INTERPRETERS.into_iter().find(|shell| Path::new(shell).exists());
        let interpreter = found.ok_or_else(|| {
            let missing = format!("there is no shell: neither of {}", INTERPRETERS.join(", "));
            Failure::new(starting(), missing)
        })?;
        let mut command = Command::new(interpreter);
        command
            .env_clear()
            .envs(&surroundings.environment)
            .current_dir(&surroundings.working_directory);
        Ok(command)
    }

    /// Starts it.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        // Nothing is reaped in between: this thread does that, too.
        let (reaped, ended) = oneshot::channel();
        lock(&self.waiting).insert(pid, reaped);
        Ok(Started { child, pid, ended })
    }
}

/// How something ended, in the words of the protocol.
pub(crate) fn end(status: Option<WaitStatus>) -> CommandEnd {
    let signal = Signal::KILL.as_raw();
    match status {
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => CommandEnd::Exited { code },
            (None, other) => CommandEnd::Killed {
                signal: other.unwrap_or(signal),
            },
        },
        // It was killed with everything else.
        None => CommandEnd::Killed { signal },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
