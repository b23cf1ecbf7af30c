//! Listing directories.
//!
//! Where a client goes on is where the file system says the next entry is, which it keeps through changes and restarts.

use std::mem::MaybeUninit;

use rustix::fs::{OFlags, RawDir, RawDirEntry, SeekFrom};

use super::attributes::{self, number, write_known};
use super::file;
use crate::handle::FileId;
use crate::status::{Refusal, Status};
use crate::tree::{DIRECTORY_BUFFER, Found, Name, stat_in};
use crate::worker::Worker;
use crate::xdr::{Reader, Writer};

/// Most bytes of an answer.
const MOST_BYTES: u32 = 64 * 1024;
/// Bytes that follow the last entry, and the status before the first.
const AROUND: usize = 12;

pub(super) fn names(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let directory = file(worker, arguments)?;
    let (cookie, _verifier, most) = (arguments.u64()?, arguments.u64()?, arguments.u32()?);
    list(worker, &directory, cookie, most, writer, |_, entry, writer| {
        write_entry(&directory, entry, entry.ino(), writer);
    })
}

pub(super) fn names_and_attributes(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let directory = file(worker, arguments)?;
    let (cookie, _verifier) = (arguments.u64()?, arguments.u64()?);
    let (_of_names, most) = (arguments.u32()?, arguments.u32()?);
    list(
        worker,
        &directory,
        cookie,
        most,
        writer,
        |worker, entry, writer| {
            write_entry_and_attributes(worker, &directory, entry, writer);
        },
    )
}

/// Writes as many entries as there is room for.
fn list(
    worker: &Worker<'_>,
    directory: &Found,
    cookie: u64,
    most: u32,
    writer: &mut Writer,
    write: impl Fn(&Worker<'_>, &RawDirEntry<'_>, &mut Writer),
) -> Result<(), Refusal> {
    let begin = writer.0.len();
    let most = most.min(MOST_BYTES) as usize;
    let open = directory.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    rustix::fs::seek(&open, SeekFrom::Start(cookie))?;
    write_known(worker, directory, writer);
    writer.u64(0); // cookies stay valid, so they need no verifier
    let first = writer.0.len();
    let mut buffer = [const { MaybeUninit::uninit() }; DIRECTORY_BUFFER];
    let mut entries = RawDir::new(&open, &mut buffer);
    let mut is_end = true;
    while let Some(entry) = entries.next() {
        let before = writer.0.len();
        writer.bool(true);
        write(worker, &entry?, writer);
        if writer.0.len() - begin + AROUND > most {
            writer.0.truncate(before);
            is_end = false;
            break;
        }
    }
    if !is_end && writer.0.len() == first {
        return Err(Status::TooSmall.into());
    }
    writer.bool(false);
    writer.bool(is_end);
    Ok(())
}

fn write_entry(directory: &Found, entry: &RawDirEntry<'_>, inode: u64, writer: &mut Writer) {
    let name = entry.file_name().to_bytes();
    // Neither the folder's own number nor that of what it is in is for clients.
    let is_top = directory.id() == FileId::TOP && matches!(name, b"." | b"..");
    writer.u64(if is_top { number(FileId::TOP) } else { inode });
    writer.opaque(name);
    writer.u64(entry.next_entry_cookie());
}

fn write_entry_and_attributes(
    worker: &Worker<'_>,
    directory: &Found,
    entry: &RawDirEntry<'_>,
    writer: &mut Writer,
) {
    let device = |stat: &rustix::fs::Statx| (stat.stx_dev_major, stat.stx_dev_minor);
    let name = Name::new(entry.file_name().to_bytes());
    let known = name.ok().and_then(|name| {
        let stat = stat_in(&directory.fd, name.as_c_str()).ok()?;
        // What is mounted here is not this folder's.
        if device(&stat) != device(&directory.stat) {
            return None;
        }
        let handle = worker.folder.tree.handle_in(directory, &name, &stat);
        Some((stat, worker.folder.sealer.write(&handle).ok()?))
    });
    let Some((stat, handle)) = known else {
        write_entry(directory, entry, entry.ino(), writer);
        writer.bool(false);
        writer.bool(false);
        return;
    };
    write_entry(directory, entry, stat.stx_ino, writer);
    writer.bool(true);
    attributes::write(worker, stat.stx_ino, &stat, writer);
    writer.bool(true);
    writer.opaque(&handle);
}
