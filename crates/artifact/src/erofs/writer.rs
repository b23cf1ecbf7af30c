//! Writes a planned image from front to back.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use super::ErofsError;
use super::dirents::{self, Dirent};
use super::format::{self, BLOCK, InodeRecord, Placement, SUPERBLOCK_OFFSET, usize_of};
use super::layout::{Plan, Planned, name_of, sorted_names};
use crate::tree::{Content, ContentSource, InodeId, Kind, Tree};

const BUFFER: usize = 256 * 1024;

/// Writes the image and returns its size.
pub(super) fn write(
    tree: &Tree,
    plan: &Plan,
    source: &mut dyn ContentSource,
    file: &mut File,
) -> Result<u64, ErofsError> {
    let mut image = Image {
        out: BufWriter::with_capacity(BUFFER, &mut *file),
        position: 0,
    };
    image.pad_to(SUPERBLOCK_OFFSET)?;
    let root = u16::try_from(plan.get(Tree::ROOT).nid()).unwrap_or_default();
    let devices = u16::try_from(plan.devices.len()).unwrap_or_default();
    image.put(&format::superblock(
        root,
        plan.inodes.len() as u64,
        plan.blocks,
        devices,
    ))?;
    for device in &plan.devices {
        image.put(&format::device_slot(device.first, device.blocks))?;
    }

    for (number, planned) in (1..).zip(&plan.inodes) {
        image.pad_to(planned.offset)?;
        image.put(&record(tree, planned, number).encode())?;
        image.put(&planned.xattrs)?;
        if planned.placement == Placement::Inline {
            write_content(tree, plan, planned, source, &mut image)?;
        }
    }
    for planned in &plan.inodes {
        if let Placement::Blocks(block) = planned.placement
            && planned.size > 0
            && block < plan.blocks
        {
            image.pad_to(u64::from(block) * BLOCK)?;
            write_content(tree, plan, planned, source, &mut image)?;
        }
    }
    let size = u64::from(plan.blocks) * BLOCK;
    image.pad_to(size)?;
    image.out.flush()?;
    drop(image);

    let mut first = vec![0; usize_of(BLOCK)];
    file.read_exact_at(&mut first, 0)?;
    format::seal(&mut first);
    file.write_all_at(&first, 0)?;
    Ok(size)
}

struct Image<'a> {
    out: BufWriter<&'a mut File>,
    position: u64,
}

impl Image<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn pad_to(&mut self, offset: u64) -> io::Result<()> {
        let missing = offset.saturating_sub(self.position);
        io::copy(&mut io::repeat(0).take(missing), &mut self.out)?;
        self.position += missing;
        Ok(())
    }
}

fn record(tree: &Tree, planned: &Planned, number: u32) -> InodeRecord {
    let inode = tree.inode(planned.id);
    InodeRecord {
        mode: type_bits(&inode.kind) | (inode.metadata.mode & 0o7777),
        xattr_size: planned.xattrs.len() as u64,
        size: planned.size,
        placement: planned.placement,
        number,
        uid: inode.metadata.uid,
        gid: inode.metadata.gid,
        mtime: inode.metadata.mtime,
        links: planned.links,
    }
}

fn write_content(
    tree: &Tree,
    plan: &Plan,
    planned: &Planned,
    source: &mut dyn ContentSource,
    image: &mut Image<'_>,
) -> Result<(), ErofsError> {
    match &tree.inode(planned.id).kind {
        Kind::Directory(_) => image.put(&directory(tree, plan, planned))?,
        Kind::Symlink(target) => image.put(target)?,
        Kind::File(Content::Inline(bytes)) => image.put(bytes)?,
        Kind::File(Content::Stored { key, size }) => copy_stored(tree, planned, source, *key, *size, image)?,
        // What is on other devices is there already.
        Kind::File(Content::External { .. }) | Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo => {}
    }
    Ok(())
}

fn copy_stored(
    tree: &Tree,
    planned: &Planned,
    source: &mut dyn ContentSource,
    key: u64,
    size: u64,
    image: &mut Image<'_>,
) -> Result<(), ErofsError> {
    let unreadable = |source| ErofsError::Content {
        path: name_of(tree, planned.id),
        source,
    };
    let mut content = source.open(key).map_err(unreadable)?;
    let mut buffer = vec![0; usize_of(size.clamp(1, BUFFER as u64))];
    let mut copied = 0;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(read) => read,
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        copied += read as u64;
        // Checked before writing: what follows has its place already.
        if copied > size || (read == 0 && copied < size) {
            return Err(ErofsError::Length {
                path: name_of(tree, planned.id),
                expected: size,
            });
        }
        if read == 0 {
            return Ok(());
        }
        image.put(&buffer[..read])?;
    }
}

fn directory(tree: &Tree, plan: &Plan, planned: &Planned) -> Vec<u8> {
    let Kind::Directory(children) = &tree.inode(planned.id).kind else {
        return Vec::new();
    };
    let entry = |name, id: InodeId| Dirent {
        name,
        nid: plan.get(id).nid(),
        file_type: dirent_type(&tree.inode(id).kind),
    };
    let entries: Vec<Dirent<'_>> = sorted_names(children.keys().map(Vec::as_slice))
        .into_iter()
        .map(|name| match name {
            b"." => entry(name, planned.id),
            b".." => entry(name, planned.parent),
            _ => entry(name, children[name]),
        })
        .collect();
    dirents::encode(&entries)
}

/// `S_IF*`.
fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::File(_) => 0o100_000,
        Kind::Directory(_) => 0o040_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::CharDevice(_) => 0o020_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::Fifo => 0o010_000,
    }
}

/// `EROFS_FT_*`.
fn dirent_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice(_) => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}
