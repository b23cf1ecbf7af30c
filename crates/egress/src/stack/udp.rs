//! The guest's datagrams: a socket of the server's own for each pair of the guest's port and destination, which lives while it is
//! used. Questions for names are answered here. What is refused or too much is lost, as datagrams are.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Shared;
use crate::cable::{Link, MAX_PACKET};
use crate::dns;
use crate::outside::{self, OutsideError};

/// Most sockets, and most questions for names, of a sandbox at once.
const MOST: usize = 256;
/// Datagrams that wait: each way of a socket, and altogether for the guest.
const QUEUE: usize = 64;
/// How long a socket may be unused.
const IDLE: Duration = Duration::from_secs(60);
/// Largest datagram that fits a packet, in bytes.
const MAX_DATAGRAM: usize = MAX_PACKET as usize - 28;
const HOPS: u8 = 64;

/// The guest's port and the destination.
type Key = (u16, SocketAddrV4);

/// All pairs, and what waits for the guest.
pub(super) struct Flows {
    flows: HashMap<Key, mpsc::Sender<Bytes>>,
    carriers: JoinSet<()>,
    answers: mpsc::Receiver<Vec<u8>>,
    to_guest: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Flows {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (to_guest, answers) = mpsc::channel(QUEUE);
        Self {
            flows: HashMap::new(),
            carriers: JoinSet::new(),
            answers,
            to_guest,
            shared,
        }
    }

    /// The next packet for the guest.
    pub(super) async fn answer(&mut self) -> Vec<u8> {
        match self.answers.recv().await {
            Some(packet) => packet,
            // Never: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Takes a packet, all of which is there.
    pub(super) fn receive(&mut self, packet: &Bytes) {
        let Some((key, payload)) = datagram(packet) else {
            return;
        };
        while self.carriers.try_join_next().is_some() {}
        if key.1 == SocketAddrV4::new(Link::GATEWAY, dns::PORT) {
            self.resolve(key, payload);
            return;
        }
        self.flows.retain(|_, flow| !flow.is_closed());
        if let Some(flow) = self.flows.get(&key) {
            flow.try_send(payload).ok();
            return;
        }
        let names = &self.shared.inside.names;
        let judged = {
            let pins = names.pins.lock().unwrap_or_else(PoisonError::into_inner);
            names.rules.judge(key.1, &pins)
        };
        if let Err(refusal) = judged {
            names
                .notices
                .give(format!("datagram to {} dropped: {refusal}", key.1));
        } else if self.flows.len() < MOST {
            self.begin(key, payload);
        }
    }

    fn resolve(&mut self, key: Key, question: Bytes) {
        if self.carriers.len() >= 2 * MOST {
            return;
        }
        let (names, to_guest) = (Arc::clone(&self.shared.inside.names), self.to_guest.clone());
        self.carriers.spawn(async move {
            if let Some(answer) = names.answer_datagram(&question).await
                && let Some(packet) = enclose(key, &answer)
            {
                to_guest.try_send(packet).ok();
            }
        });
    }

    fn begin(&mut self, key: Key, first: Bytes) {
        let (flow, from_guest) = mpsc::channel(QUEUE);
        flow.try_send(first).ok();
        self.flows.insert(key, flow);
        let (shared, to_guest) = (Arc::clone(&self.shared), self.to_guest.clone());
        self.carriers.spawn(async move {
            if let Err(OutsideError::Refused(refusal)) = carry(key, from_guest, to_guest).await {
                let notice = format!("datagram to {} dropped: {refusal}", key.1);
                shared.inside.names.notices.give(notice);
            }
        });
    }
}

/// Carries datagrams both ways until none comes for a while.
async fn carry(
    key: Key,
    mut from_guest: mpsc::Receiver<Bytes>,
    to_guest: mpsc::Sender<Vec<u8>>,
) -> Result<(), OutsideError> {
    let socket = outside::connect_udp(key.1).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        tokio::select! {
            sent = from_guest.recv() => match sent {
                // What the network does not take is lost.
                Some(bytes) => { socket.send(&bytes).await.ok(); }
                None => return Ok(()),
            },
            received = socket.recv(&mut buffer) => {
                if let Some(packet) = received.ok().and_then(|length| enclose(key, &buffer[..length])) {
                    to_guest.try_send(packet).ok();
                }
            }
            () = tokio::time::sleep(IDLE) => return Ok(()),
        }
    }
}

fn datagram(packet: &Bytes) -> Option<(Key, Bytes)> {
    let ip = Ipv4Packet::new_checked(packet.as_ref()).ok()?;
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    let whole = udp.verify_checksum(&IpAddress::Ipv4(ip.src_addr()), &IpAddress::Ipv4(ip.dst_addr()));
    let key = (udp.src_port(), SocketAddrV4::new(ip.dst_addr(), udp.dst_port()));
    (whole && udp.dst_port() != 0).then(|| (key, packet.slice_ref(udp.payload())))
}

/// The packet that answers the guest's pair with this; nothing when it does not fit.
fn enclose((port, from): Key, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_DATAGRAM {
        return None;
    }
    let udp = UdpRepr {
        src_port: from.port(),
        dst_port: port,
    };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: Link::GUEST,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: HOPS,
    };
    let checksums = ChecksumCapabilities::default();
    let mut packet = vec![0; ip.buffer_len() + ip.payload_len];
    let mut whole = Ipv4Packet::new_unchecked(packet.as_mut_slice());
    ip.emit(&mut whole, &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(whole.payload_mut()),
        &IpAddress::Ipv4(*from.ip()),
        &IpAddress::Ipv4(Link::GUEST),
        payload.len(),
        |place| place.copy_from_slice(payload),
        &checksums,
    );
    Some(packet)
}
