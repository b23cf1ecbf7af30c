//! A client that speaks to a worker as its connection would, on a thread that acts as the folder's owner.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;
use crate::folder::{Folder, FolderKey, FolderSettings};
use crate::xdr::Garbage;

const GETATTR: u32 = 1;
const SETATTR: u32 = 2;
const LOOKUP: u32 = 3;
const READLINK: u32 = 5;
const READ: u32 = 6;
const WRITE: u32 = 7;
const CREATE: u32 = 8;
const MKDIR: u32 = 9;
const SYMLINK: u32 = 10;
const MKNOD: u32 = 11;
const REMOVE: u32 = 12;
const RENAME: u32 = 14;
const LINK: u32 = 15;
const READDIR: u32 = 16;
const READDIRPLUS: u32 = 17;
const STRANGER: u32 = 4711;
/// Bytes of a file's attributes.
const ATTRIBUTES: usize = 84;

/// A folder among others.
struct Place {
    around: TempDir,
    key: FolderKey,
}

impl Place {
    /// The thread of the test acts as the folder's owner from now on.
    fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        let place = Self {
            key: FolderKey::new([7; 32]),
            around,
        };
        fs::create_dir(place.path()).unwrap();
        fs::write(place.around.path().join("secret"), "secret").unwrap();
        // Its owner's alone.
        let key = place.around.path().join("key");
        fs::write(&key, "key").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(place.path(), Some(STRANGER), Some(STRANGER)).unwrap();
            std::os::unix::fs::chown(place.around.path(), Some(STRANGER), Some(STRANGER)).unwrap();
        }
        place.folder(false).owner.become_thread().unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.around.path().join("folder")
    }

    /// The folder as a server that starts opens it.
    fn folder(&self, read_only: bool) -> Folder {
        let metadata = fs::metadata(self.path()).unwrap();
        let settings = FolderSettings {
            name: "folder".to_owned(),
            path: self.path(),
            read_only,
            user: Some(metadata.uid()),
            group: Some(metadata.gid()),
        };
        Folder::open(settings, &self.key).unwrap()
    }
}

/// What a call is answered: its status, and what follows it.
type Answer = (u32, Vec<u8>);
type Bytes = Vec<u8>;

struct Client<'a>(Worker<'a>);

impl<'a> Client<'a> {
    fn of(folder: &'a Folder) -> Self {
        Self(Worker::new(folder))
    }

    fn record(program: u32, procedure: u32, arguments: &[u8]) -> Bytes {
        let mut writer = Writer::default();
        for word in [1, 0, 2, program, VERSION, procedure, 0, 0, 0, 0] {
            writer.u32(word);
        }
        writer.0.extend_from_slice(arguments);
        writer.0
    }

    fn call(&mut self, procedure: u32, arguments: impl FnOnce(&mut Writer)) -> Answer {
        let mut writer = Writer::default();
        arguments(&mut writer);
        let answer = answer(&mut self.0, &Self::record(NFS_PROGRAM, procedure, &writer.0)).unwrap();
        let mut reader = Reader::new(&answer[4..]);
        let head: Vec<u32> = (0..6).map(|_| reader.u32().unwrap()).collect();
        assert_eq!(head, [1, 1, 0, 0, 0, 0], "not accepted");
        (reader.u32().unwrap(), answer[32..].to_vec())
    }

    fn top(&mut self) -> Bytes {
        let mut path = Writer::default();
        path.opaque(b"/");
        let answer = answer(&mut self.0, &Self::record(MOUNT_PROGRAM, 1, &path.0)).unwrap();
        Reader::new(&answer[32..]).opaque(MAX_HANDLE).unwrap().to_vec()
    }

    fn at(&mut self, procedure: u32, directory: &[u8], name: &str, more: impl FnOnce(&mut Writer)) -> Answer {
        self.call(procedure, |writer| {
            writer.opaque(directory);
            writer.opaque(name.as_bytes());
            more(writer);
        })
    }

    fn look_up(&mut self, directory: &[u8], name: &str) -> Result<Bytes, u32> {
        match self.at(LOOKUP, directory, name, |_| {}) {
            (0, found) => Ok(Reader::new(&found).opaque(MAX_HANDLE).unwrap().to_vec()),
            (status, _) => Err(status),
        }
    }

