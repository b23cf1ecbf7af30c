//! Base images from archives, and the initramfs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use coracle_artifact::images::{ImageError, ImageStore};
use coracle_artifact::{Progress, initramfs};
use coracle_types::{Architecture, RuntimeKind};
use tar::{Builder, EntryType, Header};

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header
}

fn file(archive: &mut Builder<impl Write>, path: &str, mode: u32, content: &str) {
    archive
        .append_data(
            &mut header(EntryType::Regular, mode, content.len()),
            path,
            content.as_bytes(),
        )
        .unwrap();
}

fn link(archive: &mut Builder<impl Write>, kind: EntryType, path: &str, target: &str) {
    archive
        .append_link(&mut header(kind, 0o777, 0), path, target)
        .unwrap();
}

/// As much of a Python 3.12 system as an archive needs to be taken for one.
fn rootfs(path: &Path) {
    let mut archive = Builder::new(File::create(path).unwrap());
    file(&mut archive, "./usr/bin/bash", 0o755, "bash");
    link(&mut archive, EntryType::Symlink, "./bin", "usr/bin");
    file(&mut archive, "./usr/local/lib/python3.12-real", 0o755, "python");
    link(
        &mut archive,
        EntryType::Symlink,
        "./usr/local/bin/python3.12",
        "/usr/local/lib/python3.12-real",
    );
    link(
        &mut archive,
        EntryType::Link,
        "./usr/local/bin/python",
        "./usr/local/lib/python3.12-real",
    );
    file(
        &mut archive,
        "./etc/passwd",
        0o644,
        "root:x:0:0::/root:/bin/bash\nsomebody:x:1000:1000::/:/bin/sh\n",
    );
    file(&mut archive, "./etc/resolv.conf", 0o644, "nameserver 192.0.2.1\n");
    file(&mut archive, "./proc/left-over", 0o644, "x");
    archive.finish().unwrap();
}

fn store(folder: &Path) -> ImageStore {
    ImageStore::open(folder.join("images"), None).unwrap()
}

#[test]
fn a_missing_base_image_is_answered_with_the_command_that_adds_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let error = store.base(RuntimeKind::Python313).unwrap_err().to_string();
    assert!(error.contains("coracle image build PYTHON_3_13"), "{error}");
    let error = store.base(RuntimeKind::Python312).unwrap_err().to_string();
    assert!(error.contains("coracle image add PYTHON_3_12 --tar"), "{error}");
    let error = store
        .build_base(RuntimeKind::Node22, &())
        .unwrap_err()
        .to_string();
    assert!(error.contains("coracle image add NODE_22 --tar"), "{error}");
    for architecture in Architecture::ALL {
        let error = store.kernel(architecture).unwrap_err().to_string();
        assert!(
            error.contains(&format!("build kernel --arch {architecture}")),
            "{error}"
        );
    }
}

#[test]
fn an_archive_becomes_a_base_image_with_the_agent_s_user() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("rootfs.tar");
    rootfs(&archive);
    let store = store(folder.path());
    let added = store.add_base(RuntimeKind::Python312, &archive, &()).unwrap();
    assert_eq!(store.base(RuntimeKind::Python312).unwrap(), added);
    assert_eq!(store.bases().unwrap(), std::slice::from_ref(&added));

    let unpacked = folder.path().join("unpacked");
    let fsck = Command::new("fsck.erofs")
        .arg(format!("--extract={}", unpacked.display()))
        .arg(&added.path)
        .output()
        .unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
    let passwd = fs::read_to_string(unpacked.join("etc/passwd")).unwrap();
    assert!(passwd.starts_with("root:x:0:0:"), "{passwd}");
    assert!(
        passwd.contains("agentcore-runtime-user:x:1000:1000::/home/agentcore-runtime-user:"),
        "{passwd}"
    );
    assert!(
        !passwd.contains("somebody"),
        "two users have the agent's id: {passwd}"
    );
    assert!(
        !fs::read_to_string(unpacked.join("etc/resolv.conf"))
            .unwrap()
            .contains("192.0.2.1")
    );
    assert_eq!(
        fs::read(unpacked.join("usr/local/bin/python")).unwrap(),
        b"python"
    );
    for path in [
        "var/task",
        "home/agentcore-runtime-user",
        "tmp",
        "mnt",
        "proc",
        "sys",
        "dev",
        "run",
    ] {
        assert!(unpacked.join(path).is_dir(), "{path} is missing");
        assert_eq!(
            fs::read_dir(unpacked.join(path)).unwrap().count(),
            0,
            "{path} is not empty"
        );
    }
    assert_eq!(fs::read(unpacked.join("etc/machine-id")).unwrap(), b"");

    assert!(store.remove_base(RuntimeKind::Python312).unwrap());
    assert!(!store.remove_base(RuntimeKind::Python312).unwrap());
    assert!(store.bases().unwrap().is_empty());
}

