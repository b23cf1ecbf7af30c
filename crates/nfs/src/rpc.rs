//! Remote procedure calls (RFC 5531): records on a stream, calls in records. Who a call claims to come from is not looked
//! at: all that a sandbox asks, it asks as the folder's owner.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::xdr::{Garbage, Reader, Writer};

/// Most bytes of a file that one request reads or writes.
pub(crate) const MOST_DATA: u32 = 256 * 1024;
/// Most bytes of a record: data with all that is around it.
const MAX_RECORD: usize = MOST_DATA as usize + 4096;
/// Most pieces of a record.
const MAX_FRAGMENTS: usize = 64;
const LAST_FRAGMENT: u32 = 1 << 31;
/// Most bytes of what a caller says of itself (RFC 5531, section 8.2).
const MAX_AUTHENTICATION: usize = 400;
const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;

/// Reads the next record. None when the stream ends before one.
pub(crate) async fn read_record(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut record = Vec::new();
    for _ in 0..MAX_FRAGMENTS {
        let header = match stream.read_u32().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && record.is_empty() => {
                return Ok(None);
            }
            header => header?,
        };
        let length = usize::try_from(header & !LAST_FRAGMENT).unwrap_or(usize::MAX);
        let so_far = record.len();
        if length > MAX_RECORD - so_far {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is too long"));
        }
        let read = (&mut *stream)
            .take(length as u64)
            .read_to_end(&mut record)
            .await?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if header & LAST_FRAGMENT != 0 {
            return Ok(Some(record));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a record has too many pieces",
    ))
}

/// A call, whose arguments are still to be read.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: u32,
    rpc_version: u32,
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) procedure: u32,
    pub(crate) arguments: Reader<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn read(record: &'a [u8]) -> Result<Self, Garbage> {
        let mut reader = Reader::new(record);
        let id = reader.u32()?;
        if reader.u32()? != CALL {
            return Err(Garbage);
        }
        let rpc_version = reader.u32()?;
        let (program, version, procedure) = (reader.u32()?, reader.u32()?, reader.u32()?);
        for _ in ["credentials", "verifier"] {
            reader.u32()?;
            reader.opaque(MAX_AUTHENTICATION)?;
        }
        Ok(Self {
            id,
            rpc_version,
            program,
            version,
            procedure,
            arguments: reader,
        })
    }

    /// Whether it is of the version of the calls themselves that is spoken here.
    pub(crate) fn is_understood(&self) -> bool {
        self.rpc_version == RPC_VERSION
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    Success,
    UnknownProgram,
    /// The only version there is.
    OtherVersion(u32),
    UnknownProcedure,
    Garbage,
}

/// Begins a record with the answer to this call. The record's own header is the first four bytes, see [`finish`].
pub(crate) fn reply(id: u32, accepted: Accepted) -> Writer {
    let mut writer = begin(id);
    writer.u32(0); // accepted
    writer.u64(0); // no verifier
    match accepted {
        Accepted::Success => writer.u32(0),
        Accepted::UnknownProgram => writer.u32(1),
        Accepted::OtherVersion(version) => {
            writer.u32(2);
            writer.u32(version);
            writer.u32(version);
        }
        Accepted::UnknownProcedure => writer.u32(3),
        Accepted::Garbage => writer.u32(4),
    }
    writer
}

/// The answer to a call of another version of the calls themselves.
pub(crate) fn denied(id: u32) -> Writer {
    let mut writer = begin(id);
    writer.u32(1); // denied
    writer.u32(0); // for its version
    writer.u32(RPC_VERSION);
    writer.u32(RPC_VERSION);
    writer
}

fn begin(id: u32) -> Writer {
    let mut writer = Writer::default();
    writer.u32(0);
    writer.u32(id);
    writer.u32(REPLY);
    writer
}

/// The record that was written.
pub(crate) fn finish(Writer(mut record): Writer) -> Vec<u8> {
    let length = u32::try_from(record.len() - 4).unwrap_or(u32::MAX);
    record[..4].copy_from_slice(&(length | LAST_FRAGMENT).to_be_bytes());
    record
}
