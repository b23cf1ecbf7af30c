//! Limits on what a machine's process takes of the host, by a control group of its own (cgroups(7)).
//!
//! ```text
//!  version 2   /sys/fs/cgroup/coracle/<sandbox>
//!  version 1   /sys/fs/cgroup/<controller>/<this process's group>/coracle/<sandbox>   for each controller
//! ```
//!
//! Version 2 takes no groups below one that has processes, so ours are beside the server's there. When processors are
//! short, all machines together get the share of one other group, or of one thread in version 1; [`crate::turns`] says
//! which of them goes first. A group is made before the process that enters it and removed after its end; one that is
//! left is removed by a sweep. The rate of a disk is limited where the files of machines are on a block device of which
//! the kernel knows.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coracle_types::SandboxId;

use crate::config::DiskRate;

const ROOT: &str = "/sys/fs/cgroup";
/// The group that has those of all machines in it.
const OURS: &str = "coracle";
const BLOCK_DEVICES: &str = "/sys/dev/block";
/// The controllers of version 1 without which there are no limits.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// The one for the rate of disks.
const BLOCK_CONTROLLER: &str = "blkio";
/// Processor time is given out in slices of this length, in microseconds.
const PERIOD: u64 = 100_000;
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
    /// Of the block device, in each direction.
    pub(crate) disk: DiskRate,
}

/// Control groups that this process can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlGroups {
    place: Place,
    /// The block device whose rate they limit, or why they limit none.
    disk: Result<BlockDevice, String>,
}

/// Where groups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this folder.
    Version2(PathBuf),
    /// In these folders, each of one controller.
    Version1(Vec<(&'static str, PathBuf)>),
}

/// A whole device by its numbers, `MAJOR:MINOR`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BlockDevice(String);

impl ControlGroups {
    /// Finds them, for machines whose files are in this folder. That a process can be limited there is to be tried.
    pub(crate) fn find(files: &Path) -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let disk = BlockDevice::of(files, Path::new(BLOCK_DEVICES));
        Self::find_in(Path::new(ROOT), &own, disk)
    }

    fn find_in(root: &Path, own: &str, disk: Result<BlockDevice, String>) -> io::Result<Self> {
        let place = Place::look_in(root, own)?;
        place.make()?;
        let limited = disk.and_then(|device| {
            place
                .make_for_blocks()
                .map(|()| device)
                .map_err(|error| format!("control groups for it in {}: {error}", root.display()))
        });
        let reason = limited.as_ref().err().cloned();
        let groups = Self { place, disk: limited };
        Ok(match reason {
            None => groups,
            Some(reason) => groups.without_disk(reason),
        })
    }

    /// The same, with no limit on the rate of the disk, for this reason.
    pub(crate) fn without_disk(mut self, reason: String) -> Self {
        if let Place::Version1(places) = &mut self.place {
            places.retain(|place| !is_for_blocks(place));
        }
        self.disk = Err(reason);
        self
    }

    /// Why the rate of the disk is not limited, if it is not.
    pub(crate) fn no_disk(&self) -> Option<&str> {
        self.disk.as_ref().err().map(String::as_str)
    }

    /// Makes groups with these limits, for one process to enter. On an error nothing is left.
    pub(crate) fn make(&self, sandbox: SandboxId, limits: Limits) -> io::Result<Vec<PathBuf>> {
        match self.try_make(sandbox, limits) {
            // Whoever clears up on this host may have removed the group around them while it was empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.place.make()?;
                if self.disk.is_ok() {
                    self.place.make_for_blocks()?;
                }
                self.try_make(sandbox, limits)
            }
            made => made,
        }
    }

    fn try_make(&self, sandbox: SandboxId, limits: Limits) -> io::Result<Vec<PathBuf>> {
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
        self.place.groups_of(sandbox)
    }

    /// For each of a sandbox's groups, its files and what to write into them.
    fn settings(&self, limits: Limits) -> Vec<Vec<(&'static str, String)>> {
        let quota = limits.processors * PERIOD;
        match &self.place {
            Place::Version2(_) => {
                let mut settings = vec![
                    ("memory.max", limits.memory.to_string()),
                    ("pids.max", limits.tasks.to_string()),
                    ("cpu.max", format!("{quota} {PERIOD}")),
                ];
                if let Ok(BlockDevice(device)) = &self.disk {
                    settings.extend(io_max(device, limits.disk).map(|value| ("io.max", value)));
                }
                vec![settings]
            }
            Place::Version1(places) => places
                .iter()
                .map(|(controller, _)| match *controller {
                    "memory" => vec![("memory.limit_in_bytes", limits.memory.to_string())],
                    "pids" => vec![("pids.max", limits.tasks.to_string())],
                    BLOCK_CONTROLLER => match &self.disk {
                        Ok(BlockDevice(device)) => throttled(device, limits.disk),
                        Err(_) => Vec::new(),
                    },
                    _ => vec![
                        ("cpu.cfs_period_us", PERIOD.to_string()),
                        ("cpu.cfs_quota_us", quota.to_string()),
                    ],
                })
                .collect(),
        }
    }
}

