//! What the agent's process gives up between fork and exec.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use coracle_guest_proto::message::User;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Most processes and threads of an agent.
pub(crate) const MAX_PROCESSES: u64 = 4096;
const MAX_OPEN_FILES: u64 = 65_536;
const OOM_SCORE: &CStr = c"/proc/self/oom_score_adj";

/// What root may still do in a machine that is its own, as a command or as an agent whose image runs as root: files,
/// owners, users and low ports, as in other container engines; nothing that reaches devices, other processes' memory
/// or the kernel.
const OF_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// A user, as the system calls want it.
#[derive(Debug)]
pub(crate) struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// The root user, without other groups.
    pub(crate) const ROOT: Self = Self {
        uid: Uid::ROOT,
        gid: Gid::ROOT,
        groups: Vec::new(),
    };
}

impl From<&User> for Identity {
    fn from(user: &User) -> Self {
        Self {
            uid: Uid::from_raw(user.uid),
            gid: Gid::from_raw(user.gid),
            groups: user.groups.iter().copied().map(Gid::from_raw).collect(),
        }
    }
}

/// What to give up.
#[derive(Debug)]
pub(crate) struct Confinement {
    /// Whom to become.
    pub(crate) user: Option<Identity>,
    /// The open `cgroup.procs` of the agent's cgroup.
    pub(crate) cgroup: Option<OwnedFd>,
    /// Whether this guest is the whole machine: an ordinary process leaves the host's limits as they are,
    /// because they count what the user runs besides.
    pub(crate) whole_machine: bool,
    /// Whether standard input is a terminal, to be in command of what is started.
    pub(crate) at_terminal: bool,
}

impl Confinement {
    /// Has the command's process confine itself before it becomes the agent.
    #[expect(
        unsafe_code,
        reason = "what is given up must be given up by the new process itself"
    )]
    pub(crate) fn apply_to(self, command: &mut Command) {
        let confine = move || self.enter().map_err(io::Error::from);
        // SAFETY: between fork and exec only async-signal-safe work is allowed: `enter` makes plain system
        // calls on values prepared before, allocates nothing and takes no lock.
        unsafe { command.pre_exec(confine) };
    }

    fn enter(&self) -> rustix::io::Result<()> {
        if let Some(procs) = &self.cgroup {
            rustix::io::write(procs.as_fd(), b"0")?;
        }
        rustix::process::setsid()?;
        if self.at_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        if !self.whole_machine {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        }
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        limit(Resource::Core, 0)?;
        if self.whole_machine {
            limit(Resource::Nproc, MAX_PROCESSES)?;
            limit(Resource::Nofile, MAX_OPEN_FILES)?;
            let score = rustix::fs::open(OOM_SCORE, OFlags::WRONLY, Mode::empty())?;
            rustix::io::write(&score, b"0")?;
        }
        let mut kept = CapabilitySet::empty();
        if let Some(Identity { uid, gid, groups }) = &self.user {
            rustix::thread::set_thread_groups(groups)?;
            rustix::thread::set_thread_gid(*gid)?;
            rustix::thread::set_thread_uid(*uid)?;
            if uid.is_root() {
                kept = OF_ROOT;
            }
        }
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: kept,
                permitted: kept,
                inheritable: CapabilitySet::empty(),
            },
        )?;
        // After this no exec gains anything back, neither by set-user-id files nor by being root.
        rustix::thread::set_no_new_privs(true)
    }
}

fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    rustix::process::setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )
}
