//! Names: finding, making, renaming and removing what has them.

use std::ffi::CString;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Wanted, has_mark, write_change, write_known};
use super::{directory_and_name, file, place, write_handle};
use crate::handle::FileId;
use crate::status::{Refusal, Status};
use crate::tree::{Found, Name, open_beneath, stat_in};
use crate::worker::Worker;
use crate::xdr::{Reader, Writer};

/// Most bytes of what a symbolic link says (`PATH_MAX` of Linux, without its end).
const MAX_TARGET: usize = 4095;
/// What files and directories may be for their owner and others when a client does not say.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

pub(super) fn look_up(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let (directory, name) = directory_and_name(worker, arguments)?;
    let tree = &worker.folder.tree;
    if directory.kind() != FileType::Directory {
        return Err(Status::NotADirectory.into());
    }
    let found = match name {
        b"." => tree.find(directory.handle.clone())?,
        b".." => tree.parent(&directory)?,
        name => tree.find_in(&directory, &Name::new(name)?)?,
    };
    write_handle(worker, &found, writer)?;
    write_known(worker, &found, writer);
    write_known(worker, &directory, writer);
    Ok(())
}

pub(super) fn read_link(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    if found.kind() != FileType::Symlink {
        return Err(Status::Invalid.into());
    }
    let target = rustix::fs::readlinkat(&found.fd, c"", Vec::new())?;
    write_known(worker, &found, writer);
    writer.opaque(target.to_bytes());
    Ok(())
}

/// How a file is made where there may be one already.
enum How {
    /// What is there is taken.
    Unchecked(Wanted),
    /// What is there is left alone.
    Guarded(Wanted),
    /// What is there is taken if this client made it before, and did not hear of that.
    Exclusive([u32; 2]),
}

impl How {
    fn read(arguments: &mut Reader<'_>) -> Result<Self, Refusal> {
        Ok(match arguments.u32()? {
            0 => Self::Unchecked(Wanted::read(arguments)?),
            1 => Self::Guarded(Wanted::read(arguments)?),
            2 => Self::Exclusive([arguments.u32()?, arguments.u32()?]),
            _ => return Err(Refusal::Garbage),
        })
    }
}

pub(super) fn create(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let (directory, name) = place(worker, arguments)?;
    let how = How::read(arguments)?;
    let wanted = match how {
        How::Unchecked(ref wanted) | How::Guarded(ref wanted) => wanted,
        How::Exclusive(mark) => &Wanted::mark(mark),
    };
    let mode = Mode::from_raw_mode(wanted.mode.unwrap_or(FILE_MODE) & 0o777);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let tree = &worker.folder.tree;
    let found = match open_beneath(&directory.fd, name.path(), flags, mode) {
        Ok(made) => {
            let fd = made.try_clone().map_err(|error| super::status_of(&error))?;
            let found = tree.found_in(&directory, &name, fd)?;
            worker.keep_open(found.id(), true, made.into());
            wanted.apply(worker, &found)?;
            found
        }
        Err(Errno::EXIST) => existing(worker, tree.find_in(&directory, &name)?, &how)?,
        Err(error) => return Err(error.into()),
    };
    write_made(worker, found, &directory, writer)
}

/// What is there already where a file was to be made.
fn existing(worker: &mut Worker<'_>, found: Found, how: &How) -> Result<Found, Status> {
    match how {
        How::Unchecked(wanted) if found.kind() == FileType::RegularFile => {
            wanted.only_size().apply(worker, &found)?;
            Ok(found)
        }
        How::Exclusive(mark) if has_mark(&found.stat, *mark) => Ok(found),
        _ => Err(Status::Exists),
    }
}

pub(super) fn make_directory(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let (directory, name) = place(worker, arguments)?;
    let wanted = Wanted::read(arguments)?;
    let mode = Mode::from_raw_mode(wanted.mode.unwrap_or(DIRECTORY_MODE) & 0o777);
    rustix::fs::mkdirat(&directory.fd, name.as_c_str(), mode)?;
    let found = worker.folder.tree.find_in(&directory, &name)?;
    wanted.apply(worker, &found)?;
    write_made(worker, found, &directory, writer)
}

pub(super) fn make_link(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let (directory, name) = place(worker, arguments)?;
    // A link has no permission bits, and is as old as it is.
    Wanted::read(arguments)?;
    let target = CString::new(arguments.opaque(MAX_TARGET)?).map_err(|_| Status::Invalid)?;
    rustix::fs::symlinkat(target, &directory.fd, name.as_c_str())?;
    let found = worker.folder.tree.find_in(&directory, &name)?;
    write_made(worker, found, &directory, writer)
}

/// Device nodes, pipes and sockets are none of a sandbox's business on this host.
pub(super) fn make_node(
    _worker: &mut Worker<'_>,
    _arguments: &mut Reader<'_>,
    _writer: &mut Writer,
) -> Result<(), Refusal> {
    Err(Status::NotSupported.into())
}

pub(super) fn remove(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    remove_as(worker, arguments, writer, AtFlags::empty())
}

pub(super) fn remove_directory(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    remove_as(worker, arguments, writer, AtFlags::REMOVEDIR)
}

fn remove_as(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
    flags: AtFlags,
) -> Result<(), Refusal> {
    let (directory, name) = place(worker, arguments)?;
    let removed = stat_in(&directory.fd, name.as_c_str())?;
    rustix::fs::unlinkat(&directory.fd, name.as_c_str(), flags)?;
    worker.forget(FileId::of(&removed));
    write_change(worker, &directory, writer)
}

pub(super) fn rename(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let (from, old) = place(worker, arguments)?;
    let (to, new) = place(worker, arguments)?;
    let moved = FileId::of(&stat_in(&from.fd, old.as_c_str())?);
    let replaced = stat_in(&to.fd, new.as_c_str()).map(|stat| FileId::of(&stat));
    rustix::fs::renameat(&from.fd, old.as_c_str(), &to.fd, new.as_c_str())?;
    if let Ok(replaced) = replaced
        && replaced != moved
    {
        worker.forget(replaced);
    }
    worker.folder.tree.moved(moved, &to, &new);
    write_change(worker, &from, writer)?;
    write_change(worker, &to, writer)
}

pub(super) fn link(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    let (directory, name) = place(worker, arguments)?;
    // The path is exactly this file's, which is beneath the folder.
    let flags = AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(CWD, found.own_path(), &directory.fd, name.as_c_str(), flags)?;
    write_known(worker, &found, writer);
    write_change(worker, &directory, writer)
}

/// Writes what was made, and what that made of its directory.
fn write_made(
    worker: &Worker<'_>,
    found: Found,
    directory: &Found,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let stat = crate::tree::stat_of(&found.fd)?;
    let found = Found { stat, ..found };
    writer.bool(true);
    write_handle(worker, &found, writer)?;
    write_known(worker, &found, writer);
    write_change(worker, directory, writer)
}
