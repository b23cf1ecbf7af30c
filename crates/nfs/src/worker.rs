//! A connection: records come and go on the stream, and a thread of its own answers them one after another, as the
//! folder's owner.
//!
//! The thread ends after the request it is at when the connection has gone. It keeps the last few files open that it read
//! or wrote, so that a file which its client opened stays usable while its permission bits change.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::folder::Folder;
use crate::handle::FileId;
use crate::procedures;
use crate::rpc;
use crate::tree::Found;

/// Bytes of a worker's stack.
const STACK: usize = 256 * 1024;
/// Most files a worker keeps open.
const MOST_OPEN: usize = 4;

/// Serves a connection until it ends.
pub(crate) async fn serve(
    folder: Arc<Folder>,
    permit: OwnedSemaphorePermit,
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (to_worker, requests) = mpsc::channel::<Vec<u8>>(1);
    let (to_client, mut answers) = mpsc::channel::<Vec<u8>>(1);
    std::thread::Builder::new()
        .name("folder".to_owned())
        .stack_size(STACK)
        .spawn(move || work(&folder, requests, &to_client, permit))?;
    while let Some(record) = rpc::read_record(&mut connection).await? {
        if to_worker.send(record).await.is_err() {
            break;
        }
        let Some(answer) = answers.recv().await else {
            break;
        };
        connection.write_all(&answer).await?;
        connection.flush().await?;
    }
    Ok(())
}

/// The thread. It ends when either channel does, or what came is no call.
fn work(
    folder: &Folder,
    mut requests: mpsc::Receiver<Vec<u8>>,
    to_client: &mpsc::Sender<Vec<u8>>,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = folder.owner.become_thread() {
        tracing::error!(%error, folder = folder.name(), "the owner of a folder cannot be acted for; its files are not served");
        return;
    }
    let mut worker = Worker::new(folder);
    while let Some(request) = requests.blocking_recv() {
        let Some(answer) = procedures::answer(&mut worker, &request) else {
            return;
        };
        if to_client.blocking_send(answer).is_err() {
            return;
        }
    }
}

/// Answers the requests of one connection.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) folder: &'a Folder,
    /// The last used at the end.
    open: VecDeque<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    id: FileId,
    is_writable: bool,
    file: Arc<File>,
}

impl<'a> Worker<'a> {
    /// One that has served nothing yet.
    pub(crate) fn new(folder: &'a Folder) -> Self {
        Self {
            folder,
            open: VecDeque::new(),
        }
    }

    /// A regular file's content.
    pub(crate) fn content(&mut self, found: &Found, is_writable: bool) -> Result<Arc<File>, Errno> {
        let wanted = |open: &OpenFile| open.id == found.id() && (open.is_writable || !is_writable);
        if let Some(at) = self.open.iter().position(wanted)
            && let Some(open) = self.open.remove(at)
        {
            let file = Arc::clone(&open.file);
            self.open.push_back(open);
            return Ok(file);
        }
        let flags = if is_writable { OFlags::RDWR } else { OFlags::RDONLY };
        let opened = match found.open(flags) {
            // A file that may be written but not read.
            Err(Errno::ACCESS) if is_writable => found.open(OFlags::WRONLY)?,
            opened => opened?,
        };
        Ok(self.keep_open(found.id(), is_writable, opened.into()))
    }

    /// Keeps a file open that was just opened.
    pub(crate) fn keep_open(&mut self, id: FileId, is_writable: bool, file: File) -> Arc<File> {
        if self.open.len() >= MOST_OPEN {
            self.open.pop_front();
        }
        let file = Arc::new(file);
        self.open.push_back(OpenFile {
            id,
            is_writable,
            file: Arc::clone(&file),
        });
        file
    }

    /// Closes a file that is gone.
    pub(crate) fn forget(&mut self, id: FileId) {
        self.open.retain(|open| open.id != id);
    }
}
