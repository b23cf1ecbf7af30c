//! Folders of the host's, mounted over the machine's own network by NFS version 3.
//!
//! They are there before the agent starts, so also in a machine that will be snapshotted: a restored kernel connects
//! again with its next request. What it remembers of files is checked after seconds, because the same folder may be mounted
//! in other machines.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use coracle_guest_proto::message::MountedFolder;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;

use crate::failure::{Doing as _, Failure};

/// How long attributes and names are believed, in seconds.
const BELIEVED: u32 = 3;

/// Mounts the folders. Returns the top of each.
pub(super) fn mount(folders: &[MountedFolder]) -> Result<Vec<Arc<OwnedFd>>, Failure> {
    folders.iter().map(mount_one).collect()
}

fn mount_one(folder: &MountedFolder) -> Result<Arc<OwnedFd>, Failure> {
    let at = &folder.mount_path;
    let mounting = || format!("mounting a folder at {at}");
    fs::create_dir_all(at).doing(mounting)?;
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOATIME;
    if folder.read_only {
        flags |= MountFlags::RDONLY;
    }
    let options = CString::new(options(folder)).doing(mounting)?;
    let source = format!("{}:/", folder.server);
    rustix::mount::mount(source, at, c"nfs", flags, &*options).doing(mounting)?;
    let top = rustix::fs::open(at, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).doing(mounting)?;
    Ok(Arc::new(top))
}

/// Nobody but this machine's own network is in between, so ports below 1024 say nothing; locks are this machine's own.
fn options(folder: &MountedFolder) -> String {
    let MountedFolder { server, port, .. } = folder;
    format!(
        "vers=3,proto=tcp,addr={server},port={port},mountaddr={server},mountvers=3,mountproto=tcp,mountport={port},\
         sec=sys,hard,nolock,noacl,noresvport,actimeo={BELIEVED}"
    )
}
