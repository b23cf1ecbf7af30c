//! Code zips as developers and attackers send them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;

use coracle_artifact::code::{CheckedCode, CodeError, CodeStore, CodeStoreError, MAX_ENTRIES, check};
use coracle_types::RuntimeKind;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

struct Zip {
    folder: TempDir,
    writer: ZipWriter<File>,
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(mode)
}

impl Zip {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = ZipWriter::new(File::create(folder.path().join("code.zip")).unwrap());
        Self { folder, writer }
    }

    /// A zip that is fine, to be spoilt.
    fn good() -> Self {
        Self::new().file("main.py", 0o644, b"print('hello')\n")
    }

    fn file(mut self, name: &str, mode: u32, content: &[u8]) -> Self {
        self.writer.start_file(name, options(mode)).unwrap();
        self.writer.write_all(content).unwrap();
        self
    }

    fn link(mut self, name: &str, target: &str) -> Self {
        self.writer.add_symlink(name, target, options(0o777)).unwrap();
        self
    }

    fn finish(self) -> (TempDir, PathBuf) {
        self.writer.finish().unwrap();
        let path = self.folder.path().join("code.zip");
        (self.folder, path)
    }

    fn check(self) -> Result<CheckedCode, CodeError> {
        let (_folder, zip) = self.finish();
        check_python(&zip)
    }
}

fn check_python(zip: &Path) -> Result<CheckedCode, CodeError> {
    check(zip, &["main.py".to_owned()], RuntimeKind::Python313)
}

#[track_caller]
fn assert_refused(outcome: Result<CheckedCode, CodeError>, expected: &[&str]) {
    let text = outcome.expect_err("it was accepted").to_string();
    for part in expected {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Replaces bytes in a finished zip, at every place they occur.
fn patch(zip: &Path, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(zip).unwrap();
    let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!places.is_empty(), "nothing to patch");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    fs::write(zip, bytes).unwrap();
}

#[test]
fn a_good_zip_passes_and_is_described() {
    let checked = Zip::good()
        .file("lib/data.bin", 0o644, &[7; 100_000])
        .link("lib/again", "data.bin")
        .check()
        .unwrap();
    assert_eq!(checked.unpacked, 100_015);
    assert_eq!(checked.entries, 3);
    assert_eq!(checked.digest.len(), 64);
}

#[test]
fn what_is_no_zip_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("code.zip");
    for content in [&b""[..], b"hello", &[0; 5000], b"PK\x05\x06"] {
        fs::write(&file, content).unwrap();
        assert_refused(check_python(&file), &["not a complete zip file"]);
    }
    let (_folder, zip) = Zip::good().finish();
    let whole = fs::read(&zip).unwrap();
    fs::write(&zip, &whole[..whole.len() - 30]).unwrap();
    assert_refused(check_python(&zip), &["not a complete zip file"]);
    assert!(matches!(
        check_python(Path::new("/nowhere/code.zip")),
        Err(CodeError::Unreadable(_))
    ));
}

#[test]
fn paths_that_climb_out_are_refused() {
    for (name, said) in [
        ("../evil.py", "leaves the zip's folder"),
        ("a/../../evil.py", "leaves the zip's folder"),
        ("/etc/passwd", "leaves the zip's folder"),
        ("a\\..\\evil.py", "backslash"),
    ] {
        // The library would clean such names up; a name of the same length is patched instead.
        let innocent = "x".repeat(name.len());
        let (_folder, zip) = Zip::good().file(&innocent, 0o644, b"x").finish();
        patch(&zip, innocent.as_bytes(), name.as_bytes());
        assert_refused(check_python(&zip), &[said, "the entry"]);
    }
    let (_folder, zip) = Zip::good().file("nul-name", 0o644, b"x").finish();
    patch(&zip, b"nul-name", b"nul\0name");
    assert_refused(check_python(&zip), &["NUL"]);
}

#[test]
fn over_long_names_are_refused_and_shortened_in_the_message() {
    let long = "n".repeat(256);
    assert_refused(
        Zip::good().file(&long, 0o644, b"x").check(),
        &["longer than 255 bytes", "…"],
    );
    let deep = "d/".repeat(2100) + "file";
    assert_refused(Zip::good().file(&deep, 0o644, b"x").check(), &["4095 bytes"]);
}

#[test]
fn links_may_point_about_inside_but_not_outside() {
    let fine = Zip::good()
        .link("a/b", "../main.py")
        .link("dangling", "nothing/here")
        .link("self", ".");
    fine.check().unwrap();
    for target in ["/etc/passwd", "../outside", "a/../../outside"] {
        assert_refused(
            Zip::good().link("link", target).check(),
            &["\"link\"", "leads out"],
        );
    }
    let sneaky = Zip::good()
        .file("a/b/x", 0o644, b"")
        .link("a/b/up", "../..")
        .link("sneaky", "a/b/up/../outside");
    assert_refused(sneaky.check(), &["\"sneaky\"", "leads out"]);
    assert_refused(
        Zip::good().link("one", "two").link("two", "one").check(),
        &["leads back to itself"],
    );
    assert_refused(
        Zip::good().link("d", ".").file("d/file", 0o644, b"x").check(),
        &["another entry"],
    );
}

