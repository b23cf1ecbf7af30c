//! Asks the kernel where an address leads, by rtnetlink (RFC 3549): its own tables know which addresses are this
//! host's, whole ranges among them, and no list of ours could keep up with them.

use std::io;
use std::net::Ipv4Addr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const RTA_DST: u16 = 1;
/// `rtm_type` of an address that is a single one of another machine.
const RTN_UNICAST: u8 = 1;
/// Where `rtm_type` is in an answer: after `nlmsghdr` and seven bytes of `rtmsg`.
const TYPE_AT: usize = 16 + 7;

/// Whether the address leads to another machine: not to this one, and not to all of a network.
///
/// # Errors
/// When it leads nowhere, or the kernel does not say.
pub(crate) fn leads_away(to: Ipv4Addr) -> io::Result<bool> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &question(to), SendFlags::empty(), &kernel)?;
    let mut answer = [0; 1024];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    Ok(kind(&answer[..length])? == RTN_UNICAST)
}

/// `nlmsghdr`, `rtmsg` and the destination.
fn question(to: Ipv4Addr) -> Vec<u8> {
    let mut message = Vec::with_capacity(36);
    message.extend_from_slice(&36_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_GETROUTE.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]); // sequence number and port
    message.extend_from_slice(&[AF_INET, 32]); // length of the destination, in bits
    message.extend_from_slice(&[0; 10]); // the rest of what routes are chosen by
    message.extend_from_slice(&8_u16.to_ne_bytes());
    message.extend_from_slice(&RTA_DST.to_ne_bytes());
    message.extend_from_slice(&to.octets());
    message
}

fn kind(answer: &[u8]) -> Result<u8, Errno> {
    let message = answer
        .get(4..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_ne_bytes);
    let code = answer
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match (message, code, answer.get(TYPE_AT)) {
        (Some(RTM_NEWROUTE), _, Some(kind)) => Ok(*kind),
        (Some(NLMSG_ERROR), Some(code @ ..0), _) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        _ => Err(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_own_addresses_do_not_lead_away() {
        for own in [[127, 0, 0, 1], [127, 9, 9, 9], [0, 0, 0, 0], [255, 255, 255, 255]] {
            assert!(!leads_away(own.into()).unwrap_or(false), "{own:?}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        assert!(kind(&[]).is_err());
        assert!(kind(&[0; 64]).is_err());
    }
}
