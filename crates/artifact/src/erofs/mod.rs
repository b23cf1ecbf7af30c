//! Writes a [`Tree`] as an EROFS image: read-only, uncompressed, readable by Linux 5.10 and later without any
//! optional feature. Equal trees with equal contents give equal images, byte for byte.
//!
//! ```text
//! block 0        1024 bytes unused, superblock (128 bytes), then the first inodes
//! blocks 0..m    inodes in the order of a walk, each followed by its extended attributes and,
//!                where everything fits into one block, by its content
//! blocks m..     contents that did not fit, each beginning on a block of its own
//! ```
//!
//! The blocks of further devices are numbered on after those of the image, so that a content there is described as
//! any other. A table behind the superblock lists the devices.
//!
//! `layout` decides where everything goes before the first byte is written, so that the image is written from
//! front to back with memory for the metadata only. Format: `Documentation/filesystems/erofs.rst` and
//! `fs/erofs/erofs_fs.h` of Linux.

mod dirents;
mod format;
mod layout;
mod writer;

use std::io;
use std::path::Path;

use crate::files;
use crate::tree::{ContentSource, Tree};

/// Changes whenever the same tree would give another image; part of the name of cached images.
pub const WRITER_VERSION: u32 = 1;

/// Contents begin at multiples of this, in bytes.
pub const BLOCK_SIZE: u64 = format::BLOCK;
/// Most block devices besides the image itself.
pub const MAX_DEVICES: usize = 16;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    /// The image file could not be written.
    #[error("the image could not be written")]
    Write(#[from] io::Error),
    /// A file's content could not be read.
    #[error("{path}: the content could not be read")]
    Content {
        /// The file within the tree.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file's content is not as long as the tree says.
    #[error("{path}: the content is not {expected} bytes long")]
    Length {
        /// The file within the tree.
        path: String,
        /// The length in the tree.
        expected: u64,
    },
    /// A content on a device that the image does not have, or beyond its end.
    #[error("{path}: the content is on no device of the image")]
    NoDevice {
        /// The file within the tree.
        path: String,
    },
    /// More block devices than [`MAX_DEVICES`].
    #[error("the image would need {0} block devices")]
    TooManyDevices(usize),
    /// More blocks than the format can count.
    #[error("the image would be larger than 16 TB")]
    TooLarge,
    /// An inode that the format cannot hold.
    #[error("{path}: {what}")]
    Unrepresentable {
        /// The file within the tree.
        path: String,
        /// What the format has no room for.
        what: &'static str,
    },
}

/// Writes the image of `tree` to `target`, whole or not at all. Returns its size in bytes.
///
/// # Errors
/// When the image cannot be written, a content cannot be read or the format cannot hold the tree.
pub fn write_image(tree: &Tree, source: &mut dyn ContentSource, target: &Path) -> Result<u64, ErofsError> {
    write_image_over(tree, &[], source, target)
}

/// As [`write_image`], of a tree some of whose contents are on block devices of their own. Whoever mounts the image
/// names them with `device=` options, in this order; `devices` says how many blocks each has.
///
/// # Errors
/// As for [`write_image`], and when a content is on none of the devices.
pub fn write_image_over(
    tree: &Tree,
    devices: &[u32],
    source: &mut dyn ContentSource,
    target: &Path,
) -> Result<u64, ErofsError> {
    let plan = layout::plan(tree, devices)?;
    files::write_atomically(target, |file| writer::write(tree, &plan, source, file))
}
