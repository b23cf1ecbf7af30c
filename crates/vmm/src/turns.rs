//! Which machines go first when processors are short: those that have used little of them of late.
//!
//! ```text
//!            used over BUSY of a processor at one look
//!   front ──────────────────────────────────────────────────▶ background
//!         ◀──────────────────────────────────────────────────
//!            used under CALM of one at CALM_LOOKS in a row
//! ```
//!
//! Weights do not do this: the kernel lets a thread that runs finish its turn before one that wakes, and an answer takes
//! several wake-ups. A machine in the background (`cpu.idle` of its control group, Linux 5.15) gives way at once to those
//! in front, and gets everything that they leave. One that gets nothing there uses nothing, and so is in front again after
//! a few looks: none starves. Without control groups, or on an older kernel, all machines are in front.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Gives a machine its turns until it is dropped.
#[derive(Debug)]
pub(crate) struct Turns(Option<AbortHandle>);

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
        Self(file.map(|file| tokio::spawn(give(pid, file)).abort_handle()))
    }

    /// Leaves the groups alone from now on.
    pub(crate) fn end(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
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

/// Goes on until the process or its group is gone.
async fn give(pid: u32, file: PathBuf) {
    let mut turn = Turn::Front;
    // An earlier server may have left it in the background.
    let mut written = turn.write(&file);
    let Ok(mut before) = procfs::cpu_time(pid) else {
        return;
    };
    let mut looked = Instant::now();
    while written.is_ok() {
        tokio::time::sleep(LOOK).await;
        let Ok(used) = procfs::cpu_time(pid) else {
            return;
        };
        let next = turn.next(used.saturating_sub(before), looked.elapsed());
        (before, looked) = (used, Instant::now());
        if next.is_in_front() != turn.is_in_front() {
            written = next.write(&file);
        }
        turn = next;
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn without_a_group_that_can_be_in_the_background_nothing_is_done() {
        let group = tempfile::tempdir().unwrap();
        let turns = Turns::of(std::process::id(), &[group.path().to_owned()]);
        assert!(turns.0.is_none());
    }
}
