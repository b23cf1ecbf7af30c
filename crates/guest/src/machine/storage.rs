//! What the machine's session finds again: an ext4 file system on a disk of its own.
//!
//! It is mounted once the machine is a session's: a machine that was restored from a template, or that stands ready
//! for anybody, has a blank disk there. What the agent wrote is written through before the host hears that the agent
//! has ended, or that a snapshot may be taken: the host may then end the machine at once.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use coracle_guest_proto::message::User;
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::MountFlags;

use crate::failure::{Doing as _, Failure};

/// The disk's device node, as long as it is being mounted.
const DEVICE: &str = "/dev/.session-storage";
/// ext4 makes it for repairs, and does without it.
const LOST_AND_FOUND: &str = "lost+found";
/// What is deleted is given back to the host. Damage is not to spread.
const OPTIONS: &std::ffi::CStr = c"discard,errors=remount-ro";

/// Mounts the disk with this serial number, for this user. Returns the top of the file system.
pub(super) fn mount(serial: &str, at: &str, owner: Option<&User>) -> Result<OwnedFd, Failure> {
    let mounting = || format!("mounting the session's storage at {at}");
    let number = device_number(Path::new("/sys/block"), serial)
        .ok_or_else(|| Failure::new(mounting(), format!("there is no disk {serial}")))?;
    fs::create_dir_all(at).doing(mounting)?;
    let only_us = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, DEVICE, FileType::BlockDevice, only_us, number).doing(mounting)?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOATIME;
    let mounted = rustix::mount::mount(DEVICE, at, c"ext4", flags, OPTIONS);
    fs::remove_file(DEVICE).doing(mounting)?;
    mounted.doing(mounting)?;
    match fs::remove_dir(Path::new(at).join(LOST_AND_FOUND)) {
        // Somebody has mended the file system, and found something.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).doing(mounting),
        _ => {}
    }
    let top = rustix::fs::open(at, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing(mounting)?;
    if let Some(owner) = owner {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&top, Some(uid), Some(gid)).doing(mounting)?;
    }
    Ok(top)
}

/// Writes through what has been written to this file system. Blocks.
pub(super) fn sync(top: &OwnedFd) -> Result<(), Failure> {
    rustix::fs::syncfs(top.as_fd()).doing(|| "writing through what stays".to_owned())
}

/// The number of the block device with this serial number.
fn device_number(devices: &Path, serial: &str) -> Option<rustix::fs::Dev> {
    fs::read_dir(devices).ok()?.flatten().find_map(|device| {
        let read = |name| fs::read_to_string(device.path().join(name)).ok();
        if read("serial")?.trim_end() != serial {
            return None;
        }
        let number = read("dev")?;
        let (major, minor) = number.trim_end().split_once(':')?;
        Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_found_by_its_serial_number() {
        let devices = tempfile::tempdir().unwrap();
        for (name, serial, number) in [("vda", "base", "254:0\n"), ("vdb", "storage", "254:16\n")] {
            let device = devices.path().join(name);
            fs::create_dir(&device).unwrap();
            fs::write(device.join("serial"), serial).unwrap();
            fs::write(device.join("dev"), number).unwrap();
        }
        fs::create_dir(devices.path().join("ram0")).unwrap();
        let found = device_number(devices.path(), "storage");
        assert_eq!(found, Some(rustix::fs::makedev(254, 16)));
        assert_eq!(device_number(devices.path(), "other"), None);
    }
}
