//! The on-disk structures. All integers are little-endian.

/// Size of a block.
pub(super) const BLOCK: u64 = 4096;
/// Where the superblock is in block 0.
pub(super) const SUPERBLOCK_OFFSET: u64 = 1024;
/// Size of the superblock.
pub(super) const SUPERBLOCK_SIZE: u64 = 128;
/// Inodes are numbered by their offset in units of this size.
pub(super) const SLOT: u64 = 32;
/// Size of an extended inode.
pub(super) const INODE_SIZE: u64 = 64;
/// Size of one directory entry, without its name.
pub(super) const DIRENT_SIZE: usize = 12;

/// Size of an entry of the device table, which begins behind the superblock.
pub(super) const DEVICE_SLOT: u64 = 128;

const MAGIC: u32 = 0xE0F5_E1E2;
const COMPAT_CHECKSUM: u32 = 1;
const INCOMPAT_DEVICE_TABLE: u32 = 8;
/// Where the checksum is in the superblock.
const CHECKSUM_OFFSET: usize = 4;
const BLOCK_BITS: u8 = 12;
/// Where the device table begins, in units of its entries: behind the superblock.
const DEVICE_TABLE_SLOT: u16 = 9;

/// Where an inode's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// In whole blocks from this one; also for what has no content.
    Blocks(u32),
    /// Behind the inode, in the same block.
    Inline,
    /// Nowhere: a device node, with this device number in Linux's "new" encoding.
    Device(u32),
}

/// An extended inode.
pub(super) struct InodeRecord {
    /// File type and permissions.
    pub(super) mode: u16,
    /// Size of the extended attributes behind the inode.
    pub(super) xattr_size: u64,
    pub(super) size: u64,
    pub(super) placement: Placement,
    /// A small number for `stat` on 32-bit systems.
    pub(super) number: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u64,
    pub(super) links: u32,
}

impl InodeRecord {
    pub(super) fn encode(&self) -> [u8; 64] {
        const EXTENDED: u16 = 1;
        const FLAT_INLINE: u16 = 2;
        let (layout, location) = match self.placement {
            Placement::Blocks(block) => (0, block),
            Placement::Inline => (FLAT_INLINE, u32::MAX),
            Placement::Device(number) => (0, number),
        };
        let mut record = Encoder::<64>::default();
        record.put(&(EXTENDED | (layout << 1)).to_le_bytes());
        record.put(&xattr_count(self.xattr_size).to_le_bytes());
        record.put(&self.mode.to_le_bytes());
        record.skip(2);
        record.put(&self.size.to_le_bytes());
        record.put(&location.to_le_bytes());
        record.put(&self.number.to_le_bytes());
        record.put(&self.uid.to_le_bytes());
        record.put(&self.gid.to_le_bytes());
        record.put(&self.mtime.to_le_bytes());
        record.skip(4);
        record.put(&self.links.to_le_bytes());
        record.bytes
    }
}

/// The superblock of an image of `blocks` blocks and `inodes` inodes, without its checksum.
pub(super) fn superblock(root: u16, inodes: u64, blocks: u32, devices: u16) -> [u8; 128] {
    let mut record = Encoder::<128>::default();
    record.put(&MAGIC.to_le_bytes());
    record.skip(4);
    record.put(&COMPAT_CHECKSUM.to_le_bytes());
    record.put(&[BLOCK_BITS, 0]);
    record.put(&root.to_le_bytes());
    record.put(&inodes.to_le_bytes());
    record.skip(12);
    record.put(&blocks.to_le_bytes());
    if devices > 0 {
        record.skip(40);
        record.put(&INCOMPAT_DEVICE_TABLE.to_le_bytes());
        record.skip(2);
        record.put(&devices.to_le_bytes());
        record.put(&DEVICE_TABLE_SLOT.to_le_bytes());
    }
    record.bytes
}

/// An entry of the device table: the device's `blocks` blocks are numbered from `first` on.
pub(super) fn device_slot(first: u32, blocks: u32) -> [u8; 128] {
    let mut record = Encoder::<128>::default();
    record.skip(64);
    record.put(&blocks.to_le_bytes());
    record.put(&first.to_le_bytes());
    record.bytes
}

/// Computes and stores the checksum of the superblock in a finished block 0.
pub(super) fn seal(block: &mut [u8]) {
    let covered = &mut block[usize_of(SUPERBLOCK_OFFSET)..];
    let checksum = crc32c(covered);
    covered[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// CRC-32C as the kernel computes it here: all ones to begin with, not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        }
        crc
    })
}

/// `i_xattr_icount` for attributes of this size, header included.
fn xattr_count(size: u64) -> u16 {
    match size.checked_sub(XATTR_HEADER) {
        // Sizes are bounded by `MAX_XATTR_SIZE`.
        Some(entries) => u16::try_from(entries / 4 + 1).unwrap_or(u16::MAX),
        None => 0,
    }
}

const XATTR_HEADER: u64 = 12;
/// Largest extended attributes of one inode: together with the inode they fit into a block.
pub(super) const MAX_XATTR_SIZE: usize = 3072;

/// Attribute name prefixes that are stored as a number, `system.posix_acl_*` being complete names.
const XATTR_PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// The extended attributes as they stand behind an inode; nothing when there are none. `None` when they cannot be
/// represented.
pub(super) fn encode_xattrs<'a>(
    attributes: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Vec<u8>> {
    if attributes.len() == 0 {
        return Some(Vec::new());
    }
    let mut bytes = vec![0; usize_of(XATTR_HEADER)];
    for (name, value) in attributes {
        let (prefix, index) = XATTR_PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))?;
        let suffix = &name[prefix.len()..];
        bytes.push(u8::try_from(suffix.len()).ok()?);
        bytes.push(*index);
        bytes.extend(u16::try_from(value.len()).ok()?.to_le_bytes());
        bytes.extend(suffix);
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    (bytes.len() <= MAX_XATTR_SIZE).then_some(bytes)
}

/// Converts a size that is known to be small.
pub(super) fn usize_of(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

struct Encoder<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Default for Encoder<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            filled: 0,
        }
    }
}

impl<const N: usize> Encoder<N> {
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.filled..self.filled + field.len()].copy_from_slice(field);
        self.filled += field.len();
    }

    fn skip(&mut self, bytes: usize) {
        self.filled += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        // The check value of CRC-32C is that of the inverted register.
        assert_eq!(!crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn unknown_attribute_namespaces_and_oversized_values_are_refused() {
        let encode = |name: &'static [u8], value: &'static [u8]| encode_xattrs([(name, value)].into_iter());
        assert!(encode(b"security.capability", b"x").is_some());
        assert!(encode(b"strange.name", b"x").is_none());
        assert!(encode(b"user.big", &[0; MAX_XATTR_SIZE]).is_none());
    }
}
