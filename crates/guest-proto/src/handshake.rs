//! How a connection begins, on a port that may still hold bytes of the connection before it.
//!
//! ```text
//!  host                                guest
//!   hello(nonce, 0) ──────▶ ✗           still listens to a host that is gone
//!   hello(nonce, 1) ──────▶
//!                   ◀────── answer(nonce, 1)
//!   begin(nonce)    ──────▶
//! ```
//!
//! The host says hello until it is answered, because a guest that has not yet noticed the end of the connection
//! before takes the first one for a part of it. The guest answers each hello it sees until the host begins. Each
//! side skips what is no message of this connection: it belongs to an earlier one.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{OLDEST_VERSION, VERSION};

/// Begins each message. No yamux frame begins with it, so a guest still in an earlier connection ends that.
const MAGIC: [u8; 8] = *b"\0coracle";
/// How much left-over a side skips before it gives up, in bytes: more than a port and its queues can hold.
const MAX_SKIPPED: usize = 4 * 1024 * 1024;
/// How long the host waits for an answer before it says hello again.
const PATIENCE: Duration = Duration::from_millis(300);

/// Identifies one connection.
pub type Nonce = [u8; 16];

/// What the sides say to each other, behind [`MAGIC`]: a letter, then the fields, integers big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// Host: the versions it speaks, and which attempt this is.
    Hello {
        nonce: Nonce,
        attempt: u8,
        oldest: u16,
        newest: u16,
    },
    /// Guest: the version it chose, or its newest one when it speaks none of the host's.
    Answer { nonce: Nonce, attempt: u8, version: u16 },
    /// Host: what follows is the connection.
    Begin { nonce: Nonce },
}

/// Why a connection could not begin.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The channel failed or closed.
    #[error("the channel failed during the handshake")]
    Io(#[source] std::io::Error),
    /// Nothing like a handshake came.
    #[error("no handshake within {MAX_SKIPPED} bytes")]
    NotFound,
    /// The sides share no version.
    #[error(
        "the peer speaks protocol versions {oldest} to {newest}, this side {OLDEST_VERSION} to {VERSION}"
    )]
    Version {
        /// Oldest version of the peer.
        oldest: u16,
        /// Newest version of the peer.
        newest: u16,
    },
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// The host's side. Returns the protocol version settled on.
///
/// # Errors
/// When the channel fails or the guest is no guest of ours. Bound the time around it.
pub async fn host<S>(channel: &mut S, nonce: Nonce) -> Result<u16, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut read, mut write) = tokio::io::split(channel);
    let mut answers = Answers::new(&mut read, nonce);
    let mut attempt = 0;
    let (mut answered, version) = {
        let first = answers.next();
        tokio::pin!(first);
        loop {
            let hello = Message::Hello {
                nonce,
                attempt,
                oldest: OLDEST_VERSION,
                newest: VERSION,
            };
            hello.write(&mut write).await?;
            match tokio::time::timeout(PATIENCE, &mut first).await {
                Ok(answer) => break answer?,
                Err(_) => attempt = attempt.checked_add(1).ok_or(HandshakeError::NotFound)?,
            }
        }
    };
    // Each later hello is on its way to a guest that answers.
    while answered != attempt {
        (answered, _) = answers.next().await?;
    }
    if !(OLDEST_VERSION..=VERSION).contains(&version) {
        return Err(HandshakeError::Version {
            oldest: version,
            newest: version,
        });
    }
    Message::Begin { nonce }.write(&mut write).await?;
    Ok(version)
}

/// The guest's answers to one host.
struct Answers<'a, R> {
    channel: &'a mut R,
    nonce: Nonce,
    budget: usize,
}

impl<'a, R: AsyncRead + Unpin> Answers<'a, R> {
    fn new(channel: &'a mut R, nonce: Nonce) -> Self {
        Self {
            channel,
            nonce,
            budget: MAX_SKIPPED,
        }
    }

    /// The attempt that is answered, and the version. Not to be cancelled.
    async fn next(&mut self) -> Result<(u8, u16), HandshakeError> {
        loop {
            if let Message::Answer {
                nonce,
                attempt,
                version,
            } = Message::read(self.channel, &mut self.budget).await?
                && nonce == self.nonce
            {
                return Ok((attempt, version));
            }
        }
    }
}

/// The guest's side. Returns the protocol version settled on.
///
/// # Errors
/// When the channel fails or the host speaks no common version.
pub async fn guest<S>(channel: &mut S) -> Result<u16, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut budget = MAX_SKIPPED;
    let mut greeted = None;
    loop {
        match Message::read(channel, &mut budget).await? {
            Message::Hello {
                nonce,
                attempt,
                oldest,
                newest,
            } => {
                let version = newest.min(VERSION);
                let common = version >= oldest.max(OLDEST_VERSION);
                let answer = Message::Answer {
                    nonce,
                    attempt,
                    version: if common { version } else { VERSION },
                };
                answer.write(channel).await?;
                if !common {
                    return Err(HandshakeError::Version { oldest, newest });
                }
                greeted = Some((nonce, version));
            }
            Message::Begin { nonce } => {
                if let Some((greeted, version)) = greeted
                    && greeted == nonce
                {
                    return Ok(version);
                }
            }
            Message::Answer { .. } => {}
        }
    }
}