#[test]
fn a_compressed_archive_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("rootfs.tar");
    rootfs(&archive);
    let compressed = folder.path().join("rootfs.tar.gz");
    let mut gzip =
        flate2::write::GzEncoder::new(File::create(&compressed).unwrap(), flate2::Compression::fast());
    gzip.write_all(&fs::read(&archive).unwrap()).unwrap();
    gzip.finish().unwrap();
    let store = store(folder.path());
    let plain = store.add_base(RuntimeKind::Python312, &archive, &()).unwrap();
    let again = store.add_base(RuntimeKind::Python312, &compressed, &()).unwrap();
    assert_eq!(plain.manifest.id, again.manifest.id);
    assert_eq!(store.bases().unwrap().len(), 1);
}

#[test]
fn an_archive_of_something_else_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("rootfs.tar");
    rootfs(&archive);
    let store = store(folder.path());
    let error = store
        .add_base(RuntimeKind::Python314, &archive, &())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no python3.14"), "{error}");
    fs::write(&archive, "this is no archive, and much longer than nothing").unwrap();
    assert!(matches!(
        store.add_base(RuntimeKind::Python312, &archive, &()),
        Err(ImageError::Tar(_))
    ));
    let mut climbing = Builder::new(File::create(&archive).unwrap());
    file(&mut climbing, "usr/bin/bash", 0o755, "bash");
    link(&mut climbing, EntryType::Symlink, "etc", "/tmp");
    file(&mut climbing, "etc/passwd", 0o644, "x");
    climbing.finish().unwrap();
    assert!(matches!(
        store.add_base(RuntimeKind::Python312, &archive, &()),
        Err(ImageError::Tar(_))
    ));
}

/// Names, modes and contents of a `newc` archive.
fn read_cpio(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut members = BTreeMap::new();
    let mut at = 0;
    loop {
        assert_eq!(&archive[at..at + 6], b"070701", "no header at {at}");
        let field = |number: usize| {
            let start = at + 6 + number * 8;
            u32::from_str_radix(std::str::from_utf8(&archive[start..start + 8]).unwrap(), 16).unwrap()
        };
        let (size, name_size) = (field(6) as usize, field(11) as usize);
        let name = String::from_utf8(archive[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
        let start = (at + 110 + name_size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            return members;
        }
        members.insert(name, (field(1), archive[start..start + size].to_vec()));
        at = (start + size).next_multiple_of(4);
    }
}

#[test]
fn the_initramfs_holds_init_and_the_modules_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["guest", "zeta.ko", "alpha.ko"] {
        fs::write(path(name), format!("content of {name}")).unwrap();
    }
    let modules = [path("zeta.ko"), path("alpha.ko")];
    let made = initramfs(&path("cache"), &path("guest"), &modules).unwrap();
    let members = read_cpio(&fs::read(&made).unwrap());
    assert_eq!(members["init"], (0o100_755, b"content of guest".to_vec()));
    assert_eq!(members["modules/00-zeta.ko"].1, b"content of zeta.ko");
    assert_eq!(members["modules/01-alpha.ko"].1, b"content of alpha.ko");
    assert_eq!(members["dev/console"].0, 0o020_600);
    for folder in ["dev", "proc", "sys", "newroot"] {
        assert_eq!(members[folder].0, 0o040_755);
    }

    assert_eq!(initramfs(&path("cache"), &path("guest"), &modules).unwrap(), made);
    fs::write(path("guest"), "another guest").unwrap();
    assert_ne!(initramfs(&path("cache"), &path("guest"), &modules).unwrap(), made);
}

#[test]
fn closures_and_nobody_hear_of_progress() {
    fn listens(_: &dyn Progress) {}
    listens(&());
    listens(&|_: &str, _: Option<f32>| {});
}
