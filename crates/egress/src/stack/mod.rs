//! One sandbox's TCP/IP stack: a task that ends every connection of the guest's here and lets others carry the bytes.
//!
//! ```text
//!  frame ─▶ cable ─▶ packet ─┬─ UDP ─▶ udp: a socket for each pair of port and destination
//!                            └─ TCP ─▶ tcp: a first packet waits until the destination has accepted
//!                                      smoltcp: segments, windows, retransmissions
//! ```
//!
//! The task ends with the cable. Dropping [`Egress`] ends it and every connection it has opened. Carriers are tasks of
//! their own that wake it; what waits between is bounded, so that a guest or destination that does not read is not
//! read from either.

mod tcp;
mod udp;
mod wire;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use coracle_nfs::Folder;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use smoltcp::wire::{IpProtocol, Ipv4Packet};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::codec::Framed;

use crate::cable::{self, Link, Received};
use crate::dns::{NameServers, Names};
use crate::inside::{Door, Inside};
use crate::metadata::{Identity, Metadata};
use crate::notices::Notices;
use crate::rules::{Pins, Rules};
use wire::Wire;

/// Most frames taken before something else is done.
const BATCH: usize = 64;

/// A sandbox's network while it is served. Dropping it cuts the sandbox off.
#[derive(Debug)]
pub struct Egress {
    task: JoinHandle<()>,
    metadata: Arc<Metadata>,
}

impl Egress {
    /// Lets the sandbox act as this from now on.
    pub fn identify(&self, identity: Arc<dyn Identity>) {
        self.metadata.identify(identity);
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a sandbox may reach.
#[derive(Debug)]
pub struct Reach {
    /// Outside.
    pub rules: Arc<Rules>,
    /// Who is asked for names.
    pub servers: NameServers,
    /// Where it reaches this server once it has an identity, if it does.
    pub door: Option<Door>,
    /// Folders of this host, each at a port from [`Link::FOLDER_PORT`] on; none where one is offered no longer.
    pub folders: Vec<Option<Arc<Folder>>>,
}

/// Serves the network card at the other end of `cable` until that is closed.
pub fn serve(cable: UnixStream, reach: Reach, notices: Notices) -> Egress {
    let Reach {
        rules,
        servers,
        door,
        folders,
    } = reach;
    let names = Names {
        rules,
        servers,
        pins: Mutex::new(Pins::default()),
        notices,
    };
    let metadata = Arc::new(Metadata::default());
    let stack = Stack::new(Inside {
        names: Arc::new(names),
        metadata: Arc::clone(&metadata),
        door,
        folders,
    });
    let task = tokio::spawn(async move {
        // A broken cable is a machine that has ended; whoever owns that knows why.
        stack.run(cable).await.ok();
    });
    Egress { task, metadata }
}

/// What carriers share with the stack.
#[derive(Debug)]
struct Shared {
    inside: Inside,
    /// Rung when a carrier has something, or room for something.
    bell: Notify,
}

struct Stack {
    wire: Wire,
    tcp: tcp::Flows,
    udp: udp::Flows,
    shared: Arc<Shared>,
}

impl Stack {
    fn new(inside: Inside) -> Self {
        let shared = Arc::new(Shared {
            inside,
            bell: Notify::new(),
        });
        Self {
            wire: Wire::new(),
            tcp: tcp::Flows::new(Arc::clone(&shared)),
            udp: udp::Flows::new(Arc::clone(&shared)),
            shared,
        }
    }

    async fn run(mut self, cable: UnixStream) -> std::io::Result<()> {
        let (mut to_guest, mut from_guest) = Framed::new(cable, cable::codec()).split();
        loop {
            let due = self.wire.due();
            tokio::select! {
                frame = from_guest.next() => match frame {
                    Some(frame) => self.receive(&frame?.freeze()),
                    None => return Ok(()),
                },
                answer = self.udp.answer() => self.wire.send(&answer),
                () = self.shared.bell.notified() => {}
                () = tokio::time::sleep_until(due) => {}
            }
            for _ in 1..BATCH {
                match from_guest.next().now_or_never() {
                    Some(Some(frame)) => self.receive(&frame?.freeze()),
                    Some(None) => return Ok(()),
                    None => break,
                }
            }
            self.tcp.work(&mut self.wire);
            for frame in self.wire.take_frames() {
                to_guest.feed(frame).await?;
            }
            to_guest.flush().await?;
        }
    }

    fn receive(&mut self, frame: &Bytes) {
        match cable::receive(frame) {
            Received::Packet(packet) => self.route(packet),
            Received::Answer(frame) => self.wire.answer(frame.into()),
            Received::Ignored => {}
        }
    }

    fn route(&mut self, packet: Bytes) {
        let Ok(ip) = Ipv4Packet::new_checked(packet.as_ref()) else {
            return;
        };
        // Nobody puts fragments together here; large packets are cut by TCP, and datagrams are small.
        if ip.src_addr() != Link::GUEST || ip.more_frags() || ip.frag_offset() != 0 {
            return;
        }
        match ip.next_header() {
            IpProtocol::Tcp => self.tcp.receive(packet, &mut self.wire),
            IpProtocol::Udp => self.udp.receive(&packet),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