    fn create(&mut self, directory: &[u8], name: &str, mode: u32) -> Result<Bytes, u32> {
        self.make(CREATE, directory, name, |writer| {
            writer.u32(1); // guarded
            attributes(writer, Some(mode), None);
        })
    }

    fn make(
        &mut self,
        procedure: u32,
        directory: &[u8],
        name: &str,
        more: impl FnOnce(&mut Writer),
    ) -> Result<Bytes, u32> {
        match self.at(procedure, directory, name, more) {
            (0, made) => Ok(Reader::new(&made[4..]).opaque(MAX_HANDLE).unwrap().to_vec()),
            (status, _) => Err(status),
        }
    }

    fn write(&mut self, file: &[u8], text: &[u8]) -> u32 {
        let length = u32::try_from(text.len()).unwrap();
        let (status, _) = self.call(WRITE, |writer| {
            writer.opaque(file);
            writer.u64(0);
            writer.u32(length);
            writer.u32(2);
            writer.opaque(text);
        });
        status
    }

    fn read(&mut self, file: &[u8]) -> Result<Bytes, u32> {
        let (status, read) = self.call(READ, |writer| {
            writer.opaque(file);
            writer.u64(0);
            writer.u32(1000);
        });
        if status != 0 {
            return Err(status);
        }
        let mut reader = Reader::new(&read[4 + ATTRIBUTES..]);
        (
            reader.u32().unwrap(),
            assert!(reader.bool().unwrap(), "not the end"),
        );
        Ok(reader.opaque(1000).unwrap().to_vec())
    }

    /// All names in a directory, a few with each call.
    fn names(&mut self, directory: &[u8], procedure: u32) -> Vec<String> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let (status, list) = self.call(procedure, |writer| {
                writer.opaque(directory);
                writer.u64(cookie);
                writer.u64(0);
                if procedure == READDIRPLUS {
                    writer.u32(512);
                }
                writer.u32(700);
            });
            assert_eq!(status, 0);
            let mut reader = Reader::new(&list[4 + ATTRIBUTES + 8..]);
            while reader.bool().unwrap() {
                reader.u64().unwrap();
                names.push(String::from_utf8(reader.opaque(MAX_NAME_READ).unwrap().to_vec()).unwrap());
                cookie = reader.u64().unwrap();
                if procedure == READDIRPLUS {
                    reader.option(Reader::array::<ATTRIBUTES>).unwrap();
                    reader
                        .option(|reader| Ok::<_, Garbage>(reader.opaque(MAX_HANDLE)?.len()))
                        .unwrap();
                }
            }
            if reader.bool().unwrap() {
                names.sort();
                return names;
            }
        }
    }
}

