//! The host's name servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// How long one server has for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often all servers are asked before it is given up.
const ROUNDS: usize = 2;
/// Most servers that are asked, as many as the C library asks.
const MOST: usize = 3;

/// Why no name servers are known.
#[derive(Debug, thiserror::Error)]
#[error("the name servers of this host could not be read from {path}; or set [egress] nameservers")]
pub struct NameServersError {
    path: &'static str,
    #[source]
    source: io::Error,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("this host has no name server; the operator can set [egress] nameservers")]
    Nobody,
    #[error("no name server answered within {ANSWER_TIMEOUT:?}")]
    Silence,
    #[error("the name server failed: {0}")]
    Failed(#[source] io::Error),
}

/// Who is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameServers(Arc<[SocketAddr]>);

impl From<Vec<SocketAddr>> for NameServers {
    fn from(mut servers: Vec<SocketAddr>) -> Self {
        servers.truncate(MOST);
        Self(servers.into())
    }
}

impl NameServers {
    /// Those that this host itself asks (resolv.conf(5)).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_host() -> Result<Self, NameServersError> {
        const PATH: &str = "/etc/resolv.conf";
        let text = std::fs::read_to_string(Path::new(PATH))
            .map_err(|source| NameServersError { path: PATH, source })?;
        Ok(parse(&text).into())
    }

    /// Asks one after another until one answers.
    pub(super) async fn ask(&self, query: &Query) -> Result<Message, AskError> {
        let mut last = AskError::Nobody;
        for _ in 0..ROUNDS {
            for server in self.0.iter() {
                match tokio::time::timeout(ANSWER_TIMEOUT, ask(*server, query)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => last = AskError::Failed(error),
                    Err(_) => last = AskError::Silence,
                }
            }
        }
        Err(last)
    }
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let address = line.trim().strip_prefix("nameserver")?.trim();
        address.parse::<IpAddr>().ok()
    });
    addresses
        .map(|address| SocketAddr::new(address, super::PORT))
        .collect()
}

async fn ask(server: SocketAddr, query: &Query) -> io::Result<Message> {
    let answer = ask_by_datagram(server, query).await?;
    if answer.metadata.truncation {
        return ask_by_connection(server, query).await;
    }
    Ok(answer)
}

/// From a port of its own with a random number, so that nobody else can answer.
async fn ask_by_datagram(server: SocketAddr, query: &Query) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let question = question(query);
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = answer_to(&question, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn ask_by_connection(server: SocketAddr, query: &Query) -> io::Result<Message> {
    let mut connection = TcpStream::connect(server).await?;
    let question = question(query);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    connection.write_u16(length).await?;
    connection.write_all(&bytes).await?;
    let mut answer = vec![0; usize::from(connection.read_u16().await?)];
    connection.read_exact(&mut answer).await?;
    answer_to(&question, &answer).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn question(query: &Query) -> Message {
    let mut question = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(query.clone());
    question
}

fn answer_to(question: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let fits = answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == question.queries;
    fits.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_reads_them() {
        let text = "# comment\nsearch example.com\nnameserver 192.0.2.53\n nameserver\t2001:db8::1\nnameserver bad\n";
        assert_eq!(
            parse(text),
            [
                "192.0.2.53:53".parse().unwrap(),
                "[2001:db8::1]:53".parse().unwrap()
            ]
        );
    }
}
