//! What is known of files, and what of that can be changed.

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, Statx, StatxTimestamp, Timespec, Timestamps};

use super::{file, status_of};
use crate::handle::FileId;
use crate::status::{Refusal, Status};
use crate::tree::{Found, stat_of};
use crate::worker::Worker;
use crate::xdr::{Garbage, Reader, Writer};

/// The number of the folder itself, whichever directory that is: one that was made anew is the same to clients.
pub(super) const TOP_NUMBER: u64 = 1 << 63;
/// The permission bits that clients see and set: all but those for another user's rights.
const MODE: u32 = 0o1777;
/// `utimensat(2)`.
const UTIME_NOW: i64 = (1 << 30) - 1;
const UTIME_OMIT: i64 = (1 << 30) - 2;

pub(super) fn get(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    write(worker, number(found.id()), &found.stat, writer);
    Ok(())
}

pub(super) fn set(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    let wanted = Wanted::read(arguments)?;
    let guard = arguments.option(|reader| Ok((reader.u32()?, reader.u32()?)))?;
    if guard.is_some_and(|guard| guard != time(found.stat.stx_ctime)) {
        return Err(Status::NotInSync.into());
    }
    wanted.apply(worker, &found)?;
    write_change(worker, &found, writer)
}

pub(super) fn access(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    const READ: u32 = 1;
    const LOOK_UP: u32 = 2;
    const CHANGE: u32 = 4 | 8 | 16;
    const EXECUTE: u32 = 32;
    let found = file(worker, arguments)?;
    let asked = arguments.u32()?;
    let may = |access| rustix::fs::accessat(CWD, found.own_path(), access, AtFlags::EACCESS).is_ok();
    let kinds = [
        (READ, Access::READ_OK),
        (LOOK_UP | EXECUTE, Access::EXEC_OK),
        (CHANGE, Access::WRITE_OK),
    ];
    let granted = match found.kind() {
        FileType::Symlink => READ,
        FileType::RegularFile | FileType::Directory => kinds
            .into_iter()
            .filter(|(bits, access)| asked & bits != 0 && may(*access))
            .fold(0, |granted, (bits, _)| granted | bits),
        _ => 0,
    };
    let barred = if worker.folder.is_read_only() { CHANGE } else { 0 };
    write_known(worker, &found, writer);
    writer.u32(asked & granted & !barred);
    Ok(())
}

/// What a client wants a file to be.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
    size: Option<u64>,
    times: Option<Timestamps>,
}

impl Wanted {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Garbage> {
        Ok(Self {
            mode: reader.option(Reader::u32)?,
            user: reader.option(Reader::u32)?,
            group: reader.option(Reader::u32)?,
            size: reader.option(Reader::u64)?,
            times: {
                let (last_access, last_modification) = (read_time(reader)?, read_time(reader)?);
                let changes = [&last_access, &last_modification]
                    .iter()
                    .any(|time| time.tv_nsec != UTIME_OMIT);
                changes.then_some(Timestamps {
                    last_access,
                    last_modification,
                })
            },
        })
    }

    /// Of all that, the size alone.
    pub(super) fn only_size(&self) -> Self {
        Self {
            size: self.size,
            ..Self::default()
        }
    }

    /// Wants nothing but these times, which are how a client knows the file it made.
    pub(super) fn mark(mark: [u32; 2]) -> Self {
        let time = |seconds: u32| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: 0,
        };
        Self {
            times: Some(Timestamps {
                last_access: time(mark[0]),
                last_modification: time(mark[1]),
            }),
            ..Self::default()
        }
    }

    /// Makes a file what is wanted. Another owner cannot be had.
    pub(super) fn apply(&self, worker: &mut Worker<'_>, found: &Found) -> Result<(), Status> {
        let other = |wanted: Option<u32>, is: u32| wanted.is_some_and(|wanted| wanted != is);
        if other(self.user, found.stat.stx_uid) || other(self.group, found.stat.stx_gid) {
            return Err(Status::Permission);
        }
        if let Some(mode) = self.mode
            && found.kind() != FileType::Symlink
        {
            rustix::fs::chmod(found.own_path(), Mode::from_raw_mode(mode & MODE))?;
        }
        if let Some(size) = self.size {
            let content = worker.content(found, true)?;
            content.set_len(size).map_err(|error| status_of(&error))?;
        }
        if let Some(times) = &self.times {
            rustix::fs::utimensat(CWD, found.own_path(), times, AtFlags::empty())?;
        }
        Ok(())
    }
}

/// Whether a file has this mark still.
pub(super) fn has_mark(stat: &Statx, mark: [u32; 2]) -> bool {
    (time(stat.stx_atime).0, time(stat.stx_mtime).0) == (mark[0], mark[1])
}

fn read_time(reader: &mut Reader<'_>) -> Result<Timespec, Garbage> {
    let (tv_sec, tv_nsec) = match reader.u32()? {
        0 => (0, UTIME_OMIT),
        1 => (0, UTIME_NOW),
        2 => match (reader.u32()?, reader.u32()?) {
            (seconds, nanoseconds @ ..1_000_000_000) => (seconds.into(), nanoseconds.into()),
            _ => return Err(Garbage),
        },
        _ => return Err(Garbage),
    };
    Ok(Timespec { tv_sec, tv_nsec })
}

/// What a file's number is to clients.
pub(super) fn number(file: FileId) -> u64 {
    if file == FileId::TOP {
        TOP_NUMBER
    } else {
        file.inode
    }
}

/// Writes all that is known of a file.
pub(super) fn write(worker: &Worker<'_>, number: u64, stat: &Statx, writer: &mut Writer) {
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory => 2,
        FileType::BlockDevice => 3,
        FileType::CharacterDevice => 4,
        FileType::Symlink => 5,
        FileType::Socket => 6,
        FileType::Fifo => 7,
        _ => 1,
    };
    writer.u32(kind);
    writer.u32(u32::from(stat.stx_mode) & MODE);
    writer.u32(stat.stx_nlink);
    writer.u32(stat.stx_uid);
    writer.u32(stat.stx_gid);
    writer.u64(stat.stx_size);
    writer.u64(stat.stx_blocks.saturating_mul(512));
    // Which device a device node is for is nothing to clients.
    writer.u64(0);
    writer.u64(worker.folder.file_system);
    writer.u64(number);
    for at in [stat.stx_atime, stat.stx_mtime, stat.stx_ctime] {
        write_time(at, writer);
    }
}

/// Writes all that is known of a file, where it might be absent.
pub(super) fn write_known(worker: &Worker<'_>, found: &Found, writer: &mut Writer) {
    writer.bool(true);
    write(worker, number(found.id()), &found.stat, writer);
}

/// Writes what a file was when it was found, and what it is now.
pub(super) fn write_change(worker: &Worker<'_>, found: &Found, writer: &mut Writer) -> Result<(), Refusal> {
    writer.bool(true);
    writer.u64(found.stat.stx_size);
    write_time(found.stat.stx_mtime, writer);
    write_time(found.stat.stx_ctime, writer);
    writer.bool(true);
    write(worker, number(found.id()), &stat_of(&found.fd)?, writer);
    Ok(())
}

fn write_time(at: StatxTimestamp, writer: &mut Writer) {
    let (seconds, nanoseconds) = time(at);
    writer.u32(seconds);
    writer.u32(nanoseconds);
}

/// Seconds and nanoseconds, as far as the protocol can say them.
fn time(at: StatxTimestamp) -> (u32, u32) {
    (u32::try_from(at.tv_sec.max(0)).unwrap_or(u32::MAX), at.tv_nsec)
}
