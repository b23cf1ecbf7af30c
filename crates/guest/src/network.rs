//! Brings network devices up, by rtnetlink (RFC 3549).

use std::fs;
use std::net::Ipv4Addr;

use coracle_guest_proto::message::Network;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::failure::{Doing as _, Failure};

/// Index of the loopback device: the first one of every network namespace.
const LOOPBACK: u32 = 1;
const DEVICES: &str = "/sys/class/net";

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const AF_INET: u8 = 2;
const MAIN_TABLE: u8 = 254;
const ADDED_AT_BOOT: u8 = 3;
const UNICAST: u8 = 1;

/// Brings the loopback device up. The kernel then gives it 127.0.0.1 and ::1.
pub(crate) fn loopback_up() -> Result<(), Failure> {
    let doing = || "bringing the loopback network up".to_owned();
    request(&connect().doing(doing)?, &up(LOOPBACK)).doing(doing)
}

/// Gives the network card its address, and everything a way through it.
pub(crate) fn card_up(network: &Network) -> Result<(), Failure> {
    let doing = || format!("bringing the network card {} up", network.card);
    let (name, index) = find(&network.card)?;
    // There is no IPv6 on this cable, and a kernel may have none.
    fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").ok();
    let socket = connect().doing(doing)?;
    for message in [
        up(index),
        address(index, network.address, network.prefix),
        default_route(index, network.gateway),
    ] {
        request(&socket, &message).doing(doing)?;
    }
    Ok(())
}

/// The name and index of the device with this hardware address.
fn find(card: &str) -> Result<(String, u32), Failure> {
    let missing = || {
        Failure::new(
            "looking for the network card",
            format!("there is none with address {card}"),
        )
    };
    let devices = fs::read_dir(DEVICES).doing(|| format!("listing {DEVICES}"))?;
    for device in devices.flatten() {
        let read = |file: &str| fs::read_to_string(device.path().join(file)).unwrap_or_default();
        if read("address").trim() == card {
            let index = read("ifindex").trim().parse().map_err(|_| missing())?;
            return Ok((device.file_name().to_string_lossy().into_owned(), index));
        }
    }
    Err(missing())
}

fn connect() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
}

fn request(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(socket, message, SendFlags::empty(), &kernel)?;
    let mut answer = [0; 512];
    let (length, _) = rustix::net::recv(socket, &mut answer[..], RecvFlags::empty())?;
    outcome(&answer[..length])
}

/// `ifinfomsg` that sets the flag "up" of a device.
fn up(index: u32) -> Vec<u8> {
    let mut body = vec![0; 4]; // family, padding, device type
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&IFF_UP.to_ne_bytes()); // flags
    body.extend_from_slice(&IFF_UP.to_ne_bytes()); // which flags change
    message(RTM_NEWLINK, NLM_F_REQUEST_ACK, &body)
}

/// `ifaddrmsg` that gives a device an address.
fn address(index: u32, address: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let mut body = vec![AF_INET, prefix, 0, 0]; // flags, scope
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend_from_slice(&attribute(IFA_LOCAL, address.octets()));
    body.extend_from_slice(&attribute(IFA_ADDRESS, address.octets()));
    message(RTM_NEWADDR, NLM_F_REQUEST_ACK | NLM_F_CREATE, &body)
}

/// `rtmsg` that leads everything to a gateway.
fn default_route(index: u32, gateway: Ipv4Addr) -> Vec<u8> {
    // Lengths of destination and source, type of service; scope; flags.
    let mut body = vec![
        AF_INET,
        0,
        0,
        0,
        MAIN_TABLE,
        ADDED_AT_BOOT,
        0,
        UNICAST,
        0,
        0,
        0,
        0,
    ];
    body.extend_from_slice(&attribute(RTA_GATEWAY, gateway.octets()));
    body.extend_from_slice(&attribute(RTA_OIF, index.to_ne_bytes()));
    message(RTM_NEWROUTE, NLM_F_REQUEST_ACK | NLM_F_CREATE, &body)
}

/// `rtattr` with four bytes.
fn attribute(kind: u16, value: [u8; 4]) -> [u8; 8] {
    let mut attribute = [0; 8];
    attribute[..2].copy_from_slice(&8_u16.to_ne_bytes());
    attribute[2..4].copy_from_slice(&kind.to_ne_bytes());
    attribute[4..].copy_from_slice(&value);
    attribute
}

/// `nlmsghdr` and what follows it.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    const HEADER: u32 = 16;
    let length = HEADER + u32::try_from(body.len()).unwrap_or_default();
    let mut message = Vec::with_capacity(64);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[0; 8]); // sequence number and port
    message.extend_from_slice(body);
    message
}

/// Reads an `nlmsgerr`: a negative error number, or zero.
fn outcome(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer
        .get(4..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u16::from_ne_bytes);
    let code = answer
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        _ => Err(Errno::PROTO),
    }
}
