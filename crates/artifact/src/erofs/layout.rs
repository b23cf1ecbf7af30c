//! Decides where every inode and every content goes.

use std::collections::HashMap;

use super::dirents;
use super::format::{
    BLOCK, DEVICE_SLOT, INODE_SIZE, Placement, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, encode_xattrs,
};
use super::{ErofsError, MAX_DEVICES};
use crate::tree::{Content, DeviceNumber, InodeId, Kind, MAX_PATH, Tree};

/// Largest device numbers that Linux's 32-bit encoding holds.
const MAX_MAJOR: u32 = (1 << 12) - 1;
const MAX_MINOR: u32 = (1 << 20) - 1;

/// One inode with its place.
pub(super) struct Planned {
    pub(super) id: InodeId,

    /// The directory this one is in; for directories only, which have one parent.
    pub(super) parent: InodeId,
    /// Where the inode stands in the image, in bytes.
    pub(super) offset: u64,
    pub(super) xattrs: Vec<u8>,
    pub(super) size: u64,
    pub(super) placement: Placement,
    pub(super) links: u32,
}

impl Planned {
    /// The number directory entries use.
    pub(super) fn nid(&self) -> u64 {
        self.offset / SLOT
    }

    /// Size of the inode with its attributes.
    pub(super) fn head(&self) -> u64 {
        INODE_SIZE + self.xattrs.len() as u64
    }
}

/// The whole image.
pub(super) struct Plan {
    /// In the order of their offsets, which is also that of their contents.
    pub(super) inodes: Vec<Planned>,
    /// Where in `inodes` an inode is.
    pub(super) index: HashMap<InodeId, usize>,
    /// Size of the image.
    pub(super) blocks: u32,
    /// Where else contents are.
    pub(super) devices: Vec<Device>,
}

/// A block device besides the image.
pub(super) struct Device {
    /// The number of its first block, counted on from the blocks of the image and of the devices before.
    pub(super) first: u32,
    pub(super) blocks: u32,
}

impl Plan {
    pub(super) fn get(&self, id: InodeId) -> &Planned {
        &self.inodes[self.index[&id]]
    }
}

pub(super) fn plan(tree: &Tree, devices: &[u32]) -> Result<Plan, ErofsError> {
    if devices.len() > MAX_DEVICES {
        return Err(ErofsError::TooManyDevices(devices.len()));
    }
    let (mut inodes, index) = enumerate(tree)?;
    let mut end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE + DEVICE_SLOT * devices.len() as u64;
    for planned in &mut inodes {
        let mut together = planned.head();
        if external(tree, planned.id).is_none() && planned.size > 0 && together + planned.size <= BLOCK {
            planned.placement = Placement::Inline;
            together += planned.size;
        }
        planned.offset = place(end, together);
        end = planned.offset + together;
    }
    let mut next = blocks(end);
    for planned in &mut inodes {
        if let Placement::Blocks(block) = &mut planned.placement
            && external(tree, planned.id).is_none()
        {
            *block = block_number(next)?;
            next += blocks(planned.size);
        }
    }
    let image_blocks = block_number(next)?;
    let devices = number_on(image_blocks, devices)?;
    for planned in &mut inodes {
        if let Some((device, block)) = external(tree, planned.id) {
            let end = u64::from(block) + blocks(planned.size);
            let device = devices.get(device).filter(|device| end <= device.blocks.into());
            let device = device.ok_or_else(|| ErofsError::NoDevice {
                path: name_of(tree, planned.id),
            })?;
            planned.placement = Placement::Blocks(device.first + block);
        }
    }
    Ok(Plan {
        inodes,
        index,
        blocks: image_blocks,
        devices,
    })
}

/// The devices with their blocks numbered on from those of the image.
fn number_on(image_blocks: u32, devices: &[u32]) -> Result<Vec<Device>, ErofsError> {
    let mut first = image_blocks;
    devices
        .iter()
        .map(|blocks| {
            let device = Device {
                first,
                blocks: *blocks,
            };
            first = first.checked_add(*blocks).ok_or(ErofsError::TooLarge)?;
            Ok(device)
        })
        .collect()
}