/// Attributes that are wanted: a mode and an owner.
fn attributes(writer: &mut Writer, mode: Option<u32>, user: Option<u32>) {
    for wanted in [mode, user] {
        writer.bool(wanted.is_some());
        wanted.into_iter().for_each(|wanted| writer.u32(wanted));
    }
    (0..4).for_each(|_| writer.bool(false));
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_made_read_listed_moved_and_removed_as_the_owner() {
    let place = Place::new();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    let top = client.top();
    let directory = client
        .make(MKDIR, &top, "directory", |writer| {
            attributes(writer, Some(0o700), None);
        })
        .unwrap();
    let file = client.create(&directory, "file", 0o444).unwrap();
    // Whoever made a file may fill it, whatever is allowed later.
    assert_eq!(client.write(&file, b"content"), 0);
    assert_eq!(client.read(&file).unwrap(), b"content");
    assert_eq!(
        client.create(&directory, "file", 0o600),
        Err(Status::Exists as u32)
    );
    let host = place.path().join("directory/file");
    let metadata = fs::metadata(&host).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.gid()),
        (folder.owner.user, folder.owner.group)
    );
    assert_eq!(
        (mode_of(&host), fs::read(&host).unwrap()),
        (0o444, b"content".to_vec())
    );

    let (status, _) = client.at(RENAME, &directory, "file", |writer| {
        writer.opaque(&top);
        writer.opaque(b"moved");
    });
    assert_eq!((status, host.exists()), (0, false));
    // Still the same file.
    assert_eq!(client.read(&file).unwrap(), b"content");
    assert_eq!(client.look_up(&top, "moved").map(|_| ()), Ok(()));
    let (status, _) = client.call(LINK, |writer| {
        writer.opaque(&file);
        writer.opaque(&directory);
        writer.opaque(b"linked");
    });
    assert_eq!(
        (status, fs::metadata(place.path().join("moved")).unwrap().nlink()),
        (0, 2)
    );
    for number in 0..50 {
        client.create(&directory, &format!("{number:02}"), 0o600).unwrap();
    }
    for procedure in [READDIR, READDIRPLUS] {
        let names = client.names(&directory, procedure);
        assert_eq!((names.len(), &*names[0], &*names[2]), (53, ".", "00"));
    }
    for name in ["moved", "gone"] {
        let (status, _) = client.at(REMOVE, &top, name, |_| {});
        assert_eq!(
            status,
            if name == "moved" {
                0
            } else {
                Status::NoEntry as u32
            }
        );
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let place = Place::new();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    let top = client.top();
    symlink(place.around.path(), place.path().join("absolute")).unwrap();
    symlink("..", place.path().join("relative")).unwrap();
    symlink("../secret", place.path().join("file")).unwrap();
    for link in ["absolute", "relative", "file"] {
        let link = client.look_up(&top, link).unwrap();
        // It can be read, for the client to follow among its own files.
        let (status, _) = client.call(READLINK, |writer| writer.opaque(&link));
        assert_eq!(status, 0);
        assert_eq!(client.look_up(&link, "secret"), Err(Status::NotADirectory as u32));
        assert_eq!(client.read(&link), Err(Status::Invalid as u32));
        assert_eq!(client.write(&link, b"overwritten"), Status::Invalid as u32);
    }
    // Nor do its permission bits reach what it leads to.
    let before = mode_of(&place.around.path().join("secret"));
    let link = client.look_up(&top, "file").unwrap();
    client.call(SETATTR, |writer| {
        writer.opaque(&link);
        attributes(writer, Some(0o777), None);
        writer.bool(false);
    });
    assert_eq!(mode_of(&place.around.path().join("secret")), before);
    let existing = client.at(CREATE, &top, "file", |writer| {
        writer.u32(0); // unchecked
        attributes(writer, None, None);
    });
    assert_eq!(existing.0, Status::Exists as u32);
    assert_eq!(client.look_up(&top, ".."), Ok(top.clone()));
    for name in ["", "../secret", "a/b", "/etc/passwd", "file\0", &"n".repeat(300)] {
        let refused = client.look_up(&top, name).unwrap_err();
        assert!(
            [Status::Invalid as u32, Status::NameTooLong as u32].contains(&refused),
            "{name:?}: {refused}"
        );
        assert_ne!(client.create(&top, name, 0o600).map(|_| ()), Ok(()), "{name:?}");
    }
    for name in [".", ".."] {
        assert_eq!(client.create(&top, name, 0o600), Err(Status::Invalid as u32));
    }
    assert_eq!(fs::read(place.around.path().join("secret")).unwrap(), b"secret");
}

