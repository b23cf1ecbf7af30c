//! The agent's process: started once, and gone with everything it started.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use coracle_guest_proto::log::Output;
use coracle_guest_proto::message::StartAgent;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use tokio::signal::unix::Signal;

use crate::confine::Confinement;
use crate::failure::{Doing as _, Failure};

/// How long the killed get to die before they are looked for again.
const REAP_INTERVAL: Duration = Duration::from_millis(5);

/// A started agent.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Its main process, which leads a session and a process group of its own.
    pub(crate) pid: Pid,
    /// Where its output comes from.
    pub(crate) pipes: [(Output, OwnedFd); 2],
}

/// Starts the agent.
pub(crate) fn spawn(start: &StartAgent, confinement: Confinement) -> Result<Spawned, Failure> {
    let (program, arguments) = start
        .command
        .split_first()
        .ok_or_else(|| Failure::new("starting the agent", "the command is empty"))?;
    let folder = Path::new(&start.working_directory);
    if !folder.is_dir() {
        let missing = format!("the working directory {} does not exist", folder.display());
        return Err(Failure::new("starting the agent", missing));
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&start.environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    confinement.apply_to(&mut command);
    let starting = || format!("starting the agent's program {program}");
    let mut child = command.spawn().doing(starting)?;
    let no_pipe = || io::Error::other("no pipe");
    let stdout = child.stdout.take().ok_or_else(no_pipe).doing(starting)?;
    let stderr = child.stderr.take().ok_or_else(no_pipe).doing(starting)?;
    Ok(Spawned {
        pid: Pid::from_child(&child),
        pipes: [(Output::Stdout, stdout.into()), (Output::Stderr, stderr.into())],
    })
}

/// Reaps every child until the agent's main process is among them, and says how that one ended. The others are `others`'
/// business.
pub(crate) async fn main_process_end(
    agent: Pid,
    children: &mut Signal,
    others: impl Fn(Pid, WaitStatus),
) -> Option<WaitStatus> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == agent => return Some(status),
            Ok(Some((pid, status))) => others(pid, status),
            Err(Errno::INTR) => {}
            Ok(None) => _ = children.recv().await,
            Err(_) => return None,
        }
    }
}

/// Kills with `kill` and reaps until there are no children left, but not longer than `limit`: a process in
/// an uninterruptible sleep must not hold up everything else.
pub(crate) async fn end_all(kill: impl Fn(), limit: Duration) {
    let ending = async {
        loop {
            kill();
            loop {
                match rustix::process::wait(WaitOptions::NOHANG) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            tokio::time::sleep(REAP_INTERVAL).await;
        }
    };
    tokio::time::timeout(limit, ending).await.ok();
}