impl Message {
    async fn write(self, channel: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let mut message = Vec::with_capacity(32);
        message.extend_from_slice(&MAGIC);
        match self {
            Self::Hello {
                nonce,
                attempt,
                oldest,
                newest,
            } => {
                message.push(b'h');
                message.extend_from_slice(&nonce);
                message.push(attempt);
                message.extend_from_slice(&oldest.to_be_bytes());
                message.extend_from_slice(&newest.to_be_bytes());
            }
            Self::Answer {
                nonce,
                attempt,
                version,
            } => {
                message.push(b'a');
                message.extend_from_slice(&nonce);
                message.push(attempt);
                message.extend_from_slice(&version.to_be_bytes());
            }
            Self::Begin { nonce } => {
                message.push(b'b');
                message.extend_from_slice(&nonce);
            }
        }
        channel.write_all(&message).await?;
        channel.flush().await
    }

    /// Skips to the next message, at most `budget` bytes, and takes those off it.
    async fn read(
        channel: &mut (impl AsyncRead + Unpin),
        budget: &mut usize,
    ) -> Result<Self, HandshakeError> {
        loop {
            skip_to_magic(channel, budget).await?;
            let kind = channel.read_u8().await?;
            if !matches!(kind, b'h' | b'a' | b'b') {
                continue;
            }
            let mut nonce = Nonce::default();
            channel.read_exact(&mut nonce).await?;
            return Ok(match kind {
                b'h' => Self::Hello {
                    nonce,
                    attempt: channel.read_u8().await?,
                    oldest: channel.read_u16().await?,
                    newest: channel.read_u16().await?,
                },
                b'a' => Self::Answer {
                    nonce,
                    attempt: channel.read_u8().await?,
                    version: channel.read_u16().await?,
                },
                _ => Self::Begin { nonce },
            });
        }
    }
}

async fn skip_to_magic(
    channel: &mut (impl AsyncRead + Unpin),
    budget: &mut usize,
) -> Result<(), HandshakeError> {
    let mut matched = 0;
    while matched < MAGIC.len() {
        *budget = budget.checked_sub(1).ok_or(HandshakeError::NotFound)?;
        let byte = channel.read_u8().await?;
        // The first byte of the magic word occurs in it once, so a mismatch restarts at most at that byte.
        matched = match byte {
            byte if byte == MAGIC[matched] => matched + 1,
            byte if byte == MAGIC[0] => 1,
            _ => 0,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the stream behind the handshake, in both directions.
    async fn exchange(
        mut host: impl AsyncRead + AsyncWrite + Unpin,
        mut guest: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        host.write_all(b"question").await.unwrap();
        guest.write_all(b"answer").await.unwrap();
        let (mut question, mut answer) = ([0; 8], [0; 6]);
        guest.read_exact(&mut question).await.unwrap();
        host.read_exact(&mut answer).await.unwrap();
        assert_eq!((&question, &answer), (b"question", b"answer"));
    }

    #[tokio::test]
    async fn what_an_earlier_connection_left_is_skipped() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        host_side.write_all(b"left over \0cora\0coracl").await.unwrap();
        guest_side.write_all(b"also left over").await.unwrap();
        // An answer to an earlier host.
        let answer = Message::Answer {
            nonce: [1; 16],
            attempt: 0,
            version: VERSION,
        };
        answer.write(&mut guest_side).await.unwrap();
        let (host, guest) = tokio::join!(host(&mut host_side, [7; 16]), guest(&mut guest_side));
        assert_eq!((host.unwrap(), guest.unwrap()), (VERSION, VERSION));
        exchange(host_side, guest_side).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_hello_that_was_lost_is_repeated() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        let late = async {
            // An earlier connection takes the first hello, and a part of the second.
            guest_side.read_exact(&mut [0; 40]).await.unwrap();
            guest(&mut guest_side).await
        };
        let (host, guest) = tokio::join!(host(&mut host_side, [7; 16]), late);
        assert_eq!((host.unwrap(), guest.unwrap()), (VERSION, VERSION));
        exchange(host_side, guest_side).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_guest_answers_every_hello_and_none_is_taken_for_the_connection() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        let slow = async {
            tokio::time::sleep(PATIENCE * 5 / 2).await;
            guest(&mut guest_side).await
        };
        let (host, guest) = tokio::join!(host(&mut host_side, [7; 16]), slow);
        assert_eq!((host.unwrap(), guest.unwrap()), (VERSION, VERSION));
        exchange(host_side, guest_side).await;
    }

    #[tokio::test]
    async fn the_host_before_is_not_begun_with() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        Message::Begin { nonce: [1; 16] }
            .write(&mut host_side)
            .await
            .unwrap();
        let (host, guest) = tokio::join!(host(&mut host_side, [7; 16]), guest(&mut guest_side));
        assert_eq!((host.unwrap(), guest.unwrap()), (VERSION, VERSION));
        exchange(host_side, guest_side).await;
    }

    #[tokio::test]
    async fn a_host_from_the_future_is_refused_and_told_why() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        let hello = Message::Hello {
            nonce: [0; 16],
            attempt: 0,
            oldest: VERSION + 1,
            newest: VERSION + 2,
        };
        hello.write(&mut host_side).await.unwrap();
        assert!(matches!(
            guest(&mut guest_side).await,
            Err(HandshakeError::Version { .. })
        ));
        let answer = Message::read(&mut host_side, &mut { MAX_SKIPPED }).await.unwrap();
        assert!(matches!(answer, Message::Answer { version: VERSION, .. }));
    }
}
