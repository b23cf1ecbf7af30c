//! Directories: entries sorted by the bytes of their names (`.` and `..` among them) and packed into blocks. Each
//! block holds a table of fixed-size records and then the names they point to.

use super::format::{BLOCK, DIRENT_SIZE, usize_of};

/// One entry: name, inode number and `EROFS_FT_*` type.
pub(super) struct Dirent<'a> {
    pub(super) name: &'a [u8],
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

/// The size of a directory with these entry names, in their final order.
pub(super) fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let block = usize_of(BLOCK);
    let (full_blocks, used) = names.fold((0, 0), |(full, used), name| {
        let needed = DIRENT_SIZE + name.len();
        if used + needed > block {
            (full + 1, needed)
        } else {
            (full, used + needed)
        }
    });
    full_blocks * BLOCK + used as u64
}

/// The bytes of a directory; as many as [`size`] says for the same names.
pub(super) fn encode(entries: &[Dirent<'_>]) -> Vec<u8> {
    let block = usize_of(BLOCK);
    let mut bytes = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        // Every block but the last is padded to its full length.
        bytes.resize(bytes.len().next_multiple_of(block), 0);
        let mut used = 0;
        let fitting = rest
            .iter()
            .take_while(|entry| {
                used += DIRENT_SIZE + entry.name.len();
                used <= block
            })
            .count();
        let (here, later) = rest.split_at(fitting);
        encode_block(here, &mut bytes);
        rest = later;
    }
    bytes
}

fn encode_block(entries: &[Dirent<'_>], bytes: &mut Vec<u8>) {
    let mut name_offset = entries.len() * DIRENT_SIZE;
    for entry in entries {
        bytes.extend(entry.nid.to_le_bytes());
        // Offsets are within one block.
        bytes.extend(u16::try_from(name_offset).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend([entry.file_type, 0]);
        name_offset += entry.name.len();
    }
    for entry in entries {
        bytes.extend(entry.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_size_is_known_before_the_bytes(names in proptest::collection::vec("[a-z]{1,255}", 1..200)) {
            let entries: Vec<_> =
                names.iter().map(|name| Dirent { name: name.as_bytes(), nid: 36, file_type: 1 }).collect();
            let expected = size(names.iter().map(String::as_bytes));
            proptest::prop_assert_eq!(encode(&entries).len() as u64, expected);
        }
    }
}
