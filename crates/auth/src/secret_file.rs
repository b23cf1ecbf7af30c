//! Files with secrets, which are made once, whole or not at all, readable by their owner only, and never overwritten:
//! each is written under another name, synced and then linked to its own name.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes the file with this content.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when it is there, whatever it holds; or any error of the disk.
pub(crate) fn create_once(path: &Path, content: &[u8]) -> io::Result<()> {
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The temporary file is made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".secret-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
