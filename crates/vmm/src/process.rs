//! The process of a machine: a child of this server, or one that an earlier server started and left.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::time::Timespec;
use tokio::process::{Child, ChildStderr};

use crate::record::Record;

/// How often an adopted process is looked at while its end is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// A running machine monitor. Dropping it kills it, unless it is [left](Process::leave).
#[derive(Debug)]
pub(crate) struct Process {
    held: Held,
    is_left: bool,
}

#[derive(Debug)]
enum Held {
    /// Our child.
    Own(Child),
    /// Somebody else's by now; a handle that names it and never a later process of the same id.
    Adopted(OwnedFd),
}

impl Process {
    /// One that this server has started.
    pub(crate) fn own(child: Child) -> Self {
        Self::of(Held::Own(child))
    }

    fn of(held: Held) -> Self {
        Self { held, is_left: false }
    }

    /// The process that a record names, unless it has ended.
    pub(crate) fn adopt(record: &Record) -> io::Result<Option<Self>> {
        let Some(handle) = handle_of(record.pid, record.start_time)? else {
            return Ok(None);
        };
        Ok(Some(Self::of(Held::Adopted(handle))))
    }

    /// Waits until it has ended. How is known of children only.
    pub(crate) async fn wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.held {
            Held::Own(child) => child.wait().await.map(Some),
            Held::Adopted(handle) => {
                // Its channel closes as it ends, so nobody waits long for this.
                while !has_ended(handle)? {
                    tokio::time::sleep(LOOK).await;
                }
                Ok(None)
            }
        }
    }

    /// Ends it at once. It may have ended.
    pub(crate) fn kill(&mut self) {
        match &mut self.held {
            Held::Own(child) => child.start_kill().ok(),
            Held::Adopted(handle) => rustix::process::pidfd_send_signal(handle, Signal::KILL).ok(),
        };
    }

    /// Has it outlive this server, or not.
    pub(crate) fn leave(&mut self, is_left: bool) {
        self.is_left = is_left;
    }

    /// Whether it is to outlive this server.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left
    }

    /// The id of a child that has not been waited for.
    pub(crate) fn id(&self) -> Option<u32> {
        match &self.held {
            Held::Own(child) => child.id(),
            Held::Adopted(_) => None,
        }
    }

    /// What a child says, for whoever asks first.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        match &mut self.held {
            Held::Own(child) => child.stderr.take(),
            Held::Adopted(_) => None,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_left {
            self.kill();
        }
    }
}

fn has_ended(handle: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(handle, PollFlags::IN)];
    Ok(rustix::event::poll(&mut polled, Some(&Timespec::default()))? > 0)
}

/// A handle to the process with this id and start time; `None` when it has ended, whoever has its id now.
pub(crate) fn handle_of(pid: u32, start_time: u64) -> io::Result<Option<OwnedFd>> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let handle = match rustix::process::pidfd_open(id, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        handle => handle?,
    };
    // From here on the id cannot pass to another process unnoticed.
    let is_it = crate::procfs::start_time(pid).is_ok_and(|found| found == start_time);
    Ok(is_it.then_some(handle))
}

#[cfg(test)]
mod tests {
    use coracle_types::SandboxId;

    use super::*;

    fn sleeper() -> std::process::Child {
        std::process::Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[tokio::test]
    async fn an_adopted_process_is_waited_for_and_ended() {
        let mut child = sleeper();
        let record = Record::of(SandboxId::new(), child.id()).unwrap();
        let mut adopted = Process::adopt(&record).unwrap().unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), adopted.wait()).await;
        assert!(early.is_err(), "it runs");
        adopted.kill();
        assert!(adopted.wait().await.unwrap().is_none());
        child.wait().unwrap();
        assert!(Process::adopt(&record).unwrap().is_none());
    }

    #[tokio::test]
    async fn one_that_is_dropped_ends_unless_it_is_left() {
        for is_left in [false, true] {
            let child = tokio::process::Command::new("sleep").arg("60").spawn().unwrap();
            let mut process = Process::own(child);
            let record = Record::of(SandboxId::new(), process.id().unwrap()).unwrap();
            // Before it may have ended; dropped, this one ends it in any case.
            let mut found = Process::adopt(&record).unwrap().unwrap();
            process.leave(is_left);
            drop(process);
            let patience = Duration::from_millis(if is_left { 500 } else { 30_000 });
            let ended = tokio::time::timeout(patience, found.wait()).await;
            assert_eq!(ended.is_ok(), !is_left);
        }
    }

    #[test]
    fn a_later_process_of_the_same_id_is_not_adopted() {
        let mut child = sleeper();
        let record = Record::of(SandboxId::new(), child.id()).unwrap();
        assert!(handle_of(record.pid, record.start_time + 1).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
