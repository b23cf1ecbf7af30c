//! The guest as an ordinary process: no isolation, the same protocol.
//!
//! Its channel is its standard input, a connected socket. When the socket ends because the server is gone, or
//! the server asks for the end, by the channel or by SIGTERM, everything the agent started ends, too: orphans
//! among its descendants are adopted by this process, so that none escapes. With a network namespace of its own,
//! many agents can listen on the same port at once; where the system allows none, the guest says so and shares
//! the host's. What a session finds again is a folder of the host's, mounted in a view of the file system that only the
//! agent has.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::process::ExitCode;

use coracle_guest_proto::message::{Storage, StorageSource, Usage};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, Signal};
use rustix::thread::UnshareFlags;
use tokio::signal::unix::{SignalKind, signal};

use crate::console::{chain, say};
use crate::failure::{Doing as _, Failure};
use crate::network;
use crate::place::Place;
use crate::serve::Guest;

/// Which network the agent is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// A namespace with nothing but its loopback device.
    Own,
    /// The host's.
    Host,
}

pub(crate) fn main(network: Network) -> ExitCode {
    if network == Network::Own
        && let Err(failure) = own_network()
    {
        say(&format!(
            "the agent shares the host's network: {}",
            chain(&failure)
        ));
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&chain(&failure));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Failure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .doing(|| "adopting orphans".to_owned())?;
    let channel = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .doing(|| "opening the channel".to_owned())?;
    let channel = std::os::unix::net::UnixStream::from(channel);
    channel
        .set_nonblocking(true)
        .doing(|| "opening the channel".to_owned())?;
    let channel = tokio::net::UnixStream::from_std(channel).doing(|| "opening the channel".to_owned())?;
    let mut terminated = signal(SignalKind::terminate()).doing(|| "watching for signals".to_owned())?;
    let guest = Guest::new(Place::Process);
    let served = tokio::select! {
        served = guest.serve(channel) => served,
        _ = terminated.recv() => Ok(true),
    };
    guest.end().await;
    served
        .map(drop)
        .map_err(|error| Failure::new("serving the channel", chain(&error)))
}

fn own_network() -> Result<(), Failure> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let doing = || "making a network namespace".to_owned();
    if unshare(UnshareFlags::NEWNET).is_err() {
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).doing(doing)?;
        std::fs::write("/proc/self/setgroups", "deny").doing(doing)?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).doing(doing)?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).doing(doing)?;
    }
    network::loopback_up()
}

#[expect(unsafe_code, reason = "the safe form is deprecated")]
fn unshare(namespaces: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: only unsharing the table of file descriptors is unsafe, and that is not asked for.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Shows a folder of the host's at another path to this process and those that it starts. They may then see nothing else
/// of the host's beside that path.
pub(crate) fn mount(storage: &Storage, working_directory: &str) -> Result<(), Failure> {
    let at = Path::new(&storage.mount_path);
    let mounting = || format!("mounting the session's storage at {}", at.display());
    let refused = |why: &str| Failure::new(mounting(), why);
    let StorageSource::Folder { path: folder } = &storage.source else {
        return Err(refused("it is no folder"));
    };
    // Without privileges this needs the user namespace of an own network.
    unshare(UnshareFlags::NEWNS).doing(mounting)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).doing(mounting)?;
    if at.is_dir() {
        return rustix::mount::mount_bind(folder, at).doing(mounting);
    }
    let parent = at.parent().ok_or_else(|| refused("it is the root"))?;
    if Path::new(working_directory).starts_with(parent) {
        return Err(refused(
            "the server's data folder is beside it; keep that elsewhere",
        ));
    }
    let folder = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .doing(mounting)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"tmpfs", parent, c"tmpfs", flags, c"mode=755,size=64k").doing(mounting)?;
    std::fs::create_dir_all(at).doing(mounting)?;
    rustix::mount::mount_bind(format!("/proc/self/fd/{}", folder.as_raw_fd()), at).doing(mounting)
}

/// Kills every process this one is an ancestor of.
pub(crate) fn kill_descendants() {
    for pid in descendants(&processes()) {
        // It may have ended by itself.
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
}

/// What the descendants use and have used.
pub(crate) fn usage() -> Usage {
    let processes = processes();
    let mut usage = Usage::default();
    for pid in descendants(&processes) {
        if let Some(process) = processes.get(&pid) {
            let micros_per_tick = 1_000_000 / rustix::param::clock_ticks_per_second();
            usage.cpu_micros += process.cpu_ticks * micros_per_tick;
            usage.memory_bytes += process.resident_pages * rustix::param::page_size() as u64;
        }
    }
    usage
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProcessStat {
    parent: i32,
    /// Its own time and that of the children it has waited for.
    cpu_ticks: u64,
    resident_pages: u64,
}

fn processes() -> HashMap<Pid, ProcessStat> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            Some((
                pid,
                parse_stat(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?,
            ))
        })
        .collect()
}

/// Fields as numbered in proc_pid_stat(5). The second is the program's name in parentheses, which may hold
/// anything, parentheses and spaces, too.
fn parse_stat(line: &str) -> Option<ProcessStat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3);
    let ticks = (14..=17)
        .map(|number| field(number)?.parse::<u64>().ok())
        .sum::<Option<u64>>()?;
    Some(ProcessStat {
        parent: field(4)?.parse().ok()?,
        cpu_ticks: ticks,
        resident_pages: field(24)?.parse().ok()?,
    })
}

fn descendants(processes: &HashMap<Pid, ProcessStat>) -> Vec<Pid> {
    let mut found = vec![rustix::process::getpid()];
    let mut next = 0;
    while let Some(&ancestor) = found.get(next) {
        let children = processes
            .iter()
            .filter(|(_, stat)| stat.parent == ancestor.as_raw_nonzero().get());
        found.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let line = "77 (a) b (c) S 42 77 77 0 -1 4194304 1 0 0 0 5 6 7 8 20 0 1 0 99 1000 300 1844 1 1";
        assert_eq!(
            parse_stat(line),
            Some(ProcessStat {
                parent: 42,
                cpu_ticks: 26,
                resident_pages: 300
            })
        );
    }

    #[test]
    fn what_this_system_says_parses() {
        assert!(processes().contains_key(&rustix::process::getpid()));
    }
}
