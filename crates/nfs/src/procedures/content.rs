//! Reading and writing the content of files.

use std::os::unix::fs::FileExt as _;

use super::attributes::{write_change, write_known};
use super::{file, status_of};
use crate::rpc::MOST_DATA;
use crate::status::{Refusal, Status};
use crate::tree::stat_of;
use crate::worker::Worker;
use crate::xdr::{Garbage, Reader, Writer};

pub(super) fn read(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    let (offset, count) = (arguments.u64()?, arguments.u32()?.min(MOST_DATA));
    let offset = within_file(offset, count)?;
    let content = worker.content(&found, false)?;
    let mut buffer = vec![0; count as usize];
    let length = content
        .read_at(&mut buffer, offset)
        .map_err(|error| status_of(&error))?;
    let size = stat_of(&found.fd)?.stx_size;
    write_known(worker, &found, writer);
    writer.u32(u32::try_from(length).map_err(|_| Status::Io)?);
    writer.bool(offset.saturating_add(length as u64) >= size);
    writer.opaque(&buffer[..length]);
    Ok(())
}

pub(super) fn write(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    const UNSTABLE: u32 = 0;
    const DATA: u32 = 1;
    const FILE: u32 = 2;
    let found = file(worker, arguments)?;
    let (offset, count, stability) = (arguments.u64()?, arguments.u32()?, arguments.u32()?);
    let data = arguments.opaque(MOST_DATA as usize)?;
    let data = data.get(..count as usize).ok_or(Garbage)?;
    let offset = within_file(offset, count)?;
    let content = worker.content(&found, true)?;
    let written = content.write_all_at(data, offset).and_then(|()| match stability {
        UNSTABLE => Ok(()),
        DATA => content.sync_data(),
        _ => content.sync_all(),
    });
    written.map_err(|error| status_of(&error))?;
    write_change(worker, &found, writer)?;
    writer.u32(count);
    writer.u32(stability.min(FILE));
    writer.array(worker.folder.write_verifier);
    Ok(())
}

pub(super) fn commit(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    let (_offset, _count) = (arguments.u64()?, arguments.u32()?);
    let content = worker.content(&found, !worker.folder.is_read_only())?;
    content.sync_all().map_err(|error| status_of(&error))?;
    write_change(worker, &found, writer)?;
    writer.array(worker.folder.write_verifier);
    Ok(())
}

/// Where in a file so many bytes begin, if a file can be that long.
fn within_file(offset: u64, count: u32) -> Result<u64, Status> {
    match offset.checked_add(count.into()) {
        Some(end) if i64::try_from(end).is_ok() => Ok(offset),
        _ => Err(Status::TooLarge),
    }
}