#[test]
fn whoever_moves_things_meanwhile_shows_nothing_of_the_outside() {
    let place = Place::new();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    let top = client.top();
    let directory = place.path().join("directory");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("secret"), "harmless").unwrap();
    let handle = client.look_up(&top, "directory").unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let aside = place.path().join("aside");
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&directory, &aside).unwrap();
                symlink(place.around.path(), &directory).unwrap();
                fs::remove_file(&directory).unwrap();
                fs::rename(&aside, &directory).unwrap();
            }
        });
        for _ in 0..500 {
            let again = client.look_up(&top, "directory");
            for directory in again.iter().chain([&handle]) {
                if let Ok(file) = client.look_up(directory, "secret")
                    && let Ok(content) = client.read(&file)
                {
                    assert_eq!(content, b"harmless");
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn handles_outlive_the_server_and_renames_but_not_moves() {
    let place = Place::new();
    let deep = place.path().join("one/two");
    fs::create_dir_all(&deep).unwrap();
    for name in ["kept", "moved", "removed"] {
        fs::write(deep.join(name), name).unwrap();
    }
    let (kept, moved, removed) = {
        let folder = place.folder(false);
        let mut client = Client::of(&folder);
        let mut at = client.top();
        for name in ["one", "two"] {
            at = client.look_up(&at, name).unwrap();
        }
        let mut handle = |name| client.look_up(&at, name).unwrap();
        (handle("kept"), handle("moved"), handle("removed"))
    };
    fs::rename(place.path().join("one"), place.path().join("other")).unwrap();
    let deep = place.path().join("other/two");
    fs::rename(deep.join("kept"), deep.join("renamed")).unwrap();
    fs::rename(deep.join("moved"), place.path().join("moved")).unwrap();
    fs::remove_file(deep.join("removed")).unwrap();
    fs::write(deep.join("removed"), "another").unwrap();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    assert_eq!(client.read(&kept).unwrap(), b"kept");
    for gone in [&moved, &removed] {
        assert_eq!(client.read(gone), Err(Status::Stale as u32));
    }
    let mut invented = kept.clone();
    invented[20] ^= 1;
    assert_eq!(client.read(&invented), Err(Status::BadHandle as u32));
}

#[test]
fn what_is_read_only_stays_as_it_is() {
    let place = Place::new();
    fs::write(place.path().join("file"), "content").unwrap();
    let folder = place.folder(true);
    let mut client = Client::of(&folder);
    let top = client.top();
    let file = client.look_up(&top, "file").unwrap();
    assert_eq!(client.read(&file).unwrap(), b"content");
    let read_only = Status::ReadOnly as u32;
    assert_eq!(client.write(&file, b"changed"), read_only);
    for procedure in [SETATTR, CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, 13, RENAME, LINK] {
        assert_eq!(
            client.at(procedure, &top, "file", |_| {}).0,
            read_only,
            "{procedure}"
        );
    }
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"content");
}

#[test]
fn no_rights_of_others_can_be_had() {
    let place = Place::new();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    let top = client.top();
    let program = client.create(&top, "program", 0o6755).unwrap();
    let set = |client: &mut Client<'_>, mode, user| {
        let (status, _) = client.call(SETATTR, |writer| {
            writer.opaque(&program);
            attributes(writer, mode, user);
            writer.bool(false);
        });
        status
    };
    assert_eq!(mode_of(&place.path().join("program")), 0o755);
    assert_eq!(set(&mut client, Some(0o7711), Some(folder.owner.user)), 0);
    assert_eq!(mode_of(&place.path().join("program")) & 0o6777, 0o711);
    assert_eq!(set(&mut client, None, Some(0)), Status::Permission as u32);
    assert_eq!(
        client.at(MKNOD, &top, "node", |_| {}).0,
        Status::NotSupported as u32
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    // It would wait for its other end.
    let pipe = client.look_up(&top, "pipe").unwrap();
    assert_eq!(client.read(&pipe), Err(Status::Invalid as u32));
    if folder.owner.user == STRANGER {
        // The file that the server's own user has beside the folder, inside it.
        fs::rename(place.around.path().join("key"), place.path().join("key")).unwrap();
        let key = client.look_up(&top, "key").unwrap();
        assert_eq!(client.read(&key), Err(Status::Access as u32));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_is_asked_is_answered_and_stays_inside(
        procedure in 0_u32..23,
        name in "[a-c./]{0,4}",
        more in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
        words in proptest::collection::vec(0_u32..4, 0..12),
    ) {
        thread_local!(static PLACE: Place = Place::new());
        PLACE.with(|place| {
            let folder = place.folder(false);
            let mut client = Client::of(&folder);
            let mut arguments = Writer::default();
            arguments.opaque(&client.top());
            arguments.opaque(name.as_bytes());
            words.iter().for_each(|word| arguments.u32(*word));
            arguments.0.extend_from_slice(&more);
            assert!(answer(&mut client.0, &Client::record(NFS_PROGRAM, procedure, &arguments.0)).is_some());
            let record = Client::record(NFS_PROGRAM, procedure, &more);
            answer(&mut client.0, &record);
            answer(&mut client.0, &more);
            let mut around: Vec<_> = fs::read_dir(place.around.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            around.sort();
            assert_eq!(around, ["folder", "key", "secret"]);
        });
    }
}

#[test]
fn attributes_of_a_handle_that_was_made_elsewhere_are_not_told() {
    let place = Place::new();
    let folder = place.folder(false);
    let mut client = Client::of(&folder);
    for handle in [&b""[..], &[0; 32], &[0xff; MAX_HANDLE]] {
        assert_eq!(
            client.call(GETATTR, |writer| writer.opaque(handle)).0,
            Status::BadHandle as u32
        );
    }
}
