//! Which machines go first when processors are short: those that have used little of them of late.
//!
//! ```text
//!            used over BUSY of a processor at one look
//!   front ──────────────────────────────────────────────────▶ background
//!         ◀──────────────────────────────────────────────────
//!            used under CALM of one at CALM_LOOKS in a row
//! ```
//!
//! Weights do less: the kernel lets a thread that runs finish its turn before one that wakes, and an answer takes several
//! wake-ups. A machine in the background (`cpu.idle` of its control group, Linux 5.15) gives way at once to those
//! in front, and gets everything that they leave. One that gets nothing there uses nothing, and so is in front again after
//! a few looks: none starves. Without control groups, or on an older kernel, all machines are in front.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::task::AbortHandle;

use crate::procfs;

/// The file of a control group for processors that says whether it is in the background.
const IDLE: &str = "cpu.idle";
/// How often a machine is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How much of one processor a machine in front may use between two looks.
const BUSY: f64 = 0.6;
/// Under which use of one processor a machine in the background is calm.
const CALM: f64 = 0.4;
/// How often in a row, so that short breaks do not bring a machine to the front.
const CALM_LOOKS: u8 = 4;

/// Gives a machine its turns until it is dropped. It is in front then, so that ending, too, has its turn.
#[derive(Debug)]
pub(crate) struct Turns(Option<Given>);

#[derive(Debug)]
struct Given {
    task: AbortHandle,
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Front,
    /// Calm so often in a row by now.
    Background {
        calm: u8,
    },
}

impl Turns {
    /// Of the machine that is this process, in these control groups.
    pub(crate) fn of(pid: u32, groups: &[PathBuf]) -> Self {
        let mut files = groups.iter().map(|group| group.join(IDLE));
        let file = files.find(|file| file.exists());
        Self(file.map(|file| Given {
            task: tokio::spawn(give(pid, file.clone())).abort_handle(),
            file,
        }))
    }

    /// Leaves the machine in front.
    pub(crate) fn end(&mut self) {
        if let Some(Given { task, file }) = self.0.take() {
            task.abort();
            // Its group may be gone.
            Turn::Front.write(&file).ok();
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.end();
    }
}

impl Turn {
    /// After one in which the machine used so much processor time.
    fn next(self, used: Duration, elapsed: Duration) -> Self {
        let processors = used.as_secs_f64() / elapsed.as_secs_f64();
        match self {
            Self::Front if processors > BUSY => Self::Background { calm: 0 },
            Self::Front => Self::Front,
            Self::Background { .. } if processors >= CALM => Self::Background { calm: 0 },
            Self::Background { calm } if calm + 1 == CALM_LOOKS => Self::Front,
            Self::Background { calm } => Self::Background { calm: calm + 1 },
        }
    }

    fn is_in_front(self) -> bool {
        self == Self::Front
    }

    fn write(self, file: &Path) -> io::Result<()> {
        fs::write(file, if self.is_in_front() { "0" } else { "1" })
    }
}

/// Goes on until the process or its group is gone. What fails otherwise is tried again at the next look.
async fn give(pid: u32, file: PathBuf) {
    let mut turn = Turn::Front;
    // An earlier server may have left anything.
    let mut written = None;
    let mut looked = procfs::cpu_time(pid).ok().map(|used| (used, Instant::now()));
    loop {
        if written != Some(turn.is_in_front()) {
            match turn.write(&file) {
                Ok(()) => written = Some(turn.is_in_front()),
                Err(error) if is_gone(&error) => return,
                Err(_) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
        match procfs::cpu_time(pid) {
            Ok(used) => {
                let now = Instant::now();
                if let Some((before, then)) = looked.replace((used, now)) {
                    turn = turn.next(used.saturating_sub(before), now - then);
                }
            }
            Err(error) if is_gone(&error) => return,
            Err(_) => {}
        }
    }
}

/// Whether a process or a control group is no more.
fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::SRCH | Errno::NODEV))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Where a machine is after looks a second apart, between which it used so many milliseconds.
    fn after(milliseconds: &[u64]) -> Turn {
        let used = milliseconds.iter().copied().map(Duration::from_millis);
        used.fold(Turn::Front, |turn, used| turn.next(used, Duration::from_secs(1)))
    }

    #[test]
    fn who_uses_much_goes_to_the_background() {
        assert!(after(&[590, 590, 0, 590]).is_in_front());
        assert!(!after(&[0, 610]).is_in_front());
        assert!(!after(&[8000]).is_in_front());
    }

    #[test]
    fn who_gets_or_uses_little_there_comes_back_and_a_short_break_is_not_enough() {
        assert!(!after(&[2000, 0, 0, 0]).is_in_front());
        assert!(after(&[2000, 0, 0, 0, 390]).is_in_front());
        assert!(!after(&[2000, 0, 0, 0, 410, 0, 0, 0]).is_in_front());
        assert!(!after(&[2000, 500, 500, 500, 500, 500]).is_in_front());
    }

    fn group(says: &str) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join(IDLE), says).unwrap();
        group
    }

    async fn until_it_says(group: &tempfile::TempDir, awaited: &str) {
        let says = || fs::read_to_string(group.path().join(IDLE)).unwrap();
        let begun = Instant::now();
        while says() != awaited {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{IDLE} says {:?}, not {awaited}",
                says()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_an_earlier_server_left_in_the_background_comes_to_the_front() {
        let group = group("1");
        let _turns = Turns::of(std::process::id(), &[group.path().to_owned()]);
        until_it_says(&group, "0").await;
    }

    #[tokio::test]
    async fn a_process_that_computes_is_in_the_background_until_its_turns_end() {
        let group = group("0");
        let mut turns = Turns::of(std::process::id(), &[group.path().to_owned()]);
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        let worker = std::thread::spawn(move || while !told.load(Ordering::Relaxed) {});
        until_it_says(&group, "1").await;
        turns.end();
        until_it_says(&group, "0").await;
        done.store(true, Ordering::Relaxed);
        worker.join().unwrap();
    }

    #[tokio::test]
    async fn without_a_group_that_can_be_in_the_background_nothing_is_done() {
        let group = tempfile::tempdir().unwrap();
        let turns = Turns::of(std::process::id(), &[group.path().to_owned()]);
        assert!(turns.0.is_none());
    }
}
