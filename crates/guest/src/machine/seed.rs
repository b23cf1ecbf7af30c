//! Random numbers that a machine does not share with another one.

use std::fs::File;

use crate::failure::{Doing as _, Failure};

/// Most random bytes taken from the host at once.
const MAX_ENTROPY: usize = 64;

/// The argument of `RNDADDENTROPY` (random(4)).
#[repr(C)]
struct PoolInfo {
    bits: i32,
    bytes: i32,
    buffer: [u8; MAX_ENTROPY],
}

/// Adds the host's random bytes to the kernel's pool and has them count.
pub(super) fn add_entropy(in_hex: &str) -> Result<(), Failure> {
    let adding = || "adding random bytes".to_owned();
    let entropy = hex::decode(in_hex).map_err(|error| Failure::new(adding(), error.to_string()))?;
    let entropy = &entropy[..entropy.len().min(MAX_ENTROPY)];
    let length = i32::try_from(entropy.len()).unwrap_or_default();
    let mut pool = PoolInfo {
        bits: length * 8,
        bytes: length,
        buffer: [0; MAX_ENTROPY],
    };
    pool.buffer[..entropy.len()].copy_from_slice(entropy);
    let device = File::options().write(true).open("/dev/urandom").doing(adding)?;
    credit(&device, pool).doing(adding)
}

/// Has every random number from now on depend on the bytes that were added, not only those of a minute from now.
pub(super) fn reseed() -> Result<(), Failure> {
    let reseeding = || "reseeding the random numbers".to_owned();
    let device = File::options()
        .write(true)
        .open("/dev/urandom")
        .doing(reseeding)?;
    force_reseed(&device).doing(reseeding)
}

#[expect(unsafe_code, reason = "the kernel offers this by ioctl only")]
fn force_reseed(device: &File) -> rustix::io::Result<()> {
    /// `_IO('R', 0x07)`
    const RNDRESEEDCRNG: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(b'R', 7);
    // SAFETY: the opcode takes no argument.
    let request = unsafe { rustix::ioctl::NoArg::<RNDRESEEDCRNG>::new() };
    // SAFETY: the kernel reads and writes nothing of this process.
    unsafe { rustix::ioctl::ioctl(device, request) }
}

#[expect(unsafe_code, reason = "the kernel offers this by ioctl only")]
fn credit(device: &File, pool: PoolInfo) -> rustix::io::Result<()> {
    /// `_IOW('R', 0x03, int [2])`
    const RNDADDENTROPY: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<[i32; 2]>(b'R', 3);
    // SAFETY: the opcode takes a pointer to a `rand_pool_info`, which `PoolInfo` is.
    let request = unsafe { rustix::ioctl::Setter::<RNDADDENTROPY, PoolInfo>::new(pool) };
    // SAFETY: the kernel reads `bytes` bytes of the buffer, and no more than it has.
    unsafe { rustix::ioctl::ioctl(device, request) }
}
