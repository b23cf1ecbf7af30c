//! Commands that a host runs beside the agent, each in a shell of its own.
//!
//! In a machine they run as root, with what a container's root may do. What they leave running stays until the sandbox
//! ends; what belongs to their process group is killed when their time is over or the host stops listening.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::command::{self, CommandEnd, CommandEvent, MAX_PIECE, RunCommand};
use coracle_guest_proto::frame::FrameError;
use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::beside::{self, Beside};
use crate::confine::Confinement;
use crate::console::chain;
use crate::failure::{Doing as _, Failure};

/// How long the output may stay open once the command has ended: what it left running may hold it.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A command that runs.
struct Running {
    pid: Pid,
    ended: oneshot::Receiver<WaitStatus>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

/// Runs a command and tells the host what becomes of it.
pub(crate) async fn run(
    stream: ChannelStream,
    wanted: &RunCommand,
    beside: &Beside,
    confinement: Result<Confinement, Failure>,
) -> Result<(), FrameError> {
    let (read, mut write) = tokio::io::split(stream);
    let started = confinement.and_then(|confinement| start(wanted, beside, confinement));
    let end = match started {
        Ok(running) => relay(running, wanted, read, &mut write).await?,
        Err(failure) => CommandEnd::NotStarted {
            reason: chain(&failure),
        },
    };
    command::write(&mut write, &CommandEvent::Ended(end)).await?;
    write.shutdown().await.map_err(FrameError::Io)
}

fn start(wanted: &RunCommand, beside: &Beside, confinement: Confinement) -> Result<Running, Failure> {
    let starting = || "starting the command".to_owned();
    let mut command = beside.interpreter(starting)?;
    command
        .args(["-c", &wanted.command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    confinement.apply_to(&mut command);
    let mut started = beside.spawn(&mut command).doing(starting)?;
    let no_pipe = || io::Error::other("no pipe");
    let stdout = started.child.stdout.take().ok_or_else(no_pipe).doing(starting)?;
    let stderr = started.child.stderr.take().ok_or_else(no_pipe).doing(starting)?;
    Ok(Running {
        pid: started.pid,
        ended: started.ended,
        stdout: pipe::Receiver::from_owned_fd(stdout.into()).doing(starting)?,
        stderr: pipe::Receiver::from_owned_fd(stderr.into()).doing(starting)?,
    })
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
                end = Some(beside::end(status.ok()));
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

/// The process group of a command, which ends with it.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // There may be nobody left in it.
        rustix::process::kill_process_group(self.0, Signal::KILL).ok();
    }
}
