//! The packets between cable and smoltcp, and smoltcp itself.

use std::collections::VecDeque;

use bytes::Bytes;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::Socket;
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tokio::time::{Duration, Instant};

use crate::cable::{self, Link, MAX_PACKET};

/// Most packets waiting for the guest; what smoltcp would send beyond that it sends later.
const QUEUE: usize = 256;
/// How long to sleep when there is nothing to wait for.
const LONG: Duration = Duration::from_secs(60 * 60);

/// An interface that takes itself for every address.
pub(super) struct Wire {
    interface: Interface,
    packets: Packets,
    sockets: SocketSet<'static>,
    began: Instant,
}

impl Wire {
    pub(super) fn new() -> Self {
        let mut packets = Packets::default();
        let mut config = Config::new(HardwareAddress::Ip);
        // Sequence numbers are not to be guessed.
        config.random_seed = rand::random();
        let mut interface = Interface::new(config, &mut packets, Moment::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(IpAddress::Ipv4(Link::GATEWAY), Link::PREFIX);
            // There is room for one.
            addresses.push(own).ok();
        });
        interface.set_any_ip(true);
        // An interface is every address only on routes that lead to itself. There is room for one.
        interface.routes_mut().add_default_ipv4_route(Link::GATEWAY).ok();
        Self {
            interface,
            packets,
            sockets: SocketSet::new(Vec::new()),
            began: Instant::now(),
        }
    }

    /// Lets smoltcp take a packet of the guest's.
    pub(super) fn receive(&mut self, packet: Bytes) {
        self.packets.received.push_back(packet);
    }

    /// Lets smoltcp do what there is to do.
    pub(super) fn poll(&mut self) {
        let now = self.now();
        self.interface.poll(now, &mut self.packets, &mut self.sockets);
    }

    /// Sends a packet to the guest, unless too many wait.
    pub(super) fn send(&mut self, packet: &[u8]) {
        self.answer(cable::enclose(packet));
    }

    /// Sends a frame to the guest, unless too many wait.
    pub(super) fn answer(&mut self, frame: Bytes) {
        if self.packets.frames.len() < QUEUE {
            self.packets.frames.push_back(frame);
        }
    }

    pub(super) fn take_frames(&mut self) -> VecDeque<Bytes> {
        std::mem::take(&mut self.packets.frames)
    }

    pub(super) fn add(&mut self, socket: Socket<'static>) -> SocketHandle {
        self.sockets.add(socket)
    }

    pub(super) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(super) fn remove(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }

    /// When smoltcp has something to do next.
    pub(super) fn due(&mut self) -> Instant {
        let now = self.now();
        let delay = self.interface.poll_delay(now, &self.sockets);
        Instant::now() + delay.map_or(LONG, Duration::from)
    }

    fn now(&self) -> Moment {
        let micros = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        Moment::from_micros(micros)
    }
}

/// The two queues of packets.
#[derive(Debug, Default)]
struct Packets {
    received: VecDeque<Bytes>,
    frames: VecDeque<Bytes>,
}

impl Device for Packets {
    type RxToken<'a> = Taken;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Moment) -> Option<(Taken, Room<'_>)> {
        if self.frames.len() >= QUEUE {
            return None;
        }
        let packet = self.received.pop_front()?;
        Some((Taken(packet), Room(&mut self.frames)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Room<'_>> {
        (self.frames.len() < QUEUE).then_some(Room(&mut self.frames))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = usize::from(MAX_PACKET);
        capabilities
    }
}

struct Taken(Bytes);

impl RxToken for Taken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Room<'a>(&'a mut VecDeque<Bytes>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(cable::enclose(&packet));
        result
    }
}
