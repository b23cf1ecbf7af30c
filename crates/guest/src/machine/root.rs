//! The file system the agent sees: images under a private layer, and nothing of the initramfs.
//!
//! ```text
//!  /layers/0, 1, …   images, EROFS, topmost first  ┐
//!  /layers/scratch   private layer, ext4           ┴▶ overlay at /newroot ─▶ becomes /
//! ```

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use coracle_guest_proto::message::RootFilesystem;
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev};
use rustix::mount::MountFlags;

use crate::failure::{Doing as _, Failure};

const NEW_ROOT: &str = "/newroot";
const LAYERS: &str = "/layers";
/// Files only the initramfs needs, which is memory.
const USED_UP: [&str; 2] = ["/modules", "/init"];

/// Device nodes an agent finds, by their numbers in the kernel's list of devices.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// What root can tell the kernel to do by writing a file, without any capability.
const KERNEL_CONTROLS: [&str; 4] = ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Mounts the file system and makes it the root of this process. Returns the folder of the private layer.
pub(super) fn switch_to(root: &RootFilesystem) -> Result<OwnedFd, Failure> {
    let disks = disks()?;
    let mut images = Vec::new();
    for (number, serial) in root.images.iter().enumerate() {
        let layer = Path::new(LAYERS).join(number.to_string());
        let last = number + 1 == root.images.len();
        let contents = if last { &root.contents[..] } else { &[] };
        let options = devices(&disks, contents)?;
        mount_disk(&disks, serial, &layer, c"erofs", MountFlags::RDONLY, &options)?;
        images.push(layer.display().to_string());
    }
    let scratch = Path::new(LAYERS).join("scratch");
    mount_disk(&disks, &root.scratch, &scratch, c"ext4", MountFlags::NOATIME, "")?;
    let (upper, work) = (scratch.join("upper"), scratch.join("work"));
    for folder in [&upper, &work, Path::new(NEW_ROOT)] {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        images.join(":"),
        upper.display(),
        work.display()
    );
    mount(
        c"overlay",
        Path::new(NEW_ROOT),
        c"overlay",
        MountFlags::empty(),
        &options,
    )?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let scratch =
        rustix::fs::open(&scratch, flags, Mode::empty()).doing(|| "opening the private layer".to_owned())?;
    furnish(Path::new(NEW_ROOT))?;
    enter()?;
    Ok(scratch)
}

/// Block devices by the serial number the host gave them.
fn disks() -> Result<BTreeMap<String, PathBuf>, Failure> {
    let entries = fs::read_dir("/sys/block").doing(|| "listing the disks".to_owned())?;
    Ok(entries
        .flatten()
        .filter_map(|entry| {
            let serial = fs::read_to_string(entry.path().join("serial")).ok()?;
            Some((
                serial.trim_end().to_owned(),
                Path::new("/dev").join(entry.file_name()),
            ))
        })
        .collect())
}

/// The option that names further devices of an EROFS image.
fn devices(disks: &BTreeMap<String, PathBuf>, serials: &[String]) -> Result<String, Failure> {
    let options: Vec<String> = serials
        .iter()
        .map(|serial| Ok(format!("device={}", find_disk(disks, serial)?.display())))
        .collect::<Result<_, Failure>>()?;
    Ok(options.join(","))
}

fn find_disk<'a>(disks: &'a BTreeMap<String, PathBuf>, serial: &str) -> Result<&'a Path, Failure> {
    let disk = disks.get(serial).ok_or_else(|| {
        let found: Vec<_> = disks.keys().map(String::as_str).collect();
        Failure::new(
            format!("mounting disk {serial}"),
            format!("only these exist: {}", found.join(", ")),
        )
    })?;
    Ok(disk)
}

