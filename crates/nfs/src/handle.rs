//! File handles: how a client names a file. They hold all that finds the file again, so they outlive this process.
//!
//! ```text
//!  seal (16) │ inode (8) │ birth (8) │ one byte for each folder on the way from the top, made of its inode
//! ```
//!
//! A file is known by its inode number and the time of its birth, because numbers are used again. Where it is found is
//! remembered ([`crate::tree`]); where that is forgotten, the bytes say which folders lead to it, whatever they and the file
//! are called now. A file that was moved to another folder meanwhile, or deleted, is not found: its handle is stale.
//! The seal makes sure that handles are made here, for this folder.

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::{Statx, StatxFlags};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::status::Status;

/// Most bytes of a handle (RFC 1813, section 2.4).
pub(crate) const MAX_HANDLE: usize = 64;
/// Most folders between the top and a file.
pub(crate) const MAX_DEPTH: usize = MAX_HANDLE - FIXED;
const SEAL: usize = 16;
const FIXED: usize = SEAL + 16;

/// What tells a file from every other in its folder's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) inode: u64,
    /// When it was made, in nanoseconds; zero on file systems that do not know.
    pub(crate) born: u64,
}

impl FileId {
    /// The folder itself, whichever directory that is.
    pub(crate) const TOP: Self = Self { inode: 0, born: 0 };

    pub(crate) fn of(stat: &Statx) -> Self {
        let knows_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        let nanoseconds = |seconds: i64, nanoseconds: u32| {
            seconds
                .cast_unsigned()
                .wrapping_mul(1_000_000_000)
                .wrapping_add(nanoseconds.into())
        };
        Self {
            inode: stat.stx_ino,
            born: if knows_birth {
                nanoseconds(stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)
            } else {
                0
            },
        }
    }
}

/// What stands for a folder on the way to a file.
pub(crate) fn sign_of(inode: u64) -> u8 {
    Sha256::digest(inode.to_le_bytes())[0]
}

/// What a handle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) file: FileId,
    /// The signs of the folders on the way, from the top.
    pub(crate) way: Vec<u8>,
}

impl Handle {
    /// The handle of the folder itself.
    pub(crate) fn top() -> Self {
        Self {
            file: FileId::TOP,
            way: Vec::new(),
        }
    }
}

/// Seals the handles of one folder.
pub(crate) struct Sealer(Hmac<Sha256>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// `key` is the server's, `folder` tells the folder from its others.
    pub(crate) fn new(key: &[u8; 32], folder: &str) -> Self {
        let mut sealer = Self::keyed(key);
        sealer.update(folder.as_bytes());
        let own: [u8; 32] = sealer.finalize().into_bytes().into();
        Self(Self::keyed(&own))
    }

    fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
        // Shorter keys are filled up with zeros (RFC 2104).
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        Hmac::new(&block.into())
    }

    fn seal(&self, content: &[u8]) -> [u8; SEAL] {
        let mut sealer = self.0.clone();
        sealer.update(content);
        let code: [u8; 32] = sealer.finalize().into_bytes().into();
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&code[..SEAL]);
        seal
    }

    /// The handle's bytes.
    ///
    /// # Errors
    /// When the file is too deep beneath the folder.
    pub(crate) fn write(&self, handle: &Handle) -> Result<Vec<u8>, Status> {
        if handle.way.len() > MAX_DEPTH {
            return Err(Status::NameTooLong);
        }
        let mut content = Vec::with_capacity(MAX_HANDLE);
        content.extend_from_slice(&handle.file.inode.to_be_bytes());
        content.extend_from_slice(&handle.file.born.to_be_bytes());
        content.extend_from_slice(&handle.way);
        let mut bytes = self.seal(&content).to_vec();
        bytes.append(&mut content);
        Ok(bytes)
    }

    /// What a handle of a client's says.
    ///
    /// # Errors
    /// When it was not made here.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Handle, Status> {
        let (seal, content) = bytes.split_first_chunk::<SEAL>().ok_or(Status::BadHandle)?;
        if !bool::from(self.seal(content).ct_eq(seal)) {
            return Err(Status::BadHandle);
        }
        let (inode, rest) = content.split_first_chunk().ok_or(Status::BadHandle)?;
        let (born, way) = rest.split_first_chunk().ok_or(Status::BadHandle)?;
        Ok(Handle {
            file: FileId {
                inode: u64::from_be_bytes(*inode),
                born: u64::from_be_bytes(*born),
            },
            way: way.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(way: &[u8]) -> Handle {
        Handle {
            file: FileId { inode: 7, born: 8 },
            way: way.to_vec(),
        }
    }

    #[test]
    fn a_handle_is_read_where_it_was_made_and_nowhere_else() {
        let sealer = Sealer::new(&[1; 32], "one");
        let bytes = sealer.write(&handle(b"way")).unwrap();
        assert_eq!(sealer.read(&bytes), Ok(handle(b"way")));
        for other in [Sealer::new(&[1; 32], "other"), Sealer::new(&[2; 32], "one")] {
            assert_eq!(other.read(&bytes), Err(Status::BadHandle));
        }
    }

    #[test]
    fn the_deepest_handle_fits_and_a_deeper_one_is_refused() {
        let sealer = Sealer::new(&[1; 32], "one");
        assert_eq!(sealer.write(&handle(&[0; MAX_DEPTH])).unwrap().len(), MAX_HANDLE);
        assert_eq!(
            sealer.write(&handle(&[0; MAX_DEPTH + 1])),
            Err(Status::NameTooLong)
        );
    }

    proptest::proptest! {
        #[test]
        fn an_invented_handle_is_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..70), at in 0_usize..32) {
            let sealer = Sealer::new(&[1; 32], "one");
            assert_eq!(sealer.read(&bytes), Err(Status::BadHandle));
            let mut changed = sealer.write(&handle(&[])).unwrap();
            changed[at] ^= 1;
            assert_eq!(sealer.read(&changed), Err(Status::BadHandle));
        }
    }
}
