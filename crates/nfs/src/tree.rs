//! What lies beneath a folder, and nothing else: from handles to files.
//!
//! ```text
//!  handle ─▶ place remembered? ─yes─▶ opened, same file? ─yes─▶ there it is
//!                   └no─▶ ◀──no────────────────┘
//!            searched along the handle's way ──▶ there it is, or stale
//! ```
//!
//! Each step opens by a path from the top with `openat2(2)`: never through a symbolic link, never out of the folder, never
//! into another file system, whoever moves things meanwhile. Nothing stays open between requests.

use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags, openat2, statx,
};
use rustix::io::Errno;

use crate::handle::{FileId, Handle, MAX_DEPTH, sign_of};
use crate::status::Status;

/// Most places remembered. They are found again when they are forgotten.
const MOST_PLACES: usize = 32 * 1024;
/// Most directory entries looked at to find a file again.
const SEARCH_BUDGET: usize = 200_000;
/// Bytes of directory entries read at once.
pub(crate) const DIRECTORY_BUFFER: usize = 32 * 1024;
/// How often an open that raced with a rename is tried.
const ATTEMPTS: usize = 8;

/// A folder of the host's.
#[derive(Debug)]
pub(crate) struct Tree {
    top: OwnedFd,
    places: Mutex<Places>,
}

/// A file that was found, held open without rights to its content.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) handle: Handle,
    pub(crate) fd: OwnedFd,
    pub(crate) stat: Statx,
}

impl Found {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.stx_mode.into())
    }

    /// Opens the file for its content. Only a regular file or a directory: others may do something when opened.
    pub(crate) fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.kind() {
            FileType::RegularFile | FileType::Directory => {
                let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
                rustix::fs::openat(CWD, self.own_path(), flags, Mode::empty())
            }
            _ => Err(Errno::INVAL),
        }
    }

    /// A path of exactly this file, whatever it is called.
    pub(crate) fn own_path(&self) -> String {
        path_of(&self.fd)
    }

    pub(crate) fn id(&self) -> FileId {
        self.handle.file
    }

    /// The way to what lies in this directory.
    pub(crate) fn way_beneath(&self) -> Vec<u8> {
        let mut way = self.handle.way.clone();
        if self.id() != FileId::TOP {
            way.push(sign_of(self.id().inode));
        }
        way
    }
}

/// A path of exactly the file that is open here.
fn path_of(fd: &OwnedFd) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// What is known of an open file.
pub(crate) fn stat_of(fd: &OwnedFd) -> Result<Statx, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    statx(fd, c"", AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, wanted)
}

/// What is known of what has this name in a directory, which is not followed.
pub(crate) fn stat_in(directory: &OwnedFd, name: &CStr) -> Result<Statx, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, wanted)
}

/// Opens beneath a directory, with all that keeps it there.
pub(crate) fn open_beneath(
    directory: &OwnedFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut attempts = 0;
    loop {
        match openat2(directory, path.as_ref(), flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => attempts += 1,
            opened => return opened,
        }
    }
}

impl Tree {
    /// What lies beneath this directory.
    pub(crate) fn new(top: OwnedFd) -> Self {
        Self {
            top,
            places: Mutex::default(),
        }
    }

    /// The file of a handle.
    pub(crate) fn find(&self, handle: Handle) -> Result<Found, Status> {
        if handle.file == FileId::TOP {
            let fd = open_beneath(&self.top, ".", OFlags::PATH, Mode::empty())?;
            let stat = stat_of(&fd)?;
            return Ok(Found { handle, fd, stat });
        }
        let place = self.places().path(handle.file);
        if let Some((path, way)) = place
            && let Some((fd, stat)) = self.open_same(&path, handle.file)?
        {
            let handle = Handle { way, ..handle };
            return Ok(Found { handle, fd, stat });
        }
        self.search(&handle)
    }

    /// What has this name in a directory.
    pub(crate) fn find_in(&self, directory: &Found, name: &Name) -> Result<Found, Status> {
        let fd = open_beneath(&directory.fd, name.path(), OFlags::PATH, Mode::empty())?;
        self.found_in(directory, name, fd)
    }

    /// What has this name in a directory, which is open here.
    pub(crate) fn found_in(&self, directory: &Found, name: &Name, fd: OwnedFd) -> Result<Found, Status> {
        let stat = stat_of(&fd)?;
        let handle = self.handle_in(directory, name, &stat);
        Ok(Found { handle, fd, stat })
    }

    /// The handle of what has this name in a directory.
    pub(crate) fn handle_in(&self, directory: &Found, name: &Name, stat: &Statx) -> Handle {
        let file = FileId::of(stat);
        self.places().remember(file, directory.id(), name);
        Handle {
            file,
            way: directory.way_beneath(),
        }
    }

