//! A byte stream to an agent's port.
//!
//! It can be written to before the guest has said whether the agent accepted it, because waiting for that word
//! would cost every request a round trip to the sandbox.
//!
//! ```text
//!  dialing ──connected──▶ open
//!     └──refused, silent, channel lost──▶ failed: the first use that notices it gets the reason
//! ```

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coracle_guest_proto::frame;
use coracle_guest_proto::message::Dialed;
use coracle_guest_proto::{ChannelStream, MuxError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;

use crate::guest::cut;

/// How long a connection to the agent may take.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection to the agent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens on the agent's port, or the agent is not running.
    #[error("the agent does not accept connections: {0}")]
    Refused(String),
    /// The guest did not answer in time.
    #[error("no connection to the agent within {DIAL_TIMEOUT:?}")]
    Timeout,
    /// The channel failed: the sandbox is ending or broken.
    #[error("the channel to the sandbox failed")]
    Channel(#[source] MuxError),
}

impl ConnectError {
    /// The reason why an [`AgentConnection`] failed, out of the error of whoever used it: an I/O error or one that
    /// was caused by an I/O error. `None` when the connection had been made.
    pub fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

/// A byte stream to the agent. Dropping it resets the agent's connection.
pub struct AgentConnection {
    read: Reading,
    write: WriteHalf<ChannelStream>,
}

enum Reading {
    Dialing(Pin<Box<dyn Future<Output = Result<ReadHalf<ChannelStream>, ConnectError>> + Send>>),
    Open(ReadHalf<ChannelStream>),
    Failed,
}

impl AgentConnection {
    /// A connection whose header has been sent; `permit` is held until the guest has answered it.
    pub(crate) fn new(stream: ChannelStream, permit: Option<OwnedSemaphorePermit>) -> Self {
        let (mut read, write) = tokio::io::split(stream);
        let dialing = Box::pin(async move {
            let dialed = tokio::time::timeout(DIAL_TIMEOUT, frame::read(&mut read)).await;
            drop(permit);
            match dialed {
                Ok(Ok(Dialed::Connected)) => Ok(read),
                Ok(Ok(Dialed::Refused { reason })) => Err(ConnectError::Refused(cut(reason))),
                Ok(Err(error)) => Err(ConnectError::Channel(error.into())),
                Err(_) => Err(ConnectError::Timeout),
            }
        });
        Self {
            read: Reading::Dialing(dialing),
            write,
        }
    }

    /// Waits until the agent has accepted the connection.
    ///
    /// # Errors
    /// When it has not.
    pub async fn established(&mut self) -> Result<(), ConnectError> {
        std::future::poll_fn(|cx| self.poll_dialed(cx)).await
    }

    fn poll_dialed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        if let Reading::Dialing(dialing) = &mut self.read {
            match ready!(dialing.as_mut().poll(cx)) {
                Ok(read) => self.read = Reading::Open(read),
                Err(error) => {
                    self.read = Reading::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for AgentConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_dialed(cx)).map_err(io::Error::other)?;
        match &mut self.read {
            Reading::Open(read) => Pin::new(read).poll_read(cx, buf),
            Reading::Dialing(_) | Reading::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for AgentConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.write).poll_write(cx, buf));
        // A guest that refuses closes the stream behind its reason.
        if written.is_err()
            && let Poll::Ready(Err(reason)) = self.poll_dialed(cx)
        {
            return Poll::Ready(Err(io::Error::other(reason)));
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

impl std::fmt::Debug for AgentConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentConnection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use coracle_guest_proto::{GuestEnd, HostEnd, StreamHeader};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection to an agent behind a guest that answers `dialed`, and the guest's end of its stream.
    async fn dialed(dialed: Dialed) -> (HostEnd, AgentConnection, GuestEnd, ChannelStream) {
        let (host, guest) = tokio::io::duplex(64 * 1024);
        let (host, guest) = tokio::join!(HostEnd::connect(host, [1; 16]), GuestEnd::accept(guest));
        let (host, mut guest) = (host.unwrap(), guest.unwrap());
        let stream = host.open(&StreamHeader::Agent { port: 1 }).await.unwrap();
        let connection = AgentConnection::new(stream, None);
        let mut stream = guest.next().await.unwrap();
        let _: StreamHeader = frame::read(&mut stream).await.unwrap();
        frame::write(&mut stream, &dialed).await.unwrap();
        (host, connection, guest, stream)
    }

    #[tokio::test]
    async fn what_is_written_before_the_guest_has_answered_arrives() {
        let (_host, mut connection, _guest, mut stream) = dialed(Dialed::Connected).await;
        connection.write_all(b"question").await.unwrap();
        connection.flush().await.unwrap();
        let mut question = [0; 8];
        stream.read_exact(&mut question).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!((&question, &answer), (b"question", b"answer"));
    }

    #[tokio::test]
    async fn a_refusal_is_the_reason_of_whatever_fails_by_it() {
        let refused = || Dialed::Refused {
            reason: "nobody listens".to_owned(),
        };
        let is_it = |error: &(dyn Error + 'static)| {
            let reason = ConnectError::behind(error);
            assert!(
                matches!(reason, Some(ConnectError::Refused(reason)) if reason == "nobody listens"),
                "{error:?}"
            );
        };
        let (_host, mut connection, _guest, stream) = dialed(refused()).await;
        drop(stream);
        is_it(&connection.read(&mut [0; 1]).await.unwrap_err());

        let (_host, mut connection, _guest, stream) = dialed(refused()).await;
        drop(stream);
        let error = loop {
            if let Err(error) = connection.write_all(&[0; 1024]).await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        is_it(&error);

        let (_host, connection, _guest, stream) = dialed(refused()).await;
        drop(stream);
        let (mut sender, http) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(connection))
                .await
                .unwrap();
        tokio::spawn(http);
        let request = http::Request::new(http_body_util::Full::new(bytes::Bytes::from_static(b"question")));
        is_it(&sender.send_request(request).await.unwrap_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_does_not_answer_is_given_up() {
        let (host, guest) = tokio::io::duplex(64 * 1024);
        let (host, guest) = tokio::join!(HostEnd::connect(host, [1; 16]), GuestEnd::accept(guest));
        let (host, mut guest) = (host.unwrap(), guest.unwrap());
        let stream = host.open(&StreamHeader::Agent { port: 1 }).await.unwrap();
        let _silent = guest.next().await.unwrap();
        let established = AgentConnection::new(stream, None).established().await;
        assert!(
            matches!(established, Err(ConnectError::Timeout)),
            "{established:?}"
        );
    }
}
