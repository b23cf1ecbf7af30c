//! Who listens where, for an agent that is not found where it should be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// State `TCP_LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// Most places that are named.
const NAMED: usize = 4;

/// What to do about a port of the agent's that accepts no connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    port: u16,
    found: Vec<SocketAddr>,
}

/// Looks for the places where somebody listens.
pub(crate) fn advice(port: u16) -> Advice {
    let lists =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let mut found: Vec<SocketAddr> = lists.iter().flat_map(|list| listening(list)).collect();
    found.sort_unstable();
    found.dedup();
    Advice { port, found }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, found } = self;
        let here: Vec<String> = found
            .iter()
            .filter(|place| place.port() == *port)
            .map(SocketAddr::to_string)
            .collect();
        let elsewhere: Vec<String> = found
            .iter()
            .map(|place| place.port().to_string())
            .take(NAMED)
            .collect();
        if !here.is_empty() {
            write!(f, "the agent listens on {} only", here.join(" and "))?;
        } else if elsewhere.is_empty() {
            write!(f, "nothing listens on port {port}")?;
        } else {
            write!(f, "the agent listens on port {} instead", elsewhere.join(", "))?;
        }
        write!(f, "; it must listen on 0.0.0.0:{port}")
    }
}

/// The listening sockets in a text of the form of `/proc/net/tcp`.
fn listening(list: &str) -> impl Iterator<Item = SocketAddr> + '_ {
    list.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (place, state) = (fields.nth(1)?, fields.nth(1)?);
        let (address, port) = place.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == LISTEN).then_some(SocketAddr::new(parse_address(address)?, port))
    })
}

/// Words of 32 bits in hexadecimal, as they are in memory here.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (number, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(number * 8)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue\n";

    fn said(lines: &str) -> String {
        let list = format!("{HEAD}{lines}");
        let found = listening(&list).collect();
        Advice { port: 8080, found }.to_string()
    }

    #[test]
    fn the_agent_is_told_where_it_listens_and_where_it_should() {
        let should = "it must listen on 0.0.0.0:8080";
        assert_eq!(said(""), format!("nothing listens on port 8080; {should}"));
        let other =
            "   0: 00000000:2328 00000000:0000 0A 00000000\n   1: 0100007F:1F90 00000000:0000 01 00000000\n";
        assert_eq!(
            said(other),
            format!("the agent listens on port 9000 instead; {should}")
        );
        let loopback =
            "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(
            said(loopback),
            format!("the agent listens on [::1]:8080 only; {should}")
        );
    }
}