    /// Notes that a file has another place.
    pub(crate) fn moved(&self, file: FileId, directory: &Found, name: &Name) {
        self.places().remember(file, directory.id(), name);
    }

    /// The directory that a directory is in; the top's is the top.
    pub(crate) fn parent(&self, directory: &Found) -> Result<Found, Status> {
        let parent = self.places().parent(directory.id());
        let mut way = directory.handle.way.clone();
        way.pop();
        let file = match parent {
            Some(parent) => parent,
            None if directory.id() == FileId::TOP || directory.handle.way.is_empty() => FileId::TOP,
            None => return Err(Status::Stale),
        };
        self.find(Handle { file, way })
    }

    /// What is at this path, if it is this file.
    fn open_same(&self, path: &Path, wanted: FileId) -> Result<Option<(OwnedFd, Statx)>, Status> {
        let fd = match open_beneath(&self.top, path, OFlags::PATH, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = stat_of(&fd)?;
        Ok((FileId::of(&stat) == wanted).then_some((fd, stat)))
    }

    /// Finds a file again by the folders that led to it.
    fn search(&self, handle: &Handle) -> Result<Found, Status> {
        let mut budget = SEARCH_BUDGET;
        // Names of the directories to look into, from the top. Not open, because they may be many.
        let mut ahead = vec![Vec::new()];
        while let Some(names) = ahead.pop() {
            let Ok(directory) = self.descend(&names) else {
                continue;
            };
            let wanted = handle.way.get(names.len());
            let candidates = match candidates(&directory, handle.file, wanted.copied(), &mut budget) {
                // What may not be read is not on the way.
                Err(Errno::ACCESS | Errno::NOENT) => continue,
                candidates => candidates?,
            };
            for name in candidates {
                if wanted.is_some() {
                    ahead.push(names.iter().cloned().chain([name]).collect());
                } else if let Ok(found) = self.find_in(&directory, &name)
                    && found.id() == handle.file
                {
                    return Ok(found);
                }
            }
        }
        Err(Status::Stale)
    }

    /// The directory with these names, from the top.
    fn descend(&self, names: &[Name]) -> Result<Found, Status> {
        names
            .iter()
            .try_fold(self.find(Handle::top())?, |directory, name| {
                self.find_in(&directory, name)
            })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names in a directory that may be the file's; or, on the way, a directory's with this sign.
fn candidates(
    directory: &Found,
    file: FileId,
    sign: Option<u8>,
    budget: &mut usize,
) -> Result<Vec<Name>, Errno> {
    let open = directory.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut buffer = [const { MaybeUninit::uninit() }; DIRECTORY_BUFFER];
    let mut entries = RawDir::new(&open, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        *budget = budget.checked_sub(1).ok_or(Errno::STALE)?;
        let matches = match sign {
            Some(sign) => {
                matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
                    && sign_of(entry.ino()) == sign
            }
            None => entry.ino() == file.inode,
        };
        if matches && let Ok(name) = Name::new(entry.file_name().to_bytes()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name of something in a directory: neither empty nor `.` nor `..`, without slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(std::ffi::CString);

/// Most bytes of a name (`NAME_MAX` of Linux).
pub(crate) const MAX_NAME: usize = 255;

impl Name {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Status> {
        if bytes.len() > MAX_NAME {
            return Err(Status::NameTooLong);
        }
        if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
            return Err(Status::Invalid);
        }
        let name = std::ffi::CString::new(bytes).map_err(|_| Status::Invalid)?;
        Ok(Self(name))
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    pub(crate) fn path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt as _;
        Path::new(std::ffi::OsStr::from_bytes(self.0.to_bytes()))
    }
}

/// Where files were last seen.
#[derive(Debug, Default)]
struct Places(HashMap<FileId, (FileId, Name)>);

impl Places {
    fn remember(&mut self, file: FileId, directory: FileId, name: &Name) {
        if self.0.len() >= MOST_PLACES && !self.0.contains_key(&file) {
            self.0.clear();
        }
        self.0.insert(file, (directory, name.clone()));
    }

    fn parent(&self, file: FileId) -> Option<FileId> {
        self.0.get(&file).map(|(directory, _)| *directory)
    }

    /// The path from the top, and its signs.
    fn path(&self, file: FileId) -> Option<(std::path::PathBuf, Vec<u8>)> {
        let mut names = Vec::new();
        let mut way = Vec::new();
        let mut at = file;
        while at != FileId::TOP {
            let (directory, name) = self.0.get(&at)?;
            names.push(name.path());
            if *directory != FileId::TOP {
                way.push(sign_of(directory.inode));
            }
            if way.len() > MAX_DEPTH {
                return None;
            }
            at = *directory;
        }
        way.reverse();
        Some((names.into_iter().rev().collect(), way))
    }
}