#[test]
fn names_that_meet_are_refused() {
    assert_refused(
        Zip::good().file("./main.py", 0o644, b"x").check(),
        &["name of another entry"],
    );
    assert_refused(
        Zip::good().file("main.py/x", 0o644, b"x").check(),
        &["name of another entry"],
    );
    let (_folder, zip) = Zip::good().file("mane.py", 0o644, b"x").finish();
    patch(&zip, b"mane.py", b"main.py");
    assert_refused(check_python(&zip), &["two entries with the same name"]);
}

#[test]
fn damaged_and_lying_entries_are_refused() {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let zip_with_data = || {
        let mut zip = Zip::good();
        zip.writer.start_file("data", stored).unwrap();
        zip.writer.write_all(b"some precious data").unwrap();
        zip.finish()
    };
    let (_folder, zip) = zip_with_data();
    patch(&zip, b"precious", b"previous");
    assert_refused(check_python(&zip), &["\"data\"", "damaged"]);

    // A deflated entry whose directory record claims fewer bytes than there are.
    let (_folder, zip) = Zip::good().file("liar", 0o644, &[1; 54_321]).finish();
    patch(&zip, &54_321_u32.to_le_bytes(), &321_u32.to_le_bytes());
    assert_refused(check_python(&zip), &["\"liar\"", "damaged"]);
}

#[test]
fn bombs_are_refused_by_ratio_size_and_count() {
    let zeros = vec![0; 96 * 1024 * 1024];
    assert_refused(
        Zip::good().file("zeros", 0o644, &zeros).check(),
        &["decompression bomb"],
    );

    // The same, with a directory that denies it.
    let (_folder, zip) = Zip::good().file("zeros", 0o644, &zeros).finish();
    patch(
        &zip,
        &u32::try_from(zeros.len()).unwrap().to_le_bytes(),
        &1000_u32.to_le_bytes(),
    );
    assert_refused(check_python(&zip), &["\"zeros\"", "damaged"]);

    let mut many = Zip::good();
    for number in 0..MAX_ENTRIES {
        many.writer
            .start_file(number.to_string(), options(0o644))
            .unwrap();
    }
    assert_refused(many.check(), &["more than 100000 files and folders"]);

    // A few entries whose paths imply very many folders.
    let mut deep = Zip::good();
    for number in 0..80 {
        let path = format!("{number}/{}file", "d/".repeat(2000));
        deep.writer.start_file(path, options(0o644)).unwrap();
    }
    assert_refused(deep.check(), &["more than 100000 files and folders"]);

    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("code.zip");
    File::create(&huge)
        .unwrap()
        .set_len(250 * 1024 * 1024 + 1)
        .unwrap();
    assert_refused(check_python(&huge), &["251 MB", "limit is 250 MB"]);
}

#[test]
fn devices_encryption_and_strange_compression_are_refused() {
    let (_folder, zip) = Zip::good().file("odd", 0o644, b"x").finish();
    // The mode of the directory's record: 0100644 becomes a character device.
    patch(&zip, &0o100_644_u16.to_le_bytes(), &0o020_644_u16.to_le_bytes());
    assert_refused(check_python(&zip), &["device"]);

    let record = |zip: &Path, offset: usize, value: u16| {
        let mut bytes = fs::read(zip).unwrap();
        let at = bytes
            .windows(4)
            .position(|window| window == b"PK\x01\x02")
            .unwrap()
            + offset;
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        fs::write(zip, bytes).unwrap();
    };
    let (_folder, zip) = Zip::good().finish();
    record(&zip, 8, 1);
    assert_refused(check_python(&zip), &["\"main.py\"", "encrypted"]);
    let (_folder, zip) = Zip::good().finish();
    record(&zip, 10, 12);
    assert_refused(check_python(&zip), &["\"main.py\"", "unsupported method"]);
}

