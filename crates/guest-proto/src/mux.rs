//! Many streams over one channel, by yamux, each with its own flow control.
//!
//! A task owns the yamux connection and drives it; handles talk to it over bounded queues. When the channel
//! breaks the task ends, every stream fails, and [`Channel::closed`] resolves.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use crate::handshake::{self, HandshakeError, Nonce};
use crate::message::StreamHeader;
use crate::{frame, frame::FrameError};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most streams at once.
const MAX_STREAMS: usize = 256;
/// Most bytes a side buffers for all streams of a channel; yamux grants each stream 256 KiB to begin with.
const MAX_BUFFERED: usize = MAX_STREAMS * 256 * 1024;
/// What is put together into one write, in bytes: a frame of the usual size with its header.
const WRITE_BUFFER: usize = 32 * 1024;
/// Streams waiting to be opened or accepted.
const QUEUE: usize = 64;

/// Why the channel or one of its streams failed.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The connection did not begin.
    #[error("the guest's channel did not come up")]
    Handshake(#[from] HandshakeError),
    /// The connection did not begin in time.
    #[error("no handshake within {HANDSHAKE_TIMEOUT:?}")]
    HandshakeTimeout,
    /// The channel is closed.
    #[error("the channel is closed")]
    Closed,
    /// The stream could not be opened.
    #[error("the stream could not be opened")]
    Open(#[source] yamux::ConnectionError),
    /// The stream's first frames failed.
    #[error("the stream failed at its beginning")]
    Frame(#[from] FrameError),
}

/// A byte stream between host and guest.
#[derive(Debug)]
pub struct ChannelStream(Compat<yamux::Stream>);

impl ChannelStream {
    /// Whether neither direction is open any more. When this side has not ended its own, the peer has reset
    /// the stream or the channel is gone; a read alone cannot tell that from the end of the peer's direction.
    pub fn is_closed(&self) -> bool {
        self.0.get_ref().is_closed()
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What carries a channel.
pub trait Channel: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Channel for T {}

/// The host's end. Cheap to clone; the connection ends with the last clone, and its streams with it.
#[derive(Debug, Clone)]
pub struct HostEnd {
    open: mpsc::Sender<oneshot::Sender<Result<yamux::Stream, yamux::ConnectionError>>>,
    closed: watch::Receiver<bool>,
    version: u16,
}

impl HostEnd {
    /// Shakes hands over `channel` and starts driving it.
    ///
    /// # Errors
    /// When no guest answers in time.
    pub async fn connect(mut channel: impl Channel, nonce: Nonce) -> Result<Self, MuxError> {
        let version = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake::host(&mut channel, nonce))
            .await
            .map_err(|_| MuxError::HandshakeTimeout)??;
        let (open, requests) = mpsc::channel(QUEUE);
        let (closing, closed) = watch::channel(false);
        let connection = yamux::Connection::new(buffered(channel), config(), yamux::Mode::Client);
        tokio::spawn(drive_host(connection, requests, closing));
        Ok(Self {
            open,
            closed,
            version,
        })
    }

    /// The protocol version settled on.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Opens a stream and sends its header.
    ///
    /// # Errors
    /// When the channel is closed or has too many streams.
    pub async fn open(&self, header: &StreamHeader) -> Result<ChannelStream, MuxError> {
        let (answer, stream) = oneshot::channel();
        self.open.send(answer).await.map_err(|_| MuxError::Closed)?;
        let stream = stream
            .await
            .map_err(|_| MuxError::Closed)?
            .map_err(MuxError::Open)?;
        let mut stream = ChannelStream(stream.compat());
        frame::write(&mut stream, header).await?;
        Ok(stream)
    }

    /// Resolves when the channel is closed, whoever closed it.
    pub async fn closed(&self) {
        // An error means that the driver is gone, which is the same.
        self.closed.clone().wait_for(|closed| *closed).await.ok();
    }
}

async fn drive_host<T: futures::AsyncRead + futures::AsyncWrite + Unpin>(
    mut connection: yamux::Connection<T>,
    mut requests: mpsc::Receiver<oneshot::Sender<Result<yamux::Stream, yamux::ConnectionError>>>,
    closing: watch::Sender<bool>,
) {
    let mut waiting: Option<oneshot::Sender<_>> = None;
    poll_fn(|cx| {
        loop {
            // Nobody needs the answer when its receiver is gone.
            if let Some(answer) = waiting.take() {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(result) => {
                        answer.send(result).ok();
                        continue;
                    }
                    Poll::Pending => waiting = Some(answer),
                }
            } else {
                match requests.poll_recv(cx) {
                    Poll::Ready(Some(answer)) => {
                        waiting = Some(answer);
                        continue;
                    }
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            match connection.poll_next_inbound(cx) {
                // A guest opens no streams: one that does is not a guest of ours.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    // Dropped rather than closed: yamux ends the streams of a connection that is dropped, and forgets to wake those
    // of one that is being closed.
    drop(connection);
    // Nobody may be listening any more.
    closing.send(true).ok();
}

/// The guest's end.
#[derive(Debug)]
pub struct GuestEnd {
    streams: mpsc::Receiver<yamux::Stream>,
}

impl GuestEnd {
    /// Waits for a host's handshake on `channel` and starts driving it.
    ///
    /// # Errors
    /// When the channel fails first.
    pub async fn accept(mut channel: impl Channel) -> Result<Self, MuxError> {
        handshake::guest(&mut channel).await?;
        let (sender, streams) = mpsc::channel(QUEUE);
        let mut connection = yamux::Connection::new(buffered(channel), config(), yamux::Mode::Server);
        tokio::spawn(async move {
            while let Some(Ok(stream)) = poll_fn(|cx| connection.poll_next_inbound(cx)).await {
                // The queue is as long as yamux's own backlog; a host that overruns it is told by a reset.
                if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(stream) {
                    break;
                }
            }
        });
        Ok(Self { streams })
    }

    /// The next stream the host opens; `None` once the channel is closed. Read its header off it first.
    pub async fn next(&mut self) -> Option<ChannelStream> {
        self.streams
            .recv()
            .await
            .map(|stream| ChannelStream(stream.compat()))
    }
}

/// yamux writes the header and the body of a frame one after the other, and flushes when it has no more to write.
/// Each write of a guest leaves its machine, so they are put together.
fn buffered<T: Channel>(channel: T) -> Compat<BufWriter<T>> {
    BufWriter::with_capacity(WRITE_BUFFER, channel).compat()
}

fn config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config.set_max_connection_receive_window(Some(MAX_BUFFERED));
    config
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (HostEnd, GuestEnd) {
        let (host, guest) = tokio::io::duplex(64 * 1024);
        let (host, guest) = tokio::join!(HostEnd::connect(host, [1; 16]), GuestEnd::accept(guest));
        (host.unwrap(), guest.unwrap())
    }

    #[tokio::test]
    async fn a_slow_stream_does_not_hold_up_another() {
        let (host, mut guest) = pair().await;
        tokio::spawn(async move {
            let mut unread = Vec::new();
            while let Some(mut stream) = guest.next().await {
                match frame::read(&mut stream).await.unwrap() {
                    StreamHeader::Logs => unread.push(stream),
                    _ => {
                        tokio::spawn(async move {
                            let (mut read, mut write) = tokio::io::split(stream);
                            tokio::io::copy(&mut read, &mut write).await
                        });
                    }
                }
            }
        });
        let mut slow = host.open(&StreamHeader::Logs).await.unwrap();
        tokio::spawn(async move { slow.write_all(&vec![0; 8 * 1024 * 1024]).await });
        let mut quick = host.open(&StreamHeader::Agent { port: 1 }).await.unwrap();
        for _ in 0..100 {
            quick.write_all(b"ping").await.unwrap();
            let mut answer = [0; 4];
            quick.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"ping");
        }
    }

    #[tokio::test]
    async fn a_dropped_stream_ends_on_the_other_side() {
        let (host, mut guest) = pair().await;
        let stream = host.open(&StreamHeader::Agent { port: 1 }).await.unwrap();
        let mut other = guest.next().await.unwrap();
        let _: StreamHeader = frame::read(&mut other).await.unwrap();
        drop(stream);
        assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_lost_guest_closes_the_host_end() {
        let (host, guest) = pair().await;
        drop(guest);
        host.open(&StreamHeader::Control).await.ok();
        tokio::time::timeout(Duration::from_secs(5), host.closed())
            .await
            .expect("closed within 5 s");
        assert!(matches!(
            host.open(&StreamHeader::Control).await,
            Err(MuxError::Closed)
        ));
    }

    #[tokio::test]
    async fn the_streams_of_a_lost_guest_end() {
        let (host, mut guest) = pair().await;
        let mut stream = host.open(&StreamHeader::Logs).await.unwrap();
        let other = guest.next().await.unwrap();
        let read = tokio::spawn(async move { stream.read(&mut [0; 1]).await });
        drop((guest, other));
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert_eq!(ended.expect("an end within 5 s").unwrap().unwrap_or_default(), 0);
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_channel() {
        let (host, raw) = tokio::io::duplex(64 * 1024);
        let mut raw = raw;
        let (host, _) = tokio::join!(HostEnd::connect(host, [1; 16]), handshake::guest(&mut raw));
        let host = host.unwrap();
        let mut stream = host.open(&StreamHeader::Logs).await.unwrap();
        let read = tokio::spawn(async move { stream.read(&mut [0; 1]).await });
        drop(raw);
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert_eq!(ended.expect("an end within 5 s").unwrap().unwrap_or_default(), 0);
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_last_clone_of_its_host_end() {
        let (host, mut guest) = pair().await;
        let mut stream = host.open(&StreamHeader::Logs).await.unwrap();
        let read = tokio::spawn(async move { stream.read(&mut [0; 1]).await });
        let _other = guest.next().await.unwrap();
        drop(host);
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert_eq!(ended.expect("an end within 5 s").unwrap().unwrap_or_default(), 0);
    }

    #[tokio::test]
    async fn garbage_after_the_handshake_closes_the_channel() {
        let (host, mut raw) = tokio::io::duplex(64 * 1024);
        let (host, _) = tokio::join!(HostEnd::connect(host, [1; 16]), handshake::guest(&mut raw));
        let host = host.unwrap();
        raw.write_all(&[0xff; 64]).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), host.closed())
            .await
            .expect("closed within 5 s");
    }
}
