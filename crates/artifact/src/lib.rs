//! Everything a sandbox's disks are made of: checked code zips, EROFS images, base images, the guest kernel, the
//! initramfs and the private writable layer.
//!
//! Everything here blocks but for the pulling of container images; callers on an async runtime use a thread for it. Every file is a cache entry named by
//! its content or can be made again: it is written under another name, synced and renamed, and one process or
//! thread makes it while the others wait.
//!
//! ```text
//! container image ── oci ──▶ image and disks
//! code zip ── code::check ──┐
//! tar archive ── tar_tree ──┴─► Tree ── erofs ──► image
//! cloud kernel package ── images::kernel ──► vmlinux, modules ── initramfs ──► cpio
//! ```

pub mod code;
mod command;
pub mod erofs;
mod files;
pub mod images;
mod initramfs;
pub mod oci;
mod progress;
pub mod sandbox;
pub mod scratch;
pub mod tar_tree;
pub mod tree;

pub use command::CommandError;
pub use initramfs::initramfs;
pub use progress::Progress;
