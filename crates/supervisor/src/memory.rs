//! Whether the host has memory for another sandbox.
//!
//! Sandboxes are promised more memory than there is, because few use all of theirs. So before one is made, what the
//! host has left is looked at: `MemAvailable` of `/proc/meminfo`, and what the server's own control group may still
//! take (version 2, `memory.max`), whichever is less. Below the reserve, new sessions are refused and pools are
//! emptied, so that those that run can grow into what is left.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a sandbox that is being made will take, in bytes: it has not taken it yet when the next is asked for.
const OF_A_START: u64 = 64 * 1024 * 1024;

/// Keeps part of the host's memory free.
#[derive(Debug)]
pub(crate) struct MemoryReserve {
    /// In bytes; nothing is looked at when it is zero.
    reserve: u64,
    /// What is left, in bytes; `None` where that cannot be known.
    available: fn() -> Option<u64>,
    short: AtomicBool,
}

impl MemoryReserve {
    pub(crate) fn new(reserve: u64, available: fn() -> Option<u64>) -> Self {
        Self {
            reserve,
            available,
            short: AtomicBool::new(false),
        }
    }

    /// How much is left when it is too little for another sandbox, beside those being made.
    pub(crate) fn shortage(&self, starts: usize) -> Option<u64> {
        if self.reserve == 0 {
            return None;
        }
        let available = (self.available)()?;
        let short = is_short(available, self.reserve, starts);
        // Said when it begins and when it ends, not for each session.
        if short != self.short.swap(short, Ordering::SeqCst) {
            let (available, reserve) = (mebibytes(available), mebibytes(self.reserve));
            if short {
                tracing::warn!(
                    available_mib = available,
                    reserve_mib = reserve,
                    "the host is short of memory: new sessions are refused until there is more"
                );
            } else {
                tracing::info!(
                    available_mib = available,
                    "the host has memory for new sessions again"
                );
            }
        }
        short.then_some(available)
    }
}

fn is_short(available: u64, reserve: u64, starts: usize) -> bool {
    let promised = OF_A_START.saturating_mul(u64::try_from(starts).unwrap_or(u64::MAX));
    available.saturating_sub(promised) < reserve
}

/// What this host has left for its processes, or this server's control group for those in it, in bytes. `None` where
/// neither says.
pub fn available_memory() -> Option<u64> {
    let host = fs::read_to_string("/proc/meminfo").ok();
    let host = host.as_deref().and_then(parse_meminfo);
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.as_deref().and_then(unified_group);
    let group = group.and_then(|group| left_of_group(&Path::new("/sys/fs/cgroup").join(group)));
    host.into_iter().chain(group).min()
}

fn parse_meminfo(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The path of this process's control group of version 2, below where they are mounted.
fn unified_group(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::/"))
}

fn left_of_group(folder: &Path) -> Option<u64> {
    let number = |file: &str| {
        fs::read_to_string(folder.join(file))
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    // "max" is no number: the group has no limit.
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    // The group's part of the page cache is given up when memory is short.
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cache = statistics
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "));
    let cache = cache.and_then(|cache| cache.parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_says_what_it_has_left() {
        assert!(available_memory().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn sandboxes_that_are_being_made_count() {
        let reserve = 100;
        assert!(!is_short(100, reserve, 0));
        assert!(is_short(99, reserve, 0));
        assert!(is_short(100 + 2 * OF_A_START - 1, reserve, 2));
        assert!(!is_short(100 + 2 * OF_A_START, reserve, 2));
        assert!(is_short(u64::MAX, reserve, usize::MAX));
    }

    #[test]
    fn a_group_has_left_what_it_may_take_and_could_give_up() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        assert_eq!(left_of_group(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left_of_group(folder.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(left_of_group(folder.path()), Some(300));
        write("memory.stat", "anon 600\ninactive_file 100\n");
        assert_eq!(left_of_group(folder.path()), Some(400));
    }

    #[test]
    fn groups_of_version_1_are_passed_over() {
        assert_eq!(
            unified_group("5:memory:/a\n0::/system.slice/x\n"),
            Some("system.slice/x")
        );
        assert_eq!(unified_group("5:memory:/a\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            let _ = parse_meminfo(&text);
            let _ = unified_group(&text);
        }
    }
}
