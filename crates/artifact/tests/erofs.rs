//! Images against the readers of others: erofs-utils and, where this machine can mount, the kernel.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should panic"
)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use coracle_artifact::erofs::{ErofsError, write_image};
use coracle_artifact::tree::{Content, ContentSource, DeviceNumber, Inode, Kind, Metadata, NoContent, Tree};
use proptest::prelude::*;

fn metadata(mode: u16) -> Metadata {
    Metadata {
        mode,
        uid: 1000,
        gid: 100_000,
        mtime: 1_700_000_001,
        ..Metadata::default()
    }
}

fn insert(tree: &mut Tree, path: &str, mode: u16, kind: Kind) {
    tree.insert(
        path.as_bytes(),
        Inode {
            metadata: metadata(mode),
            kind,
        },
        &metadata(0o755),
    )
    .unwrap();
}

/// Bytes that differ between places, so that misplaced blocks show.
fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 4096 + seed * 7) % 251).unwrap())
        .collect()
}

fn fsck(image: &Path, extract_to: Option<&Path>) {
    let mut command = Command::new("fsck.erofs");
    if let Some(folder) = extract_to {
        command.arg(format!("--extract={}", folder.display()));
    }
    let outcome = command.arg(image).output().expect("erofs-utils are installed");
    let said =
        String::from_utf8_lossy(&outcome.stderr).into_owned() + &String::from_utf8_lossy(&outcome.stdout);
    assert!(
        outcome.status.success() && !said.contains("Err:"),
        "fsck.erofs: {said}"
    );
}

/// Compares a folder, unpacked or mounted, with the tree it comes from.
fn assert_same(tree: &Tree, folder: &Path) {
    let mut inode_numbers: HashMap<_, u64> = HashMap::new();
    let mut names = BTreeMap::new();
    for (path, id) in tree.walk() {
        let place = folder.join(OsStr::from_bytes(&path));
        let found =
            fs::symlink_metadata(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let inode = tree.inode(id);
        let shown = place.display();
        if !matches!(inode.kind, Kind::Symlink(_)) {
            assert_eq!(
                found.mode() & 0o7777,
                u32::from(inode.metadata.mode),
                "mode of {shown}"
            );
        }
        assert_eq!(
            found.mtime(),
            inode.metadata.mtime.cast_signed(),
            "time of {shown}"
        );
        match &inode.kind {
            Kind::Directory(_) => assert!(found.is_dir(), "{shown}"),
            Kind::File(Content::Inline(expected)) => {
                assert_eq!(fs::read(&place).unwrap(), *expected, "content of {shown}");
                let first = *inode_numbers.entry(id).or_insert(found.ino());
                assert_eq!(first, found.ino(), "{shown} is not a hard link");
            }
            Kind::Symlink(target) => {
                assert_eq!(
                    fs::read_link(&place).unwrap().as_os_str().as_bytes(),
                    target,
                    "{shown}"
                );
            }
            Kind::CharDevice(_) => assert!(found.file_type().is_char_device(), "{shown}"),
            Kind::Fifo => assert!(found.file_type().is_fifo(), "{shown}"),
            other => panic!("{other:?} is not in these tests"),
        }
        names.insert(path, ());
    }
    let there = walkdir::WalkDir::new(folder).min_depth(1).into_iter().count();
    assert_eq!(
        there,
        names.len(),
        "the folder has more or fewer names than the tree"
    );
}

fn write(tree: &Tree, folder: &Path) -> std::path::PathBuf {
    let image = folder.join("image.erofs");
    write_image(tree, &mut NoContent, &image).unwrap();
    image
}

/// A loop mount that is undone when dropped; `None` where this machine or user cannot mount.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(image: &Path, at: &'a Path) -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let kernel_can = fs::read_to_string("/proc/filesystems")
            .unwrap()
            .contains("\terofs\n");
        if !root || !kernel_can || !Path::new("/dev/loop-control").exists() {
            return None;
        }
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "erofs", "-o", "loop,ro"])
            .arg(image)
            .arg(at)
            .output()
            .unwrap();
        assert!(
            mount.status.success(),
            "mount: {}",
            String::from_utf8_lossy(&mount.stderr)
        );
        Some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.0).status().unwrap().success());
    }
}

/// Everything the format has, with sizes around every boundary.
fn rich_tree() -> Tree {
    let mut tree = Tree::new(metadata(0o755));
    for (number, length) in [
        0, 1, 31, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 8193, 300_000,
    ]
    .into_iter()
    .enumerate()
    {
        insert(
            &mut tree,
            &format!("sizes/{length}"),
            0o644,
            Kind::file(bytes(length, number)),
        );
    }
    for number in 0..3000 {
        insert(
            &mut tree,
            &format!("many/{number:04}-{}", "n".repeat(number % 200)),
            0o600,
            Kind::file("x"),
        );
    }
    insert(
        &mut tree,
        &format!("{}/-before-the-dot", "long".repeat(63)),
        0o755,
        Kind::file("#!/bin/sh\n"),
    );
    insert(&mut tree, &"n".repeat(255), 0o4755, Kind::file("longest"));
    insert(&mut tree, "empty", 0o1777, Kind::directory());
    insert(
        &mut tree,
        "short link",
        0o777,
        Kind::Symlink(b"sizes/4096".to_vec()),
    );
    insert(&mut tree, "long link", 0o777, Kind::Symlink(vec![b'l'; 4095]));
    insert(&mut tree, "pipe", 0o644, Kind::Fifo);
    insert(
        &mut tree,
        "null",
        0o666,
        Kind::CharDevice(DeviceNumber { major: 1, minor: 3 }),
    );
    insert(
        &mut tree,
        "wide",
        0o600,
        Kind::CharDevice(DeviceNumber {
            major: 259,
            minor: 70_000,
        }),
    );
    let target = tree.find(b"sizes/8193").unwrap();
    tree.link(b"hard/link", target, &metadata(0o755)).unwrap();
    tree
}