impl Place {
    /// Makes the group around those of machines, for all limits but that on disks.
    fn make(&self) -> io::Result<()> {
        match self {
            Self::Version2(ours) => {
                make_folder(ours)?;
                enable(ours, "+memory +pids +cpu")
            }
            Self::Version1(places) => places
                .iter()
                .filter(|place| !is_for_blocks(place))
                .try_for_each(|(_, ours)| make_folder(ours)),
        }
    }

    /// The same for the limit on disks.
    fn make_for_blocks(&self) -> io::Result<()> {
        match self {
            Self::Version2(ours) => enable(ours, "+io"),
            Self::Version1(places) => match places.iter().find(|place| is_for_blocks(place)) {
                Some((_, ours)) => make_folder(ours),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }

    /// Where they are, if they can be there. Makes nothing.
    pub(crate) fn look() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        Self::look_in(Path::new(ROOT), &own)
    }

    fn look_in(root: &Path, own: &str) -> io::Result<Self> {
        if root.join("cgroup.controllers").exists() {
            return Ok(Self::Version2(root.join(OURS)));
        }
        let mounted = |controller| {
            let folder = root.join(controller);
            // In a container the group's folder may be mounted in place of the whole hierarchy.
            let below = folder.join(own_group(own, controller)?);
            let place = if below.is_dir() { below } else { folder };
            place.is_dir().then(|| (controller, place.join(OURS)))
        };
        let mut places: Vec<_> = CONTROLLERS.into_iter().filter_map(mounted).collect();
        if places.len() < CONTROLLERS.len() {
            let text = format!(
                "{} has no control groups for all of memory, pids and cpu",
                root.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        places.extend(mounted(BLOCK_CONTROLLER));
        Ok(Self::Version1(places))
    }

    /// Every group that a sandbox may have there.
    pub(crate) fn groups_of(&self, sandbox: SandboxId) -> Vec<PathBuf> {
        match self {
            Self::Version2(folder) => vec![folder.join(sandbox.to_string())],
            Self::Version1(places) => places
                .iter()
                .map(|(_, folder)| folder.join(sandbox.to_string()))
                .collect(),
        }
    }
}

impl BlockDevice {
    /// The device that the files in this folder are on, or why there is none. Devices are looked up in `devices`.
    fn of(files: &Path, devices: &Path) -> Result<Self, String> {
        let said = |error: io::Error| format!("{}: {error}", files.display());
        let device = fs::metadata(files).map_err(said)?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let Ok(mut found) = devices.join(format!("{major}:{minor}")).canonicalize() else {
            return Err(format!("{} is not on one block device", files.display()));
        };
        // A part of a disk has no limits of its own.
        if found.join("partition").exists() {
            found.pop();
        }
        let numbers = fs::read_to_string(found.join("dev")).map_err(said)?;
        Ok(Self(numbers.trim().to_owned()))
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
}

/// Has groups of version 2 in our folder limit these.
fn enable(ours: &Path, controllers: &str) -> io::Result<()> {
    ours.parent()
        .into_iter()
        .chain([ours])
        .try_for_each(|folder| fs::write(folder.join("cgroup.subtree_control"), controllers))
}

fn is_for_blocks((controller, _): &(&str, PathBuf)) -> bool {
    *controller == BLOCK_CONTROLLER
}

/// What is limited of a device: in the words of version 2, the files of version 1, and how far.
fn device_limits(rate: DiskRate) -> impl Iterator<Item = (&'static str, &'static str, NonZeroU64)> {
    [
        ("rbps", "blkio.throttle.read_bps_device", rate.bytes),
        ("wbps", "blkio.throttle.write_bps_device", rate.bytes),
        ("riops", "blkio.throttle.read_iops_device", rate.operations),
        ("wiops", "blkio.throttle.write_iops_device", rate.operations),
    ]
    .into_iter()
    .filter_map(|(word, file, limit)| Some((word, file, limit?)))
}

/// What version 2 is told of a device, if anything is limited.
fn io_max(device: &str, rate: DiskRate) -> Option<String> {
    let limits = device_limits(rate).map(|(word, _, limit)| format!(" {word}={limit}"));
    let limits: String = limits.collect();
    (!limits.is_empty()).then(|| format!("{device}{limits}"))
}

/// What version 1 is told of a device.
fn throttled(device: &str, rate: DiskRate) -> Vec<(&'static str, String)> {
    let limits = device_limits(rate).map(|(_, file, limit)| (file, format!("{device} {limit}")));
    limits.collect()
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
    use std::os::unix::fs::symlink;

    use super::*;

    const LIMITS: Limits = Limits {
        memory: 1 << 30,
        tasks: 7,
        processors: 2,
        disk: DiskRate {
            bytes: NonZeroU64::new(1000),
            operations: NonZeroU64::new(10),
        },
    };
    const OWN: &str = "5:blkio:/\n4:memory:/server/one\n3:cpu,cpuacct:/\n2:pids:/gone\n0::/x\n";

    fn version_1() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["memory/server/one", "pids", "cpu", "blkio"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root
    }

    fn version_2() -> tempfile::TempDir {
        let root = version_1();
        fs::write(root.path().join("cgroup.controllers"), "").unwrap();
        root
    }

    fn disk() -> Result<BlockDevice, String> {
        Ok(BlockDevice("254:0".to_owned()))
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
        let found = ControlGroups::find_in(root.path(), OWN, disk()).unwrap();
        let sandbox = SandboxId::new();
        let groups = found.make(sandbox, LIMITS).unwrap();
        let expected = ["memory/server/one", "pids", "cpu", "blkio"]
            .map(|folder| root.path().join(folder).join(OURS).join(sandbox.to_string()));
        assert_eq!(groups, expected);
        let limits = [
            "blkio.throttle.read_bps_device=254:0 1000",
            "blkio.throttle.read_iops_device=254:0 10",
            "blkio.throttle.write_bps_device=254:0 1000",
            "blkio.throttle.write_iops_device=254:0 10",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=200000",
            "memory.limit_in_bytes=1073741824",
            "pids.max=7",
        ];
        assert_eq!(written(&groups), limits);
    }

    #[test]
    fn version_2_says_the_same() {
        let root = version_2();
        let found = ControlGroups::find_in(root.path(), OWN, disk()).unwrap();
        let groups = found.make(SandboxId::new(), LIMITS).unwrap();
        let limits = [
            "cpu.max=200000 100000",
            "io.max=254:0 rbps=1000 wbps=1000 riops=10 wiops=10",
            "memory.max=1073741824",
            "pids.max=7",
        ];
        assert_eq!(written(&groups), limits);
    }

    #[test]
    fn a_group_around_them_that_is_gone_is_made_again() {
        for root in [version_1(), version_2()] {
            let found = ControlGroups::find_in(root.path(), OWN, disk()).unwrap();
            for group in found.groups_of(SandboxId::new()) {
                fs::remove_dir_all(group.parent().unwrap()).unwrap();
            }
            let groups = found.make(SandboxId::new(), LIMITS).unwrap();
            assert!(groups.iter().all(|group| group.is_dir()));
        }
    }

    #[test]
    fn a_hierarchy_for_disks_in_which_nothing_can_be_made_costs_no_other_limit() {
        let root = version_1();
        fs::write(root.path().join("blkio/coracle"), "no folder").unwrap();
        let found = ControlGroups::find_in(root.path(), OWN, disk()).unwrap();
        assert!(found.no_disk().unwrap().contains("blkio"));
        assert_eq!(
            found.make(SandboxId::new(), LIMITS).unwrap().len(),
            CONTROLLERS.len()
        );
    }

    #[test]
    fn what_has_no_block_device_has_no_limit_on_it_and_says_why() {
        for root in [version_1(), version_2()] {
            let reason = "on no block device".to_owned();
            let found = ControlGroups::find_in(root.path(), OWN, Err(reason.clone())).unwrap();
            assert_eq!(found.no_disk(), Some(&*reason));
            let groups = found.make(SandboxId::new(), LIMITS).unwrap();
            assert!(!written(&groups).iter().any(|line| line.contains("254:0")));
            let refused = ControlGroups::find_in(root.path(), OWN, disk()).unwrap();
            assert_eq!(refused.without_disk(reason), found);
        }
    }

    #[test]
    fn a_rate_that_is_not_limited_is_not_said() {
        let rate = DiskRate {
            bytes: None,
            ..LIMITS.disk
        };
        assert_eq!(io_max("8:0", rate).as_deref(), Some("8:0 riops=10 wiops=10"));
        assert_eq!(throttled("8:0", rate).len(), 2);
        assert_eq!(io_max("8:0", DiskRate::default()), None);
    }

    #[test]
    fn a_part_of_a_disk_stands_for_the_disk() {
        let place = tempfile::tempdir().unwrap();
        let device = fs::metadata(place.path()).unwrap().dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let devices = place.path().join("dev/block");
        assert!(BlockDevice::of(place.path(), &devices).is_err());
        let part = place.path().join("disk/part");
        fs::create_dir_all(&part).unwrap();
        fs::create_dir_all(&devices).unwrap();
        symlink(&part, devices.join(format!("{major}:{minor}"))).unwrap();
        fs::write(part.join("dev"), "8:1\n").unwrap();
        fs::write(place.path().join("disk/dev"), "8:0\n").unwrap();
        assert_eq!(
            BlockDevice::of(place.path(), &devices),
            Ok(BlockDevice("8:1".into()))
        );
        fs::write(part.join("partition"), "1\n").unwrap();
        assert_eq!(
            BlockDevice::of(place.path(), &devices),
            Ok(BlockDevice("8:0".into()))
        );
    }

    #[test]
    fn a_host_without_control_groups_is_told_from_others() {
        let root = tempfile::tempdir().unwrap();
        assert!(ControlGroups::find_in(root.path(), OWN, disk()).is_err());
    }
}
