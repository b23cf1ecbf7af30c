//! Devices that say when they can be read and written.

use std::fs::File;
use std::io;

use tokio::io::unix::AsyncFd;

/// Has the runtime watch a file that does not block.
#[expect(
    unsafe_code,
    reason = "the runtime cannot check that a file keeps its descriptor"
)]
pub(crate) fn register(file: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: the file owns its open descriptor, and nothing replaces or closes it while it is registered.
    unsafe { AsyncFd::register(file) }.map_err(io::Error::from)
}