#[test]
fn erofs_utils_and_the_kernel_read_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = rich_tree();
    let annotated = tree.find(b"sizes/4031").unwrap();
    let attributes = &mut tree.inode_mut(annotated).metadata.xattrs;
    attributes.insert(b"user.colour".to_vec(), b"blue".to_vec());
    attributes.insert(
        b"security.capability".to_vec(),
        vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    let image = write(&tree, folder.path());
    fsck(&image, None);

    let at = folder.path().join("mounted");
    let Some(_mounted) = Mounted::new(&image, &at) else {
        return;
    };
    assert_same(&tree, &at);
    let wide = fs::metadata(at.join("wide")).unwrap();
    assert_eq!(
        (rustix::fs::major(wide.rdev()), rustix::fs::minor(wide.rdev())),
        (259, 70_000)
    );
    assert_eq!((wide.uid(), wide.gid()), (1000, 100_000));
    assert_eq!(fs::metadata(at.join("hard/link")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(&at).unwrap().nlink(), 2 + 5);
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(at.join("sizes/4031"), "user.colour", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"blue");
}

#[test]
fn equal_trees_give_equal_images() {
    let folder = tempfile::tempdir().unwrap();
    let first = fs::read(write(&rich_tree(), folder.path())).unwrap();
    let second = fs::read(write(&rich_tree(), folder.path())).unwrap();
    assert!(first == second, "two images of the same tree differ");
}

#[test]
fn a_flipped_bit_in_the_superblock_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let image = write(&rich_tree(), folder.path());
    let mut damaged = fs::read(&image).unwrap();
    damaged[1024 + 36] ^= 1;
    fs::write(&image, damaged).unwrap();
    let outcome = Command::new("fsck.erofs").arg(&image).output().unwrap();
    // This version of fsck.erofs complains and yet exits with success.
    let said =
        String::from_utf8_lossy(&outcome.stderr).into_owned() + &String::from_utf8_lossy(&outcome.stdout);
    assert!(
        said.contains("checksum"),
        "the checksum does not cover the superblock: {said}"
    );
}

/// A source whose contents are not as long as the tree says.
struct Liar(u64);

impl ContentSource for Liar {
    fn open(&mut self, _key: u64) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(std::io::Read::take(std::io::repeat(1), self.0)))
    }
}

#[test]
fn contents_of_another_length_leave_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.erofs");
    for size in [10, 10_000] {
        let mut tree = Tree::new(metadata(0o755));
        insert(
            &mut tree,
            "file",
            0o644,
            Kind::File(Content::Stored { key: 1, size }),
        );
        for actual in [size - 1, size + 1] {
            let outcome = write_image(&tree, &mut Liar(actual), &image);
            assert!(matches!(outcome, Err(ErofsError::Length { .. })), "{outcome:?}");
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "something was left behind"
        );
    }
}

/// A name of one byte, of a few, or of the greatest length.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[!-.0-~]{1,12}", "[a-z]{255}"].prop_filter("no name", |name| name != "." && name != "..")
}

fn arbitrary_tree() -> impl Strategy<Value = Tree> {
    let content = prop_oneof![0..200_usize, 4000..4200_usize, 8100..8300_usize];
    let kind = prop_oneof![
        4 => content.prop_map(|length| Kind::file(bytes(length, length))),
        1 => Just(Kind::directory()),
        1 => "[a-z/.]{1,200}".prop_map(|target| Kind::Symlink(target.into_bytes())),
    ];
    let path = proptest::collection::vec(name(), 1..5).prop_map(|names| names.join("/"));
    let mode = prop_oneof![Just(0o644_u16), Just(0o755), Just(0o700)];
    proptest::collection::vec((path, mode, kind), 0..120).prop_map(|entries| {
        let mut tree = Tree::new(metadata(0o755));
        for (path, mode, kind) in entries {
            // Two of the same name, or one below a file: whichever came first stays.
            drop(tree.insert(
                path.as_bytes(),
                Inode {
                    metadata: metadata(mode),
                    kind,
                },
                &metadata(0o755),
            ));
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_out_as_it_went_in(tree in arbitrary_tree()) {
        let folder = tempfile::tempdir().unwrap();
        let image = write(&tree, folder.path());
        let unpacked = folder.path().join("unpacked");
        fsck(&image, Some(&unpacked));
        assert_same(&tree, &unpacked);
    }
}
