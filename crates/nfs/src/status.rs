//! What a procedure answers instead of its result (RFC 1813, section 2.6).

use rustix::io::Errno;

use crate::xdr::Garbage;

/// Why a request is refused, in the words of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Status {
    Permission = 1,
    NoEntry = 2,
    Io = 5,
    Access = 13,
    Exists = 17,
    NotADirectory = 20,
    IsADirectory = 21,
    Invalid = 22,
    TooLarge = 27,
    NoSpace = 28,
    ReadOnly = 30,
    TooManyLinks = 31,
    NameTooLong = 63,
    NotEmpty = 66,
    Quota = 69,
    /// There is no such file any more.
    Stale = 70,
    /// It is no handle of this folder's.
    BadHandle = 10001,
    NotInSync = 10002,
    NotSupported = 10004,
    TooSmall = 10005,
    /// To be asked again later.
    TryLater = 10008,
}

impl From<Errno> for Status {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PERM => Self::Permission,
            Errno::NOENT => Self::NoEntry,
            // Another file system, or a way out of the folder, is not this folder's to show.
            Errno::ACCESS | Errno::XDEV | Errno::LOOP => Self::Access,
            Errno::EXIST => Self::Exists,
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ISDIR => Self::IsADirectory,
            Errno::INVAL => Self::Invalid,
            Errno::FBIG => Self::TooLarge,
            Errno::NOSPC => Self::NoSpace,
            Errno::ROFS => Self::ReadOnly,
            Errno::MLINK => Self::TooManyLinks,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::DQUOT => Self::Quota,
            Errno::STALE => Self::Stale,
            Errno::NOTSUP => Self::NotSupported,
            Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::TryLater,
            _ => Self::Io,
        }
    }
}

/// Why there is no answer of a procedure's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(Status),
    /// Its arguments cannot be read.
    Garbage,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        Self::Status(error.into())
    }
}

impl From<Garbage> for Refusal {
    fn from(Garbage: Garbage) -> Self {
        Self::Garbage
    }
}