#[test]
fn the_entry_point_must_be_there_and_executable_by_the_runtime() {
    let (_folder, zip) = Zip::good()
        .file("pkg/app.py", 0o644, b"")
        .file("secret.py", 0o200, b"")
        .finish();
    let ask = |items: &[&str], runtime| {
        check(
            &zip,
            &items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>(),
            runtime,
        )
    };
    ask(&["pkg/app.py"], RuntimeKind::Python311).unwrap();
    ask(&["opentelemetry-instrument", "main.py"], RuntimeKind::Python313).unwrap();
    assert_refused(ask(&[], RuntimeKind::Python313), &["0 items"]);
    assert_refused(ask(&["a", "b", "main.py"], RuntimeKind::Python313), &["3 items"]);
    assert_refused(
        ask(&["app.py"], RuntimeKind::Python313),
        &["not in the code artifact", "pkg/app.py"],
    );
    assert_refused(
        ask(&["/main.py"], RuntimeKind::Python313),
        &["path inside the zip"],
    );
    assert_refused(
        ask(&["../main.py"], RuntimeKind::Python313),
        &["path inside the zip"],
    );
    assert_refused(
        ask(&["secret.py"], RuntimeKind::Python313),
        &["mode 200", "chmod 644"],
    );
    assert_refused(
        ask(&["main.py"], RuntimeKind::Node22),
        &[
            "Entrypoint file type does not match your selected runtime",
            "JavaScript",
        ],
    );
    let (_folder, zip) = Zip::new().file("main.py/x", 0o644, b"").finish();
    assert_refused(check_python(&zip), &["not a regular file"]);
}

#[test]
fn an_image_and_a_folder_hold_the_code_with_its_permissions() {
    let (folder, zip) = Zip::good()
        .file("bin/tool", 0o755, b"#!/bin/sh\n")
        .file("lib/big", 0o644, &vec![9; 50_000])
        .link("lib/link", "../main.py")
        .finish();
    let store = CodeStore::open(folder.path().join("store")).unwrap();
    let checked = check_python(&zip).unwrap();
    let stored = store.import(&zip, &checked).unwrap();
    assert_eq!(fs::read(&stored.zip).unwrap(), fs::read(&zip).unwrap());
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&stored));

    let image = store.image(&stored.digest).unwrap();
    let unpacked = folder.path().join("unpacked");
    let fsck = Command::new("fsck.erofs")
        .arg(format!("--extract={}", unpacked.display()))
        .arg(&image)
        .output()
        .unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stderr));
    let directory = store.directory(&stored.digest).unwrap();
    for root in [unpacked.join("var/task"), directory.clone()] {
        assert_eq!(fs::read(root.join("lib/link")).unwrap(), b"print('hello')\n");
        assert_eq!(fs::read(root.join("lib/big")).unwrap(), vec![9; 50_000]);
        assert_ne!(
            fs::metadata(root.join("bin/tool")).unwrap().permissions().mode() & 0o111,
            0
        );
        assert_eq!(
            fs::metadata(root.join("main.py")).unwrap().permissions().mode() & 0o111,
            0
        );
    }
    assert_eq!(
        fs::metadata(directory.join("lib")).unwrap().permissions().mode() & 0o222,
        0,
        "it is not read-only"
    );
    if rustix::process::geteuid().is_root() {
        assert_eq!(
            fs::metadata(unpacked.join("var/task/bin/tool")).unwrap().uid(),
            1000
        );
        assert_eq!(fs::metadata(unpacked.join("var")).unwrap().uid(), 0);
    }
}

#[test]
fn what_is_cached_is_made_once_and_again_when_it_is_gone() {
    let (folder, zip) = Zip::good().file("data", 0o644, &vec![5; 2_000_000]).finish();
    let store = CodeStore::open(folder.path().join("store")).unwrap();
    let digest = store.import(&zip, &check_python(&zip).unwrap()).unwrap().digest;
    let together = Barrier::new(4);
    let inodes: Vec<u64> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    fs::metadata(store.image(&digest).unwrap()).unwrap().ino()
                })
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(
        inodes.iter().all(|inode| *inode == inodes[0]),
        "the image was made more than once"
    );

    let image = store.image(&digest).unwrap();
    let before = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    assert!(
        before == fs::read(store.image(&digest).unwrap()).unwrap(),
        "another image was made of the same zip"
    );
}

#[test]
fn digests_from_outside_name_nothing_but_code() {
    let folder = tempfile::tempdir().unwrap();
    let store = CodeStore::open(folder.path()).unwrap();
    for bad in ["", "../../etc/passwd", &"0".repeat(64), &"Z".repeat(64)] {
        assert!(
            matches!(store.image(bad), Err(CodeStoreError::Unknown(_))),
            "{bad:?}"
        );
        assert!(
            matches!(store.directory(bad), Err(CodeStoreError::Unknown(_))),
            "{bad:?}"
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn a_spoilt_zip_is_accepted_or_refused_but_never_panics(
        changes in proptest::collection::vec((0..600_usize, proptest::num::u8::ANY), 1..6),
    ) {
        let (_folder, zip) = Zip::good().file("lib/data", 0o644, &[3; 500]).link("link", "lib/data").finish();
        let mut bytes = fs::read(&zip).unwrap();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        fs::write(&zip, bytes).unwrap();
        drop(check_python(&zip));
    }
}
