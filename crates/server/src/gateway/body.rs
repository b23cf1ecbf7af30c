//! Bodies: what the gateway answers with, and how it takes a request body that may be 100 MB long.
//!
//! No byte of a request reaches an agent before its signature has been checked, and the signature covers the
//! whole body. So a body is *spooled*: shown to whoever checks it as it arrives, kept in memory while it is
//! small and in an unlinked file once it is not. What is spooled can be sent again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

/// Any error a body can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of every answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// Bodies up to this size stay in memory.
const IN_MEMORY: usize = 256 * 1024;
/// How much of a spooled file is read at a time.
const READ_SIZE: usize = 32 * 1024;
/// How long a client may send nothing in the middle of a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take for a whole body.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How much of a refused body is read before the answer.
const DISCARDED: u64 = 160_000_000;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request on its way in, and whether all of it has come: no request can follow one that has not.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    whole: Arc<AtomicBool>,
}

impl RequestBody {
    /// The body that comes in, and what turns true once it has.
    pub fn new(incoming: Incoming) -> (Self, Arc<AtomicBool>) {
        let whole = Arc::new(AtomicBool::new(incoming.is_end_stream()));
        let body = Self {
            incoming,
            whole: Arc::clone(&whole),
        };
        (body, whole)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        if frame.is_none() || this.incoming.is_end_stream() {
            this.whole.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A body that is there.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Why a request body could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It is longer than allowed.
    #[error("the request body is over the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The client sent too slowly.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The client went away or broke the protocol.
    #[error("the request body broke off")]
    Client(#[source] BoxError),
    /// This machine could not keep it.
    #[error("the request body could not be kept")]
    Disk(#[source] io::Error),
}

/// A whole request body.
#[derive(Debug)]
pub struct Spooled {
    content: Content,
    length: u64,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    File(Arc<File>),
}

impl Spooled {
    /// The body, if it is small enough to be in memory.
    pub fn in_memory(&self) -> Option<Bytes> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes.clone()),
            Content::File(_) => None,
        }
    }

    /// The body as one piece.
    ///
    /// # Errors
    /// When the spool file cannot be read.
    pub async fn into_bytes(self) -> io::Result<Bytes> {
        match self.content {
            Content::Memory(bytes) => Ok(bytes),
            Content::File(_) => self
                .body()
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .map_err(io::Error::other),
        }
    }

    /// The body as a stream that is read as it is sent, from its beginning.
    pub fn body(&self) -> SpooledBody {
        let reader = match &self.content {
            Content::Memory(bytes) => Reader::Memory(bytes.clone()),
            Content::File(file) => Reader::File(file.clone(), None),
        };
        SpooledBody {
            reader,
            sent: 0,
            length: self.length,
        }
    }
}

/// Takes a whole body, showing each piece to `check` first.
///
/// # Errors
/// When it is too large, too slow, broken off, or cannot be kept in `folder`.
pub async fn spool<B>(
    body: &mut B,
    limit: u64,
    folder: &Path,
    check: impl FnMut(&[u8]),
) -> Result<Spooled, SpoolError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limit {
        return Err(SpoolError::TooLarge { limit });
    }
    let spooled = tokio::time::timeout(TOTAL_TIMEOUT, spool_within(body, limit, folder, check));
    spooled.await.map_err(|_| SpoolError::TooSlow)?
}

async fn spool_within<B>(
    body: &mut B,
    limit: u64,
    folder: &Path,
    mut check: impl FnMut(&[u8]),
) -> Result<Spooled, SpoolError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut length = 0;
    let mut memory = BytesMut::new();
    let mut file = None;
    while let Some(frame) = tokio::time::timeout(IDLE_TIMEOUT, body.frame())
        .await
        .map_err(|_| SpoolError::TooSlow)?
    {
        let Ok(data) = frame
            .map_err(|error| SpoolError::Client(error.into()))?
            .into_data()
        else {
            continue;
        };
        length += data.len() as u64;
        if length > limit {
            return Err(SpoolError::TooLarge { limit });
        }
        check(&data);
        if file.is_none() && memory.len() + data.len() > IN_MEMORY {
            let folder = folder.to_owned();
            let opened = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
            let opened = opened
                .map_err(io::Error::other)
                .and_then(|file| file)
                .map_err(SpoolError::Disk)?;
            let mut opened = tokio::fs::File::from_std(opened);
            opened
                .write_all(&std::mem::take(&mut memory))
                .await
                .map_err(SpoolError::Disk)?;
            file = Some(opened);
        }
        match &mut file {
            Some(file) => file.write_all(&data).await.map_err(SpoolError::Disk)?,
            None => memory.extend_from_slice(&data),
        }
    }
    let content = match file {
        Some(mut file) => {
            file.flush().await.map_err(SpoolError::Disk)?;
            Content::File(Arc::new(file.into_std().await))
        }
        None => Content::Memory(memory.freeze()),
    };
    Ok(Spooled { content, length })
}

