//! Bytes between a stream of the channel and a TCP connection to the agent, each way as fast as its reader.
//!
//! An end of stream is passed on as one, and the other direction goes on. A broken connection breaks the other
//! one: the agent then sees that its client is gone, and the client that the agent is.

use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coracle_guest_proto::message::Dialed;
use coracle_guest_proto::{ChannelStream, frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::listeners;

const BUFFER: usize = 64 * 1024;
/// Most time a connection on loopback takes; an agent with a full backlog would otherwise hold the stream.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects the stream to the agent's port, says how that went, and relays until both directions have ended.
pub(crate) async fn serve(mut stream: ChannelStream, port: u16) {
    let dialed = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
    match dialed
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    {
        Ok(agent) => {
            // Without it a connection works, only slower.
            agent.set_nodelay(true).ok();
            if frame::write(&mut stream, &Dialed::Connected).await.is_ok() {
                // Dropping both connections after an error is what passes it on.
                relay(stream, agent).await.ok();
            }
        }
        Err(error) => {
            let mut reason = error.to_string();
            if error.kind() == io::ErrorKind::ConnectionRefused {
                reason = format!("{reason}: {}", listeners::advice(port));
            }
            let refused = Dialed::Refused { reason };
            frame::write(&mut stream, &refused).await.ok();
            tokio::io::AsyncWriteExt::shutdown(&mut stream).await.ok();
        }
    }
}

async fn relay(mut stream: ChannelStream, mut agent: TcpStream) -> io::Result<()> {
    let mut inbound = Direction::new();
    let mut outbound = Direction::new();
    poll_fn(|cx| {
        let inward = inbound.poll(cx, &mut stream, &mut agent)?;
        let outward = outbound.poll(cx, &mut agent, &mut stream)?;
        if outward.is_pending() && inbound.ended && stream.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if inward.is_ready() && outward.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// One direction of a relay: read, write, and at the end of the one the end of the other.
struct Direction {
    buffer: Box<[u8]>,
    unwritten: std::ops::Range<usize>,
    /// Bytes written since the last flush.
    unflushed: bool,
    ended: bool,
    finished: bool,
}

impl Direction {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER].into(),
            unwritten: 0..0,
            unflushed: false,
            ended: false,
            finished: false,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.finished {
            if !self.unwritten.is_empty() {
                let unwritten = &self.buffer[self.unwritten.clone()];
                match ready!(Pin::new(&mut *to).poll_write(cx, unwritten))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.unwritten.start += written,
                }
                self.unflushed = true;
            } else if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.finished = true;
            } else {
                let mut read = ReadBuf::new(&mut self.buffer);
                match Pin::new(&mut *from).poll_read(cx, &mut read)? {
                    Poll::Ready(()) => {
                        self.unwritten = 0..read.filled().len();
                        self.ended = self.unwritten.is_empty();
                    }
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *to).poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use coracle_guest_proto::{GuestEnd, HostEnd, StreamHeader};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A stream of a host, relayed to the connection that the listener accepts.
    async fn connected() -> (HostEnd, ChannelStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (host, guest) = tokio::io::duplex(64 * 1024);
        let (host, guest) = tokio::join!(HostEnd::connect(host, [1; 16]), GuestEnd::accept(guest));
        let (host, mut guest) = (host.unwrap(), guest.unwrap());
        tokio::spawn(async move {
            while let Some(mut stream) = guest.next().await {
                let _: StreamHeader = frame::read(&mut stream).await.unwrap();
                tokio::spawn(serve(stream, port));
            }
        });
        let mut stream = host.open(&StreamHeader::Agent { port }).await.unwrap();
        let (agent, _) = listener.accept().await.unwrap();
        assert_eq!(
            frame::read::<Dialed>(&mut stream).await.unwrap(),
            Dialed::Connected
        );
        (host, stream, agent)
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), future)
            .await
            .expect("within 10 s")
    }

    #[tokio::test]
    async fn an_ended_request_still_gets_its_answer() {
        let (_host, mut stream, mut agent) = connected().await;
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut question = String::new();
        within(agent.read_to_string(&mut question)).await.unwrap();
        agent.write_all(b"answer").await.unwrap();
        drop(agent);
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert_eq!((question.as_str(), answer.as_str()), ("question", "answer"));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_noticed_by_the_agent() {
        let (_host, stream, mut agent) = connected().await;
        drop(stream);
        let mut rest = Vec::new();
        // An end of stream or a reset; not silence.
        within(agent.read_to_end(&mut rest)).await.ok();
    }

    #[tokio::test]
    async fn a_lost_channel_is_noticed_by_the_agent() {
        let (host, stream, mut agent) = connected().await;
        drop((host, stream));
        let mut rest = Vec::new();
        within(agent.read_to_end(&mut rest)).await.ok();
    }

    #[tokio::test]
    async fn nobody_listening_is_said() {
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let (host, guest) = tokio::io::duplex(64 * 1024);
        let (host, guest) = tokio::join!(HostEnd::connect(host, [1; 16]), GuestEnd::accept(guest));
        let (host, mut guest) = (host.unwrap(), guest.unwrap());
        tokio::spawn(async move {
            let mut stream = guest.next().await.unwrap();
            let _: StreamHeader = frame::read(&mut stream).await.unwrap();
            serve(stream, unused).await;
            guest.next().await
        });
        let mut stream = host.open(&StreamHeader::Agent { port: unused }).await.unwrap();
        let dialed: Dialed = within(frame::read(&mut stream)).await.unwrap();
        assert!(matches!(dialed, Dialed::Refused { reason } if reason.contains("refused")));
    }
}
