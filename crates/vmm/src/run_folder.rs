//! The folder that a machine's process works in: the only one that it may write.
//!
//! Whoever has broken out into QEMU can put anything there. So nothing in it is followed anywhere else: sockets and files are
//! opened as what they are, and only then used. Paths through the open folder are short enough for a socket's address,
//! however long the folder's own is.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

/// Its name in the machine's folder.
pub(crate) const RUN_FOLDER: &str = "run";
/// The mode of the folder when its group is a user of the machine's own: that may make files in it, and neither rename nor
/// remove those of others.
pub(crate) const CLAIMED: u32 = 0o1770;
/// Its mode once the machine is up and QEMU has made what it needs: nothing can be added any more, so that what the
/// machine's user can write is as many files as there are, each up to a limit.
const SEALED: u32 = 0o1750;
/// Set in both of these modes alone.
const STICKY: u32 = 0o1000;
/// How often a socket that does not exist yet is looked for.
const LOOK: Duration = Duration::from_millis(2);

/// An open folder.
#[derive(Debug)]
pub(crate) struct RunFolder(OwnedFd);

impl RunFolder {
    /// That of the machine with this folder.
    pub(crate) fn open(machine: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(machine.join(RUN_FOLDER), flags, Mode::empty())?;
        Ok(Self(folder))
    }

    /// Listens on a socket that is not there yet.
    pub(crate) fn listen(&self, name: &str) -> io::Result<UnixListener> {
        let path = format!("{}/{name}", through(&self.0));
        let listener = UnixListener::bind(&path)?;
        if is_claimed(rustix::fs::fstat(&self.0)?.st_mode) {
            // The machine's user is another one, which cannot replace what this one has made.
            std::fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        }
        Ok(listener)
    }

    /// Takes the right to add files from the machine's user, if it has one of its own.
    pub(crate) fn seal(&self) -> io::Result<()> {
        if is_claimed(rustix::fs::fstat(&self.0)?.st_mode) {
            std::fs::set_permissions(through(&self.0), Permissions::from_mode(SEALED))?;
        }
        Ok(())
    }

    /// Makes an empty file that the machine may write, and that is not there yet.
    pub(crate) fn offer(&self, name: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        let folder = rustix::fs::fstat(&self.0)?;
        if is_claimed(folder.st_mode) {
            std::os::unix::fs::fchown(&file, Some(folder.st_gid), Some(folder.st_gid))?;
        }
        Ok(())
    }

    /// Connects to a socket, waiting until it is there. Bound the time around it.
    pub(crate) async fn connect(&self, name: &str) -> io::Result<UnixStream> {
        loop {
            match self.try_connect(name).await {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                    ) =>
                {
                    tokio::time::sleep(LOOK).await;
                }
                result => return result,
            }
        }
    }

    async fn try_connect(&self, name: &str) -> io::Result<UnixStream> {
        let socket = self.find(name, OFlags::PATH, FileType::Socket)?;
        UnixStream::connect(through(&socket)).await
    }

    /// The content of a file of at most so many bytes. Blocks.
    pub(crate) fn read(&self, name: &str, longest: u64) -> io::Result<Vec<u8>> {
        let file = self.find(name, OFlags::RDONLY | OFlags::NONBLOCK, FileType::RegularFile)?;
        let mut content = Vec::new();
        if File::from(file).take(longest + 1).read_to_end(&mut content)? as u64 > longest {
            let text = format!("{name} is longer than {longest} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(content)
    }

    /// Opens what is there by this name itself, if it is of this type.
    fn find(&self, name: &str, access: OFlags, wanted: FileType) -> io::Result<OwnedFd> {
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == wanted {
            Ok(found)
        } else {
            let text = format!("what the machine has put in place of {name} is not a {wanted:?}");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// Whether a folder with this mode belongs to a user of the machine's own.
pub(crate) fn is_claimed(mode: u32) -> bool {
    mode & STICKY != 0
}

fn through(open: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", open.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_in(parent: &Path) -> (std::path::PathBuf, RunFolder) {
        let run = parent.join(RUN_FOLDER);
        std::fs::create_dir_all(&run).unwrap();
        (run, RunFolder::open(parent).unwrap())
    }

    #[tokio::test]
    async fn a_socket_in_a_deep_folder_is_reached_once_it_exists() {
        let parent = tempfile::tempdir().unwrap();
        let deep = parent.path().join("d".repeat(150));
        let (_, folder) = folder_in(&deep);
        let connecting = tokio::spawn(async move { folder.connect("s").await });
        let made = RunFolder::open(&deep).unwrap();
        let listener = made.listen("s").unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), connecting);
        accepted.unwrap();
        connected.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_leads_elsewhere_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let (run, folder) = folder_in(parent.path());
        let secret = parent.path().join("secret");
        std::fs::write(&secret, "of another machine").unwrap();
        std::os::unix::fs::symlink(&secret, run.join("state")).unwrap();
        assert!(folder.read("state", 100).is_err());
        let elsewhere = parent.path().join("channel");
        let _others = UnixListener::bind(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, run.join("channel")).unwrap();
        assert!(folder.connect("channel").await.is_err());
        rustix::fs::mknodat(rustix::fs::CWD, run.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(folder.read("pipe", 100).is_err());
    }

    #[test]
    fn a_file_is_offered_once_and_a_folder_of_no_user_stays_open() {
        let parent = tempfile::tempdir().unwrap();
        let (run, folder) = folder_in(parent.path());
        folder.offer("state").unwrap();
        assert_eq!(folder.read("state", 5).unwrap(), b"");
        assert!(folder.offer("state").is_err());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let before = mode(&run);
        folder.seal().unwrap();
        assert_eq!(mode(&run), before);
        std::fs::set_permissions(&run, Permissions::from_mode(CLAIMED)).unwrap();
        folder.seal().unwrap();
        assert_eq!(mode(&run), SEALED);
        assert!(is_claimed(mode(&run)) && !is_claimed(before));
    }

    #[test]
    fn a_file_is_read_up_to_a_length() {
        let parent = tempfile::tempdir().unwrap();
        let (run, folder) = folder_in(parent.path());
        std::fs::write(run.join("state"), "12345").unwrap();
        assert_eq!(folder.read("state", 5).unwrap(), b"12345");
        assert!(folder.read("state", 4).is_err());
    }
}
