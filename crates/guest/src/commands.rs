//! Commands that a host runs beside the agent: in its file system, with its environment, each in a shell of its own.
//!
//! In a machine they run as root, with what a container's root may do. What they leave running stays until the sandbox
//! ends; what belongs to their process group is killed when their time is over or the host stops listening.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::command::{self, CommandEnd, CommandEvent, MAX_PIECE, RunCommand};
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::message::StartAgent;
use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::confine::Confinement;
use crate::console::chain;
use crate::failure::{Doing as _, Failure};

/// The first of these that there is runs the command.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
/// How long the output may stay open once the command has ended: what it left running may hold it.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// The commands that run, and where they run.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    surroundings: Mutex<Option<Surroundings>>,
    running: Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>,
}

/// What a command has in common with the agent.
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

/// A command that runs.
struct Running {
    pid: Pid,
    ended: oneshot::Receiver<WaitStatus>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Commands {
    /// From now on commands run as this agent does.
    pub(crate) fn surround(&self, start: &StartAgent) {
        let surroundings = Surroundings {
            environment: start.environment.clone(),
            working_directory: start.working_directory.clone(),
        };
        *lock(&self.surroundings) = Some(surroundings);
    }

    /// A child was reaped: it may have been a command.
    pub(crate) fn reaped(&self, pid: Pid, status: WaitStatus) {
        if let Some(running) = lock(&self.running).remove(&pid) {
            // Whoever ran it may have stopped waiting.
            running.send(status).ok();
        }
    }

    /// Runs a command and tells the host what becomes of it.
    pub(crate) async fn run(
        &self,
        stream: ChannelStream,
        wanted: &RunCommand,
        confinement: Result<Confinement, Failure>,
    ) -> Result<(), FrameError> {
        let (read, mut write) = tokio::io::split(stream);
        let started = confinement.and_then(|confinement| self.start(wanted, confinement));
        let end = match started {
            Ok(running) => relay(running, wanted, read, &mut write).await?,
            Err(failure) => CommandEnd::NotStarted {
                reason: chain(&failure),
            },
        };
        command::write(&mut write, &CommandEvent::Ended(end)).await?;
        write.shutdown().await.map_err(FrameError::Io)
    }

    fn start(&self, wanted: &RunCommand, confinement: Confinement) -> Result<Running, Failure> {
        let starting = || "starting the command".to_owned();
        let Some(surroundings) = lock(&self.surroundings).clone() else {
            return Err(Failure::new(starting(), "the agent has not been started"));
        };
        let shell = SHELLS.into_iter().find(|shell| Path::new(shell).exists());
        let shell = shell.ok_or_else(|| {
            Failure::new(
                starting(),
                format!("there is no shell: neither of {}", SHELLS.join(", ")),
            )
        })?;
        let mut command = Command::new(shell);
        command
            .args(["-c", &wanted.command])
            .env_clear()
            .envs(&surroundings.environment)
            .current_dir(&surroundings.working_directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        confinement.apply_to(&mut command);
        let mut child = command.spawn().doing(starting)?;
        let pid = Pid::from_child(&child);
        // Nothing is reaped in between: this thread does that, too.
        let (reaped, ended) = oneshot::channel();
        lock(&self.running).insert(pid, reaped);
        let no_pipe = || io::Error::other("no pipe");
        let stdout = child.stdout.take().ok_or_else(no_pipe).doing(starting)?;
        let stderr = child.stderr.take().ok_or_else(no_pipe).doing(starting)?;
        Ok(Running {
            pid,
            ended,
            stdout: pipe::Receiver::from_owned_fd(stdout.into()).doing(starting)?,
            stderr: pipe::Receiver::from_owned_fd(stderr.into()).doing(starting)?,
        })
    }
}

/// Passes the output on until the command has ended, its time is over, or the host is gone.
async fn relay(
    mut running: Running,
    wanted: &RunCommand,
    mut host: ReadHalf<ChannelStream>,
    to_host: &mut WriteHalf<ChannelStream>,
) -> Result<CommandEnd, FrameError> {
    let _group = Group(running.pid);
    let deadline = tokio::time::sleep(Duration::from_secs(wanted.timeout_secs.into()));
    tokio::pin!(deadline);
    let (mut out, mut err) = (Some(running.stdout), Some(running.stderr));
    let mut end = None;
    let mut nothing = [0; 1];
    while end.is_none() || out.is_some() || err.is_some() {
        let event = tokio::select! {
            piece = next(&mut out) => piece.map(CommandEvent::Stdout),
            piece = next(&mut err) => piece.map(CommandEvent::Stderr),
            status = &mut running.ended, if end.is_none() => {
                end = Some(how(status.ok()));
                deadline.as_mut().reset(tokio::time::Instant::now() + LAST_OUTPUT);
                None
            }
            () = &mut deadline => {
                return Ok(end.unwrap_or(CommandEnd::TimedOut));
            }
            _ = host.read(&mut nothing) => return Err(FrameError::Ended),
        };
        if let Some(event) = event {
            command::write(to_host, &event).await?;
        }
    }
    Ok(end.unwrap_or(CommandEnd::TimedOut))
}

/// The next piece of output; for ever nothing once it has ended.
async fn next(output: &mut Option<pipe::Receiver>) -> Option<Bytes> {
    let Some(pipe) = output else {
        return std::future::pending().await;
    };
    let mut piece = BytesMut::with_capacity(MAX_PIECE);
    let mut limited = pipe.take(MAX_PIECE as u64);
    // A pipe that fails is a pipe that ends.
    if matches!(limited.read_buf(&mut piece).await, Ok(1..)) {
        return Some(piece.freeze());
    }
    *output = None;
    None
}

fn how(status: Option<WaitStatus>) -> CommandEnd {
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

/// The process group of a command, which ends with it.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // There may be nobody left in it.
        rustix::process::kill_process_group(self.0, Signal::KILL).ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
