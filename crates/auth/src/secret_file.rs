//! Files with secrets, which are made once, whole or not at all, readable by their owner only, and never overwritten:
//! each is written under another name, synced and then linked to its own name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rand::RngExt;
use secrecy::SecretBox;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;

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

/// The key in the file at `path`, in hexadecimal digits; the file is made with a new key if it does not exist.
///
/// # Errors
/// When the file holds something else, or on any error of the disk.
pub fn load_or_create_key(path: &Path) -> io::Result<SecretBox<[u8; KEY]>> {
    let new: [u8; KEY] = rand::rng().random();
    match create_once(path, hex::encode(new).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut text = String::new();
    File::open(path)?.take(1024).read_to_string(&mut text)?;
    let mut key = Box::new([0; KEY]);
    hex::decode_to_slice(text.trim(), &mut *key)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(SecretBox::new(key))
}
