//! How a connection begins, on a port that may still hold bytes of the connection before it.
//!
//! The host sends a magic word, the versions it speaks and a nonce. The guest skips to the magic word,
//! answers with it, the version it chose and the nonce. The host skips to the magic word that is followed by
//! its own nonce; anything before that belongs to an earlier connection.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{OLDEST_VERSION, VERSION};

const MAGIC: [u8; 8] = *b"\0coracle";
/// How much left-over a side skips before it gives up, in bytes: more than a port and its queues can hold.
const MAX_SKIPPED: usize = 4 * 1024 * 1024;

/// Identifies one connection.
pub type Nonce = [u8; 16];

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
    let mut hello = Vec::with_capacity(28);
    hello.extend_from_slice(&MAGIC);
    hello.extend_from_slice(&OLDEST_VERSION.to_be_bytes());
    hello.extend_from_slice(&VERSION.to_be_bytes());
    hello.extend_from_slice(&nonce);
    channel.write_all(&hello).await?;
    channel.flush().await?;
    let mut budget = MAX_SKIPPED;
    loop {
        skip_to_magic(channel, &mut budget).await?;
        let version = channel.read_u16().await?;
        let mut answered = Nonce::default();
        channel.read_exact(&mut answered).await?;
        if answered == nonce {
            return if (OLDEST_VERSION..=VERSION).contains(&version) {
                Ok(version)
            } else {
                Err(HandshakeError::Version {
                    oldest: version,
                    newest: version,
                })
            };
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
    skip_to_magic(channel, &mut { MAX_SKIPPED }).await?;
    let oldest = channel.read_u16().await?;
    let newest = channel.read_u16().await?;
    let mut nonce = Nonce::default();
    channel.read_exact(&mut nonce).await?;
    let version = newest.min(VERSION);
    if version < oldest.max(OLDEST_VERSION) {
        return Err(HandshakeError::Version { oldest, newest });
    }
    let mut hello = Vec::with_capacity(26);
    hello.extend_from_slice(&MAGIC);
    hello.extend_from_slice(&version.to_be_bytes());
    hello.extend_from_slice(&nonce);
    channel.write_all(&hello).await?;
    channel.flush().await?;
    Ok(version)
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

    #[tokio::test]
    async fn what_an_earlier_connection_left_is_skipped() {
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        host_side.write_all(b"left over \0cora\0coracl").await.unwrap();
        guest_side.write_all(b"also left over").await.unwrap();
        // An answer to an earlier handshake, complete but with another nonce.
        guest_side.write_all(&MAGIC).await.unwrap();
        guest_side.write_all(&[0; 18]).await.unwrap();
        let (host, guest) = tokio::join!(host(&mut host_side, [7; 16]), guest(&mut guest_side));
        assert_eq!(host.unwrap(), VERSION);
        assert_eq!(guest.unwrap(), VERSION);
    }

    #[tokio::test]
    async fn a_host_from_the_future_is_refused() {
        let mut hello = MAGIC.to_vec();
        hello.extend_from_slice(&(VERSION + 1).to_be_bytes());
        hello.extend_from_slice(&(VERSION + 2).to_be_bytes());
        hello.extend_from_slice(&[0; 16]);
        let (mut host_side, mut guest_side) = tokio::io::duplex(1024);
        host_side.write_all(&hello).await.unwrap();
        assert!(matches!(
            guest(&mut guest_side).await,
            Err(HandshakeError::Version { .. })
        ));
    }
}
