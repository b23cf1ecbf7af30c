//! What `/proc` says of a process.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryMap {
    /// Pages only this process has.
    pub private: u64,
    /// Pages other processes have mapped, too.
    pub shared: u64,
}

/// When a process started, in clock ticks since boot: with its id, this names a process for good.
pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Processor time of a process, its threads, and its children that it has waited for.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = parse_cpu_ticks(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
}

/// Processor time of all processes that work in the folder or below it.
pub fn cpu_time_of_processes_in(folder: &Path) -> Duration {
    working_in(folder).filter_map(|pid| cpu_time(pid).ok()).sum()
}

/// A file or folder, whatever paths lead to it.
pub(crate) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The folder that a process works in, wherever the process itself sees it.
pub(crate) fn working_directory(pid: u32) -> io::Result<(u64, u64)> {
    identity(&Path::new("/proc").join(pid.to_string()).join("cwd"))
}

/// The working directory, as a path of the process's, and the arguments of a process.
pub(crate) fn origin(pid: u32) -> io::Result<(PathBuf, Vec<String>)> {
    let folder = fs::read_link(format!("/proc/{pid}/cwd"))?;
    let line = fs::read(format!("/proc/{pid}/cmdline"))?;
    let arguments = line
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    Ok((folder, arguments.collect()))
}

/// Every process there is.
pub(crate) fn pids() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// What a process has of the host's memory.
pub(crate) fn memory(pid: u32) -> io::Result<MemoryMap> {
    let path = Path::new("/proc").join(pid.to_string()).join("smaps_rollup");
    Ok(parse_memory(&fs::read_to_string(path)?))
}

/// What all processes that work in the folder or below it have of the host's memory.
pub fn memory_of_processes_in(folder: &Path) -> MemoryMap {
    working_in(folder)
        .filter_map(|pid| memory(pid).ok())
        .fold(MemoryMap::default(), |sum, one| MemoryMap {
            private: sum.private + one.private,
            shared: sum.shared + one.shared,
        })
}

fn working_in(folder: &Path) -> impl Iterator<Item = u32> {
    let pids = pids().unwrap_or_default().into_iter();
    pids.filter(move |pid| origin(*pid).is_ok_and(|(at, _)| at.starts_with(folder)))
}

/// Fields 14 to 17 of proc_pid_stat(5): user and system time, then those of waited-for children.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(14 - 3);
    let times: Vec<u64> = fields.take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().fold(0, |sum: u64, time| sum.saturating_add(*time)))
}

/// Field 22 of proc_pid_stat(5); the second field is a name in parentheses that may hold anything.
fn parse_start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(22 - 3)?
        .parse()
        .ok()
}

fn parse_memory(rollup: &str) -> MemoryMap {
    let mut memory = MemoryMap::default();
    for line in rollup.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else {
            continue;
        };
        match name {
            "Private_Clean:" | "Private_Dirty:" => memory.private += kib * 1024,
            "Shared_Clean:" | "Shared_Dirty:" => memory.shared += kib * 1024,
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_system_says_parses() {
        let own = std::process::id();
        assert!(start_time(own).unwrap() > 0);
        assert_eq!(origin(own).unwrap().0, std::env::current_dir().unwrap());
        assert!(pids().unwrap().contains(&own));
        assert!(memory(own).unwrap().private > 0);
    }

    #[test]
    fn times_of_threads_and_of_waited_for_children_count() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 80 0 0 0 10 20 300 4000 20 0 1 0 5";
        assert_eq!(parse_cpu_ticks(stat), Some(4330));
        assert_eq!(parse_cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_summed_by_whether_it_is_shared() {
        let rollup = "00400000-7fff [rollup]\nRss: 99 kB\nShared_Clean: 1 kB\nShared_Dirty: 2 kB\n\
                      Private_Clean: 4 kB\nPrivate_Dirty: 8 kB\nnonsense\n";
        assert_eq!(
            parse_memory(rollup),
            MemoryMap {
                private: 12 * 1024,
                shared: 3 * 1024
            }
        );
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_no_start_time(stat in ".{0,200}") {
            let _ = parse_start_time(&stat);
            let _ = parse_cpu_ticks(&stat);
            let _ = parse_memory(&stat);
        }
    }
}
