//! Checksums of files that are mostly holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};

/// Files are compared in blocks of this size, in bytes; blocks of zeros count as absent, whether stored or not.
const BLOCK: usize = 64 * 1024;

/// SHA-256 over length, and position and content of every block that is not all zeros: independent of which zeros
/// the file system stores, and fast for a file that is mostly holes.
pub(super) fn of(file: &File) -> io::Result<String> {
    let size = file.metadata()?.len();
    let mut digest = Sha256::new();
    digest.update(size.to_le_bytes());
    let mut block = vec![0; BLOCK];
    let mut position = 0;
    while position < size {
        let data = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Err(rustix::io::Errno::NXIO) => break,
            data => data?,
        };
        position = data - data % BLOCK as u64;
        let length = usize::try_from(size - position).map_or(BLOCK, |rest| rest.min(BLOCK));
        let content = &mut block[..length];
        file.read_exact_at(content, position)?;
        if content.iter().any(|byte| *byte != 0) {
            digest.update(position.to_le_bytes());
            digest.update(content);
        }
        position += BLOCK as u64;
    }
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn stored_zeros_are_as_good_as_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (sparse, dense) = (folder.path().join("sparse"), folder.path().join("dense"));
        File::create(&sparse).unwrap().set_len(300_000).unwrap();
        fs::write(&dense, vec![0; 300_000]).unwrap();
        let hash_of = |path| of(&File::open(path).unwrap()).unwrap();
        assert_eq!(hash_of(sparse), hash_of(dense));
    }
}
