//! Whatever a guest asks of a folder, with a handle that is good, it is answered, and nothing beside the folder changes.

#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;

use coracle_nfs::{Folder, FolderKey, FolderSettings};
use libfuzzer_sys::fuzz_target;

const MOUNT_PROGRAM: u32 = 100_005;
const NFS_PROGRAM: u32 = 100_003;

struct Place {
    around: PathBuf,
    folder: Folder,
    top: Vec<u8>,
}

fn record(program: u32, procedure: u32, arguments: &[u8]) -> Vec<u8> {
    let words = [1, 0, 2, program, 3, procedure, 0, 0, 0, 0];
    let mut record: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    record.extend_from_slice(arguments);
    record
}

fn place() -> Place {
    let around = std::env::current_dir()
        .expect("a folder")
        .join("target/fuzz/folder/place");
    fs::remove_dir_all(&around).ok();
    fs::create_dir_all(around.join("folder")).expect("a folder");
    // Folders of root are not offered; others are their own user's.
    std::os::unix::fs::chown(around.join("folder"), Some(65534), Some(65534)).ok();
    std::os::unix::fs::symlink("..", around.join("folder/out")).expect("a link");
    let settings = FolderSettings {
        name: "folder".to_owned(),
        path: around.join("folder"),
        read_only: false,
        user: None,
        group: None,
    };
    fs::write(around.join("secret"), "secret").expect("a file");
    let folder = Folder::open(settings, &FolderKey::new([7; 32])).expect("a folder");
    let mounted = folder.answer_as_caller(&record(MOUNT_PROGRAM, 1, b"\0\0\0\x01/\0\0\0"));
    let mounted = mounted.expect("an answer");
    // Length and handle.
    let top = mounted[32..32 + 4 + 32].to_vec();
    Place { around, folder, top }
}

thread_local!(static PLACE: OnceCell<Place> = const { OnceCell::new() });

fuzz_target!(|input: &[u8]| {
    PLACE.with(|once| {
        let Place { around, folder, top } = once.get_or_init(place);
        let Some((procedure, rest)) = input.split_first() else {
            return;
        };
        folder.answer_as_caller(input);
        let mut arguments = top.clone();
        arguments.extend_from_slice(rest);
        folder.answer_as_caller(&record(NFS_PROGRAM, u32::from(procedure % 23), &arguments));
        let beside = fs::read_dir(around).expect("a folder").count();
        assert_eq!(beside, 2, "something is beside the folder");
    });
});
