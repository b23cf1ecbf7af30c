//! The inside of `coracle jail`: a fresh process of one thread that gives up all but what its cell names, and then becomes
//! the machine's process, under the same id.
//!
//! ```text
//!  control groups ─▶ namespaces ─▶ root folder of its own ─▶ bounds ─▶ no capabilities ─▶ its user ─▶ exec
//! ```
//!
//! Each step either succeeds or ends the process with the reason on stderr, which the server reports.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FileType, Gid, Mode, Uid};
use rustix::io::{Errno, FdFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::cell::{Cell, Identity, Strength};
use super::unshare;

const KVM: &str = "/dev/kvm";
/// On it QEMU tries which locks on files there are; without it, it takes none on disks.
const NULL: &str = "/dev/null";
/// Open files that a machine's process may have: its disks and sockets, and room to spare.
const OPEN_FILES: u64 = 1024;

/// Why a process could not be jailed.
#[derive(Debug, thiserror::Error)]
#[error("the jail of a microVM could not be made: {step}")]
pub struct LaunchError {
    step: String,
    #[source]
    source: io::Error,
}

/// What was being done when it failed.
trait Step<T> {
    fn during(self, step: impl Into<String>) -> Result<T, LaunchError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn during(self, step: impl Into<String>) -> Result<T, LaunchError> {
        self.map_err(|source| LaunchError {
            step: step.into(),
            source: source.into(),
        })
    }
}

/// Confines this process to a cell, as [`crate::Jail`] has described it, and becomes the program. Returns only what went
/// wrong; the process is then of no use.
pub fn become_jailed(cell: &str, program: &OsString, arguments: &[OsString]) -> LaunchError {
    let confined = serde_json::from_str(cell)
        .during("its description is not understood")
        .and_then(|cell| confine(&cell));
    match confined {
        Err(error) => error,
        Ok(()) => LaunchError {
            step: format!("{} does not run in it", program.display()),
            source: Command::new(program).args(arguments).exec(),
        },
    }
}

fn confine(cell: &Cell) -> Result<(), LaunchError> {
    keep_only_standard_descriptors()?;
    // Its user must be able to walk through what is made for it.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    for group in &cell.groups {
        // The process that writes this is meant.
        fs::write(group.join("cgroup.procs"), "0").during(format!("entering {}", group.display()))?;
    }
    if cell.strength.has_namespaces() {
        enter_namespaces(cell.strength)?;
        View { cell }.build()?;
    }
    bound(cell)?;
    rustix::thread::set_no_new_privs(true).during("giving up on more privileges")?;
    if cell.strength.has_namespaces() {
        // While it may: without a bounding set, nothing that is executed gains any.
        empty_bounding_set()?;
    }
    if let Some(identity) = cell.identity {
        become_user(identity)?;
    }
    if cell.strength.has_namespaces() {
        rustix::thread::clear_ambient_capability_set().during("dropping ambient capabilities")?;
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).during("dropping capabilities")?;
    }
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// The server opens nothing that its children get, but who started the server may have left it something: an open folder
/// would be a way out.
fn keep_only_standard_descriptors() -> Result<(), LaunchError> {
    const STEP: &str = "closing what it has inherited";
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .during(STEP)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in open.into_iter().filter(|number| *number > 2) {
        #[expect(unsafe_code, reason = "descriptors that nothing here owns have only numbers")]
        // SAFETY: the number is that of a descriptor which is open, or was that of the list above; this process has one
        // thread, which opens and closes nothing meanwhile, and nothing is done with it but setting a flag.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error).during(STEP),
        }
    }
    Ok(())
}

fn enter_namespaces(strength: Strength) -> Result<(), LaunchError> {
    let mut namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWNET;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if strength == Strength::UserNamespace {
        namespaces |= UnshareFlags::NEWUSER;
    }
    unshare(namespaces).during("making namespaces")?;
    if strength == Strength::UserNamespace {
        fs::write("/proc/self/setgroups", "deny").during("mapping groups")?;
        for (map, id) in [("uid_map", user.as_raw()), ("gid_map", group.as_raw())] {
            fs::write(format!("/proc/self/{map}"), format!("{id} {id} 1"))
                .during(format!("writing its {map}"))?;
        }
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).during("making mounts private")?;
    rustix::system::sethostname(b"microvm").during("setting the host name")
}

/// The files that a process sees: a small file system in memory with mounts of what the cell names.
struct View<'a> {
    cell: &'a Cell,
}