/// Reads what is left of a body that was refused, within bounds, so that a client which sends before it reads
/// gets to see the answer.
pub async fn discard<B: Body<Data = Bytes> + Unpin>(body: &mut B) {
    let drained = async {
        let mut left = DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever is not done by then sees a broken connection.
    tokio::time::timeout(DISCARD_TIMEOUT, drained).await.ok();
}

/// A spooled body on its way onward. Its length is known, so it is sent with `Content-Length`.
#[derive(Debug)]
pub struct SpooledBody {
    reader: Reader,
    sent: u64,
    length: u64,
}

#[derive(Debug)]
enum Reader {
    Memory(Bytes),
    /// The file, and the piece that is being read.
    File(Arc<File>, Option<JoinHandle<io::Result<Bytes>>>),
}

impl Reader {
    /// The next piece, which begins at `offset`; an empty one at the end.
    fn poll(&mut self, cx: &mut Context<'_>, offset: u64) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Memory(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            Self::File(file, reading) => {
                let read = reading.get_or_insert_with(|| {
                    let file = file.clone();
                    tokio::task::spawn_blocking(move || {
                        let mut piece = BytesMut::zeroed(READ_SIZE);
                        let read = file.read_at(&mut piece, offset)?;
                        piece.truncate(read);
                        Ok(piece.freeze())
                    })
                });
                let piece = ready!(Pin::new(read).poll(cx));
                *reading = None;
                Poll::Ready(piece.map_err(io::Error::other)?)
            }
        }
    }
}

impl Body for SpooledBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = ready!(this.reader.poll(cx, this.sent))?;
        if piece.is_empty() {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        this.sent += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length.saturating_sub(self.sent))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    fn chunks(size: usize, count: usize) -> impl Body<Data = Bytes, Error = io::Error> + Unpin {
        let chunk = Bytes::from(vec![7; size]);
        StreamBody::new(futures::stream::iter(
            (0..count).map(move |_| Ok(Frame::data(chunk.clone()))),
        ))
    }

    #[tokio::test]
    async fn small_and_large_bodies_come_back_whole_and_were_shown_to_the_check() {
        let folder = tempfile::tempdir().unwrap();
        for (size, count) in [
            (0, 0),
            (1, 1),
            (1000, 3),
            (IN_MEMORY, 1),
            (IN_MEMORY, 5),
            (4096, 300),
        ] {
            let mut checked = 0;
            let check = |piece: &[u8]| checked += piece.len();
            let spooled = spool(&mut chunks(size, count), u64::MAX, folder.path(), check)
                .await
                .unwrap();
            let expected = vec![7; size * count];
            assert_eq!(checked, expected.len());
            for _ in 0..2 {
                assert_eq!(spooled.body().collect().await.unwrap().to_bytes(), expected);
            }
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "spool files have no name"
        );
    }

    #[tokio::test]
    async fn an_endless_body_is_cut_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let error = spool(&mut chunks(4096, usize::MAX), 1_000_000, folder.path(), |_| ())
            .await
            .unwrap_err();
        assert!(
            matches!(error, SpoolError::TooLarge { limit: 1_000_000 }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let error = spool(
            &mut Full::new(Bytes::from_static(b"too long")),
            3,
            folder.path(),
            |_| (),
        )
        .await
        .unwrap_err();
        assert!(matches!(error, SpoolError::TooLarge { .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_sending_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut silent = StreamBody::new(futures::stream::pending::<io::Result<Frame<Bytes>>>());
        let error = spool(&mut silent, 10, folder.path(), |_| ()).await.unwrap_err();
        assert!(matches!(error, SpoolError::TooSlow), "{error}");
    }
}
