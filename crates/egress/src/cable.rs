//! The cable between a guest's network card and its stack: Ethernet with two stations on it, as QEMU sends it over a
//! stream socket (a length in four big-endian bytes, then the frame).
//!
//! The guest's card is the only one that is heard, whatever it claims to be, and the only address that is resolved is
//! the gateway's.

use std::net::Ipv4Addr;

use bytes::Bytes;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
};
use tokio_util::codec::LengthDelimitedCodec;

/// Largest IP packet on the cable, in bytes. Large, because each costs the guest an exit and this process a wake-up.
pub const MAX_PACKET: u16 = 16 * 1024;
const ETHERNET_HEADER: usize = 14;
const STATION: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x01]);

/// The addresses on every cable. They are of a range that is used between a host and its address translator only
/// (RFC 7335), so they hide nothing that an agent may want to reach.
#[derive(Debug, Clone, Copy)]
pub struct Link;

impl Link {
    /// The guest's own address.
    pub const GUEST: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 2);
    /// The stack's: gateway and name server.
    pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 1);
    /// Where cloud machines find their metadata.
    pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    /// The gateway's port that leads to this server.
    pub const SERVER_PORT: u16 = 4580;
    /// The gateway's first port that leads to a folder of the host's; each has one.
    pub const FOLDER_PORT: u16 = 2049;
    /// Length of the network's prefix, in bits.
    pub const PREFIX: u8 = 29;
    /// The hardware address of the guest's card.
    pub const GUEST_CARD: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

    /// The URL of this server, for a guest whose session has an identity.
    pub fn server_url() -> String {
        format!("http://{}:{}", Self::GATEWAY, Self::SERVER_PORT)
    }
}

/// What a guest's frame is to the stack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// An IPv4 packet, not looked at yet.
    Packet(Bytes),
    /// A question that this frame answers.
    Answer(Vec<u8>),
    /// Nothing.
    Ignored,
}

/// How frames follow each other on the socket.
pub(crate) fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(4)
        .max_frame_length(usize::from(MAX_PACKET) + 64)
        .new_codec()
}

/// Takes a frame of the guest's.
pub(crate) fn receive(frame: &Bytes) -> Received {
    let Ok(ethernet) = EthernetFrame::new_checked(frame.as_ref()) else {
        return Received::Ignored;
    };
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => Received::Packet(frame.slice(ETHERNET_HEADER..)),
        EthernetProtocol::Arp => answer(ethernet.payload()).map_or(Received::Ignored, Received::Answer),
        _ => Received::Ignored,
    }
}

/// The frame that carries this packet to the guest.
pub(crate) fn enclose(packet: &[u8]) -> Bytes {
    let mut frame = vec![0; ETHERNET_HEADER + packet.len()];
    header(EthernetProtocol::Ipv4).emit(&mut EthernetFrame::new_unchecked(&mut frame));
    frame[ETHERNET_HEADER..].copy_from_slice(packet);
    frame.into()
}

fn header(ethertype: EthernetProtocol) -> EthernetRepr {
    EthernetRepr {
        src_addr: STATION,
        dst_addr: EthernetAddress(Link::GUEST_CARD),
        ethertype,
    }
}

fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let question = ArpRepr::parse(&ArpPacket::new_checked(question).ok()?).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        target_protocol_addr: Link::GATEWAY,
        ..
    } = question
    else {
        return None;
    };
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: STATION,
        source_protocol_addr: Link::GATEWAY,
        target_hardware_addr: EthernetAddress(Link::GUEST_CARD),
        target_protocol_addr: Link::GUEST,
    };
    let mut frame = vec![0; ETHERNET_HEADER + answer.buffer_len()];
    header(EthernetProtocol::Arp).emit(&mut EthernetFrame::new_unchecked(&mut frame));
    answer.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET_HEADER..]));
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(wanted: Ipv4Addr) -> Bytes {
        let question = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(Link::GUEST_CARD),
            source_protocol_addr: Link::GUEST,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: wanted,
        };
        let mut frame = vec![0; ETHERNET_HEADER + question.buffer_len()];
        header(EthernetProtocol::Arp).emit(&mut EthernetFrame::new_unchecked(&mut frame));
        question.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET_HEADER..]));
        frame.into()
    }

    #[test]
    fn only_the_gateway_is_there() {
        let Received::Answer(answer) = receive(&question(Link::GATEWAY)) else {
            panic!("no answer for the gateway");
        };
        assert_eq!(answer[..6], Link::GUEST_CARD);
        for nobody in [[192, 0, 0, 3], [192, 168, 0, 1], [127, 0, 0, 1]] {
            assert_eq!(receive(&question(nobody.into())), Received::Ignored);
        }
    }

    #[test]
    fn a_packet_goes_into_a_frame_and_out_of_it() {
        let frame = enclose(b"packet");
        assert_eq!(receive(&frame), Received::Packet(Bytes::from_static(b"packet")));
    }

    proptest::proptest! {
        #[test]
        fn no_frame_is_too_strange(frame in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _ = receive(&frame.into());
        }
    }
}