/// The device and the block of a content that is not in the image.
fn external(tree: &Tree, id: InodeId) -> Option<(usize, u32)> {
    match tree.inode(id).kind {
        Kind::File(Content::External { device, block, .. }) => Some((device, block)),
        _ => None,
    }
}

/// The first slot at or after `end` where `length` bytes, at most a block, lie within one block.
fn place(end: u64, length: u64) -> u64 {
    let offset = end.next_multiple_of(SLOT);
    if offset % BLOCK + length > BLOCK {
        offset.next_multiple_of(BLOCK)
    } else {
        offset
    }
}

/// Every reachable inode once, in the order of a walk.
fn enumerate(tree: &Tree) -> Result<(Vec<Planned>, HashMap<InodeId, usize>), ErofsError> {
    let mut inodes: Vec<Planned> = Vec::with_capacity(tree.inode_count());
    let mut index = HashMap::with_capacity(tree.inode_count());
    let mut parents = HashMap::from([(Tree::ROOT, Tree::ROOT)]);
    for (path, id) in std::iter::once((Vec::new(), Tree::ROOT)).chain(tree.walk()) {
        if let Some(known) = index.get(&id) {
            let known: &mut Planned = &mut inodes[*known];
            known.links += 1;
            continue;
        }
        let inode = tree.inode(id);
        let refuse = |what| ErofsError::Unrepresentable {
            path: printable(&path),
            what,
        };
        let attributes = inode
            .metadata
            .xattrs
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let xattrs =
            encode_xattrs(attributes).ok_or_else(|| refuse("its extended attributes cannot be stored"))?;
        let mut links = 1;
        let mut placement = Placement::Blocks(0);
        let size = match &inode.kind {
            Kind::Directory(entries) => {
                links = 2;
                for child in entries.values() {
                    if matches!(tree.inode(*child).kind, Kind::Directory(_)) {
                        links += 1;
                        parents.insert(*child, id);
                    }
                }
                dirents::size(sorted_names(entries.keys().map(Vec::as_slice)).into_iter())
            }
            Kind::File(content) => content.size(),
            Kind::Symlink(target) if !(1..=MAX_PATH).contains(&target.len()) => {
                return Err(refuse("its link target is empty or too long"));
            }
            Kind::Symlink(target) => target.len() as u64,
            Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                let number =
                    encode_device(*device).ok_or_else(|| refuse("its device number is too large"))?;
                placement = Placement::Device(number);
                0
            }
            Kind::Fifo => 0,
        };
        let parent = parents.remove(&id).unwrap_or(Tree::ROOT);
        index.insert(id, inodes.len());
        inodes.push(Planned {
            id,
            parent,
            offset: 0,
            xattrs,
            size,
            placement,
            links,
        });
    }
    Ok((inodes, index))
}

/// The names of a directory's entries in their order on disk.
pub(super) fn sorted_names<'a>(children: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut names: Vec<&[u8]> = [&b"."[..], b".."].into_iter().chain(children).collect();
    names.sort_unstable();
    names
}

/// `new_encode_dev` of Linux.
fn encode_device(device: DeviceNumber) -> Option<u32> {
    let DeviceNumber { major, minor } = device;
    (major <= MAX_MAJOR && minor <= MAX_MINOR)
        .then_some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK)
}

fn block_number(block: u64) -> Result<u32, ErofsError> {
    u32::try_from(block).map_err(|_| ErofsError::TooLarge)
}

/// A path that leads to `id`, for messages.
pub(super) fn name_of(tree: &Tree, id: InodeId) -> String {
    tree.walk()
        .find(|(_, found)| *found == id)
        .map(|(path, _)| printable(&path))
        .unwrap_or_default()
}

fn printable(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
