//! A channel that goes dead when the power does, and stands still while the sandbox does, as a port of a machine would.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The guest's end of the channel.
pub(super) struct Cable {
    stream: DuplexStream,
    off: Pin<Box<WaitForCancellationFutureOwned>>,
    paused: watch::Receiver<bool>,
    /// The end of the pause that is waited for.
    pause_over: Option<BoxFuture<'static, ()>>,
}

impl Cable {
    pub(super) fn new(stream: DuplexStream, power: CancellationToken, paused: watch::Receiver<bool>) -> Self {
        Self {
            stream,
            off: Box::pin(power.cancelled_owned()),
            paused,
            pause_over: None,
        }
    }

    /// Ready when bytes may move.
    fn poll_alive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if *self.paused.borrow() {
            let mut paused = self.paused.clone();
            let over = self
                .pause_over
                .get_or_insert_with(|| async move { _ = paused.wait_for(|paused| !paused).await }.boxed());
            ready!(over.as_mut().poll(cx));
        }
        self.pause_over = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Cable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_alive(cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_alive(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_alive(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_alive(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
