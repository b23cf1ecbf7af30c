//! Whom requests act as. On Linux each thread has credentials of its own, so the kernel judges what a worker does as it
//! would judge the folder's owner: nothing here has to know about permission bits, groups or access lists.

use std::io;

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid};

/// Who files in a folder belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number; never root's.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

impl Owner {
    /// Makes the calling thread act as this owner, for good.
    ///
    /// # Errors
    /// When this process may not.
    pub(crate) fn become_thread(self) -> io::Result<()> {
        if geteuid().is_root() {
            rustix::thread::set_thread_groups(&[])?;
        }
        if getegid().as_raw() != self.group {
            rustix::thread::set_thread_res_gid(None, Gid::from_raw(self.group), None)?;
        }
        if geteuid().as_raw() != self.user {
            // The real user stays, so nobody but the server's own user may signal or trace this thread.
            rustix::thread::set_thread_res_uid(None, Uid::from_raw(self.user), None)?;
        }
        Ok(())
    }

    /// Whether this process can act as this owner.
    pub(crate) fn is_possible(self) -> bool {
        geteuid().is_root() || (geteuid().as_raw() == self.user && getegid().as_raw() == self.group)
    }
}
