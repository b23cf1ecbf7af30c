//! What clients can ask: the procedures of MOUNT and NFS version 3 (RFC 1813, appendix I and section 3).
//!
//! One that fails answers its status and none of the attributes that it might send along: a client that misses them asks.

mod attributes;
mod content;
mod file_system;
mod listing;
mod names;

use std::io;

use rustix::io::Errno;

use crate::handle::{Handle, MAX_HANDLE};
use crate::rpc::{self, Accepted, Call};
use crate::status::{Refusal, Status};
use crate::tree::{Found, Name};
use crate::worker::Worker;
use crate::xdr::{Reader, Writer};

const MOUNT_PROGRAM: u32 = 100_005;
const NFS_PROGRAM: u32 = 100_003;
/// The version of both.
const VERSION: u32 = 3;
/// What clients mount (RFC 1813, section 5.2.1).
const TOP_PATH: &[u8] = b"/";
const MAX_MOUNT_PATH: usize = 1024;
/// The longest name that is read, to be refused with a status of its own.
const MAX_NAME_READ: usize = 1024;
const AUTH_SYS: u32 = 1;

/// The answer to a record. None for what is no call: its sender does not speak the protocol.
pub(crate) fn answer(worker: &mut Worker<'_>, record: &[u8]) -> Option<Vec<u8>> {
    let mut call = Call::read(record).ok()?;
    if !call.is_understood() {
        return Some(rpc::finish(rpc::denied(call.id)));
    }
    let writer = match (call.program, call.version) {
        (MOUNT_PROGRAM | NFS_PROGRAM, VERSION) if call.procedure == 0 => {
            rpc::reply(call.id, Accepted::Success)
        }
        (MOUNT_PROGRAM, VERSION) => mount(worker, &mut call),
        (NFS_PROGRAM, VERSION) => run(worker, &mut call),
        (MOUNT_PROGRAM | NFS_PROGRAM, _) => rpc::reply(call.id, Accepted::OtherVersion(VERSION)),
        _ => rpc::reply(call.id, Accepted::UnknownProgram),
    };
    Some(rpc::finish(writer))
}

fn mount(worker: &Worker<'_>, call: &mut Call<'_>) -> Writer {
    const MOUNT: u32 = 1;
    const UNMOUNT: u32 = 3;
    let mut writer = rpc::reply(call.id, Accepted::Success);
    match call.procedure {
        MOUNT => match call.arguments.opaque(MAX_MOUNT_PATH) {
            Ok(TOP_PATH) => {
                writer.u32(0);
                // The top's handle has no way, so it is not too long.
                writer.opaque(&worker.folder.sealer.write(&Handle::top()).unwrap_or_default());
                writer.u32(1);
                writer.u32(AUTH_SYS);
                writer
            }
            Ok(_) => {
                writer.u32(Status::NoEntry as u32);
                writer
            }
            Err(_) => rpc::reply(call.id, Accepted::Garbage),
        },
        UNMOUNT => writer,
        _ => rpc::reply(call.id, Accepted::UnknownProcedure),
    }
}

/// A procedure of NFS.
struct Procedure {
    run: fn(&mut Worker<'_>, &mut Reader<'_>, &mut Writer) -> Result<(), Refusal>,
    /// How many absent values follow its status when it fails.
    absent: usize,
    /// Whether it changes anything.
    changes: bool,
}

fn procedure(number: u32) -> Option<Procedure> {
    let reads = |run, absent| Procedure {
        run,
        absent,
        changes: false,
    };
    let changes = |run, absent| Procedure {
        run,
        absent,
        changes: true,
    };
    Some(match number {
        1 => reads(attributes::get, 0),
        2 => changes(attributes::set, 2),
        3 => reads(names::look_up, 1),
        4 => reads(attributes::access, 1),
        5 => reads(names::read_link, 1),
        6 => reads(content::read, 1),
        7 => changes(content::write, 2),
        8 => changes(names::create, 2),
        9 => changes(names::make_directory, 2),
        10 => changes(names::make_link, 2),
        11 => changes(names::make_node, 2),
        12 => changes(names::remove, 2),
        13 => changes(names::remove_directory, 2),
        14 => changes(names::rename, 4),
        15 => changes(names::link, 3),
        16 => reads(listing::names, 1),
        17 => reads(listing::names_and_attributes, 1),
        18 => reads(file_system::usage, 1),
        19 => reads(file_system::properties, 1),
        20 => reads(file_system::limits, 1),
        21 => reads(content::commit, 2),
        _ => return None,
    })
}

fn run(worker: &mut Worker<'_>, call: &mut Call<'_>) -> Writer {
    let Some(procedure) = procedure(call.procedure) else {
        return rpc::reply(call.id, Accepted::UnknownProcedure);
    };
    let mut writer = rpc::reply(call.id, Accepted::Success);
    let begin = writer.0.len();
    writer.u32(0);
    let result = if procedure.changes && worker.folder.is_read_only() {
        Err(Status::ReadOnly.into())
    } else {
        (procedure.run)(worker, &mut call.arguments, &mut writer)
    };
    match result {
        Ok(()) => writer,
        Err(Refusal::Status(status)) => {
            writer.0.truncate(begin);
            writer.u32(status as u32);
            (0..procedure.absent).for_each(|_| writer.bool(false));
            writer
        }
        Err(Refusal::Garbage) => rpc::reply(call.id, Accepted::Garbage),
    }
}

/// Reads a handle and finds its file.
fn file(worker: &Worker<'_>, arguments: &mut Reader<'_>) -> Result<Found, Refusal> {
    let handle = worker.folder.sealer.read(arguments.opaque(MAX_HANDLE)?)?;
    Ok(worker.folder.tree.find(handle)?)
}

/// Reads a handle and what may be a name, and finds the directory.
fn directory_and_name<'a>(
    worker: &Worker<'_>,
    arguments: &mut Reader<'a>,
) -> Result<(Found, &'a [u8]), Refusal> {
    let (handle, name) = (arguments.opaque(MAX_HANDLE)?, arguments.opaque(MAX_NAME_READ)?);
    let directory = worker.folder.tree.find(worker.folder.sealer.read(handle)?)?;
    Ok((directory, name))
}

/// Reads a handle and a name, and finds the directory.
fn place(worker: &Worker<'_>, arguments: &mut Reader<'_>) -> Result<(Found, Name), Refusal> {
    let (directory, name) = directory_and_name(worker, arguments)?;
    Ok((directory, Name::new(name)?))
}

fn write_handle(worker: &Worker<'_>, found: &Found, writer: &mut Writer) -> Result<(), Status> {
    writer.opaque(&worker.folder.sealer.write(&found.handle)?);
    Ok(())
}

fn status_of(error: &io::Error) -> Status {
    Errno::from_io_error(error).map_or(Status::Io, Status::from)
}

#[cfg(test)]
mod tests;
