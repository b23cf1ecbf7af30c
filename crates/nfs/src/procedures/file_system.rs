//! What is known of the whole folder.

use super::attributes::write_known;
use super::file;
use crate::rpc::MOST_DATA;
use crate::status::Refusal;
use crate::tree::MAX_NAME;
use crate::worker::Worker;
use crate::xdr::{Reader, Writer};

/// Best size of what lists a directory, in bytes.
const LISTING: u32 = 64 * 1024;
/// `LINK_MAX` of Linux.
const MOST_LINKS: u32 = 127;

pub(super) fn usage(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    let disk = rustix::fs::fstatvfs(&found.fd)?;
    write_known(worker, &found, writer);
    for blocks in [disk.f_blocks, disk.f_bfree, disk.f_bavail] {
        writer.u64(blocks.saturating_mul(disk.f_frsize));
    }
    for files in [disk.f_files, disk.f_ffree, disk.f_favail] {
        writer.u64(files);
    }
    writer.u32(0);
    Ok(())
}

pub(super) fn properties(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    const HARD_LINKS: u32 = 1;
    const SYMBOLIC_LINKS: u32 = 2;
    const THE_SAME_FOR_ALL_FILES: u32 = 8;
    const TIMES_CAN_BE_SET: u32 = 16;
    let found = file(worker, arguments)?;
    write_known(worker, &found, writer);
    for _ in ["read", "write"] {
        writer.u32(MOST_DATA);
        writer.u32(MOST_DATA);
        writer.u32(1);
    }
    writer.u32(LISTING);
    writer.u64(i64::MAX.cast_unsigned());
    // Times are kept to the nanosecond.
    writer.u32(0);
    writer.u32(1);
    writer.u32(HARD_LINKS | SYMBOLIC_LINKS | THE_SAME_FOR_ALL_FILES | TIMES_CAN_BE_SET);
    Ok(())
}

pub(super) fn limits(
    worker: &mut Worker<'_>,
    arguments: &mut Reader<'_>,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let found = file(worker, arguments)?;
    write_known(worker, &found, writer);
    writer.u32(MOST_LINKS);
    writer.u32(u32::try_from(MAX_NAME).unwrap_or(u32::MAX));
    writer.bool(true); // longer names are refused
    writer.bool(true); // owners cannot be changed
    writer.bool(false); // names differ by case
    writer.bool(true); // and keep it
    Ok(())
}
