//! Connections of the server's own, for what the rules allow.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};

use crate::route;
use crate::rules::Refusal;

/// How long a connection may take, as long as Linux tries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsideError {
    /// The destination is closed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The network says no.
    #[error("the destination could not be reached")]
    Network(#[from] io::Error),
}

/// Connects to an address that the rules allow.
pub(crate) async fn connect_tcp(to: SocketAddrV4) -> Result<TcpStream, OutsideError> {
    aim(to)?;
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(to));
    let stream = connecting
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A socket for datagrams to and from this address alone, which the rules allow.
pub(crate) async fn connect_udp(to: SocketAddrV4) -> Result<UdpSocket, OutsideError> {
    aim(to)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Looks where an address leads now, which no rule can know.
fn aim(to: SocketAddrV4) -> Result<(), OutsideError> {
    if route::leads_away(*to.ip())? {
        Ok(())
    } else {
        Err(Refusal::Host.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_host_itself_is_never_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for own in [[127, 0, 0, 1], [127, 9, 9, 9]] {
            let to = SocketAddrV4::new(own.into(), port);
            assert!(
                matches!(connect_tcp(to).await, Err(OutsideError::Refused(Refusal::Host))),
                "{to}"
            );
            assert!(
                matches!(connect_udp(to).await, Err(OutsideError::Refused(Refusal::Host))),
                "{to}"
            );
        }
    }
}
