//! The control group of the agent (cgroup v2), so that an agent that eats all memory or forks without end
//! dies as a whole and the guest lives on to say so.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::confine::MAX_PROCESSES;
use crate::failure::{Doing as _, Failure};

/// Memory the agent cannot have: the kernel's own and the guest program's.
const RESERVE: u64 = 48 * 1024 * 1024;

/// The agent's control group. Held by its folder: the hierarchy is mounted nowhere the agent could see.
#[derive(Debug)]
pub(super) struct Cgroup(OwnedFd);

impl Cgroup {
    pub(super) fn new() -> Result<Self, Failure> {
        let making = || "making the agent's control group".to_owned();
        let hierarchy = Path::new("/cgroup");
        fs::create_dir_all(hierarchy).doing(making)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount(c"cgroup2", hierarchy, c"cgroup2", flags, None).doing(making)?;
        fs::write(hierarchy.join("cgroup.subtree_control"), "+memory +pids +cpu").doing(making)?;
        let folder = hierarchy.join("agent");
        fs::create_dir_all(&folder).doing(making)?;
        let cgroup = rustix::fs::open(&folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let cgroup = Self(cgroup.doing(making)?);
        let total = rustix::system::sysinfo();
        let total = total.totalram * u64::from(total.mem_unit);
        cgroup.write("memory.max", total.saturating_sub(RESERVE))?;
        cgroup.write("memory.oom.group", 1)?;
        cgroup.write("pids.max", MAX_PROCESSES)?;
        rustix::mount::unmount(hierarchy, UnmountFlags::DETACH).doing(making)?;
        Ok(cgroup)
    }

    /// The open file through which a process enters.
    pub(super) fn door(&self) -> Result<OwnedFd, Failure> {
        rustix::fs::openat(
            &self.0,
            "cgroup.procs",
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .doing(|| "opening the agent's control group".to_owned())
    }

    /// Whether a process in it was killed for lack of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.read("memory.events")
            .and_then(|events| field(&events, "oom_kill"))
            .is_some_and(|kills| kills > 0)
    }

    /// Processor time in microseconds and memory in bytes.
    pub(super) fn usage(&self) -> (u64, u64) {
        let cpu = self.read("cpu.stat").and_then(|stat| field(&stat, "usage_usec"));
        let memory = self
            .read("memory.current")
            .and_then(|bytes| bytes.trim().parse().ok());
        (cpu.unwrap_or_default(), memory.unwrap_or_default())
    }

    fn write(&self, name: &str, value: u64) -> Result<(), Failure> {
        let writing = || format!("setting {name} of the agent's control group");
        let file = rustix::fs::openat(&self.0, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        rustix::io::write(file.doing(writing)?, value.to_string().as_bytes()).doing(writing)?;
        Ok(())
    }

    fn read(&self, name: &str) -> Option<String> {
        let file = rustix::fs::openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        std::io::read_to_string(fs::File::from(file)).ok()
    }
}

/// The value of one line of a "name value" file.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(field(events, "oom_kill"), Some(2));
        assert_eq!(field(events, "oom_kil"), None);
    }
}