impl View<'_> {
    fn build(&self) -> Result<(), LaunchError> {
        let root = &self.cell.root;
        let fixed = MountFlags::NOSUID | MountFlags::NOEXEC;
        rustix::mount::mount("coracle", root, "tmpfs", fixed, c"mode=755,size=1m")
            .during("mounting its root")?;
        for program in &self.cell.programs {
            self.show_program(program)?;
        }
        let loaded = MountFlags::NOSUID | MountFlags::NODEV;
        for file in &self.cell.files {
            let access = if file.writable {
                MountFlags::empty()
            } else {
                MountFlags::RDONLY
            };
            self.show(&file.path, loaded | MountFlags::NOEXEC | access)?;
        }
        self.show(&self.cell.folder, loaded | MountFlags::NOEXEC)?;
        self.give(NULL)?;
        if self.cell.kvm {
            self.give_kvm()?;
        }
        let sealed = fixed | MountFlags::BIND | MountFlags::RDONLY;
        rustix::mount::mount_remount(root, sealed, "").during("sealing its root")?;
        self.move_in()
    }

    /// What programs are loaded from; `/lib` and its like may be links into `/usr`.
    fn show_program(&self, path: &Path) -> Result<(), LaunchError> {
        let step = || format!("showing {}", path.display());
        match fs::read_link(path) {
            Ok(target) => std::os::unix::fs::symlink(target, self.inside(path)).during(step()),
            Err(_) if !path.exists() => Ok(()),
            Err(_) => self.show(path, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY),
        }
    }

    /// Mounts a file or folder at the same path.
    fn show(&self, path: &Path, flags: MountFlags) -> Result<(), LaunchError> {
        let step = || format!("showing {}", path.display());
        let inside = self.inside(path);
        if path.is_dir() {
            fs::create_dir_all(&inside).during(step())?;
        } else if !inside.exists() {
            fs::create_dir_all(inside.parent().unwrap_or(&inside)).during(step())?;
            fs::File::create(&inside).during(step())?;
        }
        rustix::mount::mount_bind(path, &inside).during(step())?;
        rustix::mount::mount_remount(&inside, flags | MountFlags::BIND, "").during(step())
    }

    /// The host's device node.
    fn give(&self, device: &str) -> Result<(), LaunchError> {
        let step = || format!("giving it {device}");
        let node = self.inside(Path::new(device));
        fs::create_dir_all(node.parent().unwrap_or(&node)).during(step())?;
        fs::File::create(&node).during(step())?;
        rustix::mount::mount_bind(device, &node).during(step())
    }

    /// A device node of the process's own, because that of the host may be closed to its user.
    fn give_kvm(&self) -> Result<(), LaunchError> {
        const STEP: &str = "giving it /dev/kvm";
        let node = self.inside(Path::new(KVM));
        fs::create_dir_all(self.inside(Path::new("/dev"))).during(STEP)?;
        let Some(identity) = self.cell.identity else {
            return self.give(KVM);
        };
        let device = fs::metadata(KVM).during(STEP)?.rdev();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &node, FileType::CharacterDevice, mode, device).during(STEP)?;
        std::os::unix::fs::chown(&node, Some(identity.user), Some(identity.user)).during(STEP)
    }

    /// Makes this view the only one there is.
    fn move_in(&self) -> Result<(), LaunchError> {
        const STEP: &str = "moving into its root";
        rustix::process::chdir(&self.cell.root).during(STEP)?;
        // The old root comes to lie over the new one, and is taken away.
        rustix::process::pivot_root(".", ".").during(STEP)?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).during(STEP)?;
        rustix::process::chdir(&self.cell.folder).during(STEP)
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.cell.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn bound(cell: &Cell) -> Result<(), LaunchError> {
    let bounds = [
        // A dump would hold the guest's memory.
        (Resource::Core, 0),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Fsize, cell.longest_file),
    ];
    for (resource, most) in bounds {
        let allowed = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(most.min(allowed));
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        rustix::process::setrlimit(resource, limit).during(format!("limiting {resource:?}"))?;
    }
    Ok(())
}

fn empty_bounding_set() -> Result<(), LaunchError> {
    for number in 0..u64::BITS {
        // Those that this kernel has and the library has no name for, too.
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel knows no such capability.
            Err(Errno::INVAL) => {}
            removed => removed.during("emptying the bounding set")?,
        }
    }
    Ok(())
}

fn become_user(identity: Identity) -> Result<(), LaunchError> {
    let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.user));
    let step = || format!("becoming user {}", identity.user);
    rustix::thread::set_thread_groups(&[Gid::from_raw(identity.machines)]).during(step())?;
    rustix::thread::set_thread_res_gid(group, group, group).during(step())?;
    rustix::thread::set_thread_res_uid(user, user, user).during(step())
}
