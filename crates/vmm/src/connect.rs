//! Connecting to the sockets in a machine's folder, however long the folder's path is.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

/// How often a socket that does not exist yet is looked for.
const LOOK: Duration = Duration::from_millis(2);

/// An open folder.
#[derive(Debug)]
pub(crate) struct SocketFolder(OwnedFd);

impl SocketFolder {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(folder, flags, Mode::empty())?))
    }

    /// Listens on a socket that is not there yet.
    pub(crate) fn listen(&self, name: &str) -> io::Result<UnixListener> {
        UnixListener::bind(self.path_of(name))
    }

    /// Connects to a socket, waiting until it is there. Bound the time around it.
    pub(crate) async fn connect(&self, name: &str) -> io::Result<UnixStream> {
        let path = self.path_of(name);
        loop {
            match UnixStream::connect(&path).await {
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

    /// A path through the open folder is short enough for a socket's address.
    fn path_of(&self, name: &str) -> String {
        format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_in_a_deep_folder_is_reached_once_it_exists() {
        let parent = tempfile::tempdir().unwrap();
        let deep = parent.path().join("d".repeat(150));
        std::fs::create_dir(&deep).unwrap();
        let folder = SocketFolder::open(&deep).unwrap();
        let connecting = tokio::spawn(async move { folder.connect("s").await });
        let made = SocketFolder::open(&deep).unwrap();
        let listener = made.listen("s").unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), connecting);
        accepted.unwrap();
        connected.unwrap().unwrap();
    }
}