fn mount_disk(
    disks: &BTreeMap<String, PathBuf>,
    serial: &str,
    at: &Path,
    kind: &CStr,
    flags: MountFlags,
    options: &str,
) -> Result<(), Failure> {
    let mounting = || format!("mounting disk {serial}");
    let disk = find_disk(disks, serial)?;
    fs::create_dir_all(at).doing(|| format!("making {}", at.display()))?;
    let options = CString::new(options).map_err(io::Error::from).doing(mounting)?;
    rustix::mount::mount(disk, at, kind, flags | MountFlags::NODEV, options.as_c_str()).doing(mounting)
}

fn mount(source: &CStr, at: &Path, kind: &CStr, flags: MountFlags, options: &str) -> Result<(), Failure> {
    let mounting = || format!("mounting {}", at.display());
    let options = CString::new(options).map_err(io::Error::from).doing(mounting)?;
    rustix::mount::mount(source, at, kind, flags, options.as_c_str()).doing(mounting)
}

/// Mounts what a Linux program expects to find.
fn furnish(root: &Path) -> Result<(), Failure> {
    let harmless = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let within = |name: &str| -> Result<PathBuf, Failure> {
        let folder = root.join(name);
        fs::create_dir_all(&folder).doing(|| format!("making {}", folder.display()))?;
        Ok(folder)
    };
    mount(c"proc", &within("proc")?, c"proc", harmless, "")?;
    for control in KERNEL_CONTROLS {
        seal(&root.join(control), harmless)?;
    }
    mount(
        c"sysfs",
        &within("sys")?,
        c"sysfs",
        harmless | MountFlags::RDONLY,
        "",
    )?;
    mount(
        c"tmpfs",
        &within("run")?,
        c"tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=755,size=10%",
    )?;
    let devices = within("dev")?;
    mount(
        c"tmpfs",
        &devices,
        c"tmpfs",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        "mode=755,size=64k",
    )?;
    for (name, major, minor) in DEVICES {
        make_device(&devices.join(name), makedev(major, minor))?;
    }
    for (name, target) in DEVICE_LINKS {
        symlink(target, devices.join(name)).doing(|| format!("making /dev/{name}"))?;
    }
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount(
        c"devpts",
        &within("dev/pts")?,
        c"devpts",
        terminals,
        "ptmxmode=666,mode=620,gid=5",
    )?;
    let shared_memory = MountFlags::NOSUID | MountFlags::NODEV;
    mount(
        c"tmpfs",
        &within("dev/shm")?,
        c"tmpfs",
        shared_memory,
        "mode=1777,size=25%",
    )?;
    let temporary = within("tmp")?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o1777)).doing(|| "opening /tmp to all".to_owned())
}

/// Makes what is there read-only; a kernel may not have it.
fn seal(place: &Path, flags: MountFlags) -> Result<(), Failure> {
    if !place.exists() {
        return Ok(());
    }
    let sealing = || format!("sealing {}", place.display());
    rustix::mount::mount_bind(place, place).doing(sealing)?;
    rustix::mount::mount_remount(place, flags | MountFlags::BIND | MountFlags::RDONLY, c"").doing(sealing)
}

fn make_device(at: &Path, number: rustix::fs::Dev) -> Result<(), Failure> {
    let making = || format!("making {}", at.display());
    let everyone = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, at, FileType::CharacterDevice, everyone, number).doing(making)?;
    // The umask may have taken some of it.
    fs::set_permissions(at, Permissions::from_mode(0o666)).doing(making)
}

/// Makes the new root the only one. The initramfs cannot be unmounted, only covered and left.
fn enter() -> Result<(), Failure> {
    for used_up in USED_UP.map(Path::new) {
        // Only memory is lost if this fails.
        if used_up.is_dir() {
            fs::remove_dir_all(used_up)
        } else {
            fs::remove_file(used_up)
        }
        .ok();
    }
    let entering = || "entering the new root".to_owned();
    std::env::set_current_dir(NEW_ROOT).doing(entering)?;
    rustix::mount::mount_move(".", "/").doing(entering)?;
    rustix::process::chroot(".").doing(entering)?;
    std::env::set_current_dir("/").doing(entering)
}
