//! The virtio-serial port that carries the channel.
//!
//! A port without a host reads as ended and refuses writes. The runtime's readiness of such a port never
//! clears, so each host gets a registration of its own, dropped when that host is gone; waiting for the next
//! host is a slow look at the port.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::failure::{Doing as _, Failure};
use crate::readiness;

/// How often the port is looked at while there is no host.
const LOOK: Duration = Duration::from_millis(5);

/// The opened port. It can be opened once at a time.
#[derive(Debug)]
pub(super) struct Port(File);

pub(super) fn open(device: &Path) -> Result<Port, Failure> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open(device, flags, Mode::empty());
    Ok(Port(File::from(
        opened.doing(|| format!("opening {}", device.display()))?,
    )))
}

impl Port {
    /// Waits for a host.
    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        while !self.has_host() {
            tokio::time::sleep(LOOK).await;
        }
        let port = self
            .0
            .try_clone()
            .doing(|| "duplicating the channel".to_owned())?;
        Ok(Connection(
            readiness::register(port).doing(|| "registering the channel".to_owned())?,
        ))
    }

    /// Waits until there is no host.
    pub(super) async fn left(&self) {
        while self.has_host() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn has_host(&self) -> bool {
        let mut look = [PollFd::new(&self.0, PollFlags::IN | PollFlags::OUT)];
        let looked = rustix::event::poll(&mut look, Some(&rustix::time::Timespec::default()));
        looked.is_ok() && !look[0].revents().contains(PollFlags::HUP)
    }
}

/// The port while one host is there.
#[derive(Debug)]
pub(super) struct Connection(AsyncFd<File>);

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let gone = ready.ready().is_read_closed();
            match ready.try_io(|port| port.get_ref().read(buf.initialize_unfilled())) {
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                // The readiness of a port whose host has gone does not clear.
                Err(_) if gone => return Poll::Ready(Ok(())),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            let gone = ready.ready().is_write_closed();
            match ready.try_io(|port| port.get_ref().write(buf)) {
                Ok(written) => return Poll::Ready(written),
                Err(_) if gone => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Err(_) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
