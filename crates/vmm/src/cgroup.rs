//! Limits on what a machine's process takes of the host, by a control group of its own (cgroups(7)).
//!
//! ```text
//!  version 2   /sys/fs/cgroup/coracle/<sandbox>
//!  version 1   /sys/fs/cgroup/<controller>/<this process's group>/coracle-<sandbox>   for memory, pids and cpu
//! ```
//!
//! Version 2 takes no groups below one that has processes, so ours are beside the server's there. A group is made before
//! the process that enters it and removed after its end; one that is left is removed by a sweep.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coracle_types::SandboxId;

const ROOT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Processor time is given out in slices of this length, in microseconds.
const PERIOD: u64 = 100_000;
/// The weight of one busy thread in version 1: that of one in no group.
const SHARES: u64 = 1024;
/// How long a process that is ending may take to leave its groups, and how often that is looked at.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const END_LOOK: Duration = Duration::from_millis(10);

/// What a machine's process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Memory in bytes.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) tasks: u64,
    /// Processors of the host that it may keep busy.
    pub(crate) processors: u64,
}

/// Where this process can make control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControlGroups {
    /// In this folder.
    Version2(PathBuf),
    /// In these folders, each of one controller.
    Version1(Vec<(&'static str, PathBuf)>),
}

impl ControlGroups {
    /// Finds them. That a process can be limited there is to be tried.
    pub(crate) fn find() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Self::find_in(Path::new(ROOT), &own)
    }

    /// Where they are, if they can be there. Makes nothing.
    pub(crate) fn look() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Self::look_in(Path::new(ROOT), &own)
    }

    fn find_in(root: &Path, own: &str) -> io::Result<Self> {
        let found = Self::look_in(root, own)?;
        if let Self::Version2(ours) = &found {
            fs::create_dir_all(ours)?;
            for folder in [root, ours] {
                fs::write(folder.join("cgroup.subtree_control"), "+memory +pids +cpu")?;
            }
        }
        Ok(found)
    }

    fn look_in(root: &Path, own: &str) -> io::Result<Self> {
        if root.join("cgroup.controllers").exists() {
            return Ok(Self::Version2(root.join("coracle")));
        }
        let mounted = CONTROLLERS.map(|controller| {
            let folder = root.join(controller);
            // In a container the group's folder may be mounted in place of the whole hierarchy.
            let below = folder.join(own_group(own, controller)?);
            let place = if below.is_dir() { below } else { folder };
            place.is_dir().then_some((controller, place))
        });
        let places: Vec<_> = mounted.into_iter().flatten().collect();
        if places.len() < CONTROLLERS.len() {
            let text = format!(
                "{} has no control groups for all of memory, pids and cpu",
                root.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(Self::Version1(places))
    }

    /// Makes groups with these limits, for one process to enter. On an error nothing is left.
    pub(crate) fn make(&self, sandbox: SandboxId, limits: Limits) -> io::Result<Vec<PathBuf>> {
        let groups = self.groups_of(sandbox);
        for (group, settings) in groups.iter().zip(self.settings(limits)) {
            let made = make(group, &settings);
            if let Err(error) = made {
                remove_empty(&groups);
                let text = format!("{}: {error}", group.display());
                return Err(io::Error::new(error.kind(), text));
            }
        }
        Ok(groups)
    }

    /// The groups of a sandbox, whether they are there or not.
    pub(crate) fn groups_of(&self, sandbox: SandboxId) -> Vec<PathBuf> {
        match self {
            Self::Version2(folder) => vec![folder.join(sandbox.to_string())],
            Self::Version1(places) => places
                .iter()
                .map(|(_, folder)| folder.join(format!("coracle-{sandbox}")))
                .collect(),
        }
    }

    /// For each of a sandbox's groups, its files and what to write into them.
    fn settings(&self, limits: Limits) -> Vec<Vec<(&'static str, String)>> {
        let quota = limits.processors * PERIOD;
        match self {
            Self::Version2(_) => vec![vec![
                ("memory.max", limits.memory.to_string()),
                ("pids.max", limits.tasks.to_string()),
                ("cpu.max", format!("{quota} {PERIOD}")),
            ]],
            Self::Version1(places) => places
                .iter()
                .map(|(controller, _)| match *controller {
                    "memory" => vec![("memory.limit_in_bytes", limits.memory.to_string())],
                    "pids" => vec![("pids.max", limits.tasks.to_string())],
                    _ => vec![
                        ("cpu.shares", (limits.processors * SHARES).to_string()),
                        ("cpu.cfs_period_us", PERIOD.to_string()),
                        ("cpu.cfs_quota_us", quota.to_string()),
                    ],
                })
                .collect(),
        }
    }
}

fn make(group: &Path, settings: &[(&str, String)]) -> io::Result<()> {
    fs::create_dir(group)?;
    settings
        .iter()
        .try_for_each(|(file, value)| fs::write(group.join(file), value))
}

/// Removes groups of a process that has ended or is just ending. There may be none.
pub(crate) async fn remove(groups: &[PathBuf]) {
    for group in groups {
        let deadline = Instant::now() + END_TIMEOUT;
        while is_in_use(fs::remove_dir(group)) && Instant::now() < deadline {
            tokio::time::sleep(END_LOOK).await;
        }
    }
}

/// Removes groups that nobody is in.
pub(crate) fn remove_empty(groups: &[PathBuf]) {
    for group in groups {
        fs::remove_dir(group).ok();
    }
}

fn is_in_use(removed: io::Result<()>) -> bool {
    removed.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

/// The group that a process is in, from its `/proc/PID/cgroup`, without the leading slash.
fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then(|| group.trim_start_matches('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory: 1 << 30,
        tasks: 7,
        processors: 2,
    };
    const OWN: &str = "4:memory:/server/one\n3:cpu,cpuacct:/\n2:pids:/gone\n0::/x\n";

    fn version_1() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["memory/server/one", "pids", "cpu"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root
    }

    fn written(groups: &[PathBuf]) -> Vec<String> {
        let mut files = Vec::new();
        for group in groups {
            for file in fs::read_dir(group).unwrap().flatten() {
                let value = fs::read_to_string(file.path()).unwrap();
                files.push(format!("{}={value}", file.file_name().display()));
            }
        }
        files.sort();
        files
    }

    #[test]
    fn groups_of_version_1_are_below_the_servers_own_where_it_is_mounted() {
        let root = version_1();
        let found = ControlGroups::find_in(root.path(), OWN).unwrap();
        let sandbox = SandboxId::new();
        let groups = found.make(sandbox, LIMITS).unwrap();
        let expected = ["memory/server/one", "pids", "cpu"]
            .map(|folder| root.path().join(folder).join(format!("coracle-{sandbox}")));
        assert_eq!(groups, expected);
        let limits = [
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=200000",
            "cpu.shares=2048",
            "memory.limit_in_bytes=1073741824",
            "pids.max=7",
        ];
        assert_eq!(written(&groups), limits);
    }

    #[test]
    fn version_2_says_the_same() {
        let root = version_1();
        fs::write(root.path().join("cgroup.controllers"), "").unwrap();
        let found = ControlGroups::find_in(root.path(), OWN).unwrap();
        let groups = found.make(SandboxId::new(), LIMITS).unwrap();
        let limits = ["cpu.max=200000 100000", "memory.max=1073741824", "pids.max=7"];
        assert_eq!(written(&groups), limits);
    }

    #[test]
    fn a_host_without_control_groups_is_told_from_others() {
        let root = tempfile::tempdir().unwrap();
        assert!(ControlGroups::find_in(root.path(), OWN).is_err());
    }
}
