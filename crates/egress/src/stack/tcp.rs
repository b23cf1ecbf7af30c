//! The guest's TCP connections.
//!
//! ```text
//!  first packet ─▶ judged ──no──▶ reset
//!                    └yes─▶ carrier connects ──fails──▶ reset
//!                                 └▶ the packet that waited is answered: open ─▶ bytes both ways ─▶ gone
//! ```
//!
//! So a guest's `connect` says what the destination said. Each direction ends on its own, as the ends ask for it. A guest
//! that resets its connection ends that of its carrier too, whatever the destination does; a connection counts until both
//! are gone.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{IpAddress, IpListenEndpoint, Ipv4Packet, TcpPacket};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::Shared;
use super::wire::Wire;
use crate::cable::Link;
use crate::inside::{Inside, Place};
use crate::outside::{self, OutsideError};
use crate::rules::Refusal;

/// Most connections of a sandbox at once.
const MOST: usize = 512;
/// Most connections of a sandbox to this server at once: more than the ten that an AWS client keeps, and few, because on
/// each the body of a request, which may be large, may wait on the server's disk.
pub(super) const MOST_TO_SERVER: usize = 16;
/// Most connections of a sandbox to folders at once: more than the one for each that a kernel keeps, and few, because each
/// has a thread and room for a request.
pub(super) const MOST_TO_FOLDERS: usize = 8;
/// Bytes that wait in each direction of a connection, besides those in channels.
const BUFFER: usize = 64 * 1024;
/// Largest piece that a carrier takes at once, and pieces that wait in a channel.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 4;
/// How far packets with metadata get: not beyond the sandbox's own network, if an agent builds another behind it.
const METADATA_HOPS: u8 = 1;
/// How long a guest may leave bytes unacknowledged.
const ACKNOWLEDGE_TIMEOUT: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(300);
/// How long the destination may take a guest's last bytes after both have said that they are done.
const LINGER: Duration = Duration::from_secs(60);

/// The guest's port and the destination.
type Key = (u16, SocketAddrV4);

/// What a carrier says.
enum News {
    Connected,
    Bytes(Bytes),
    /// The destination's last byte was before this.
    Ended,
    Failed,
}

/// All connections.
pub(super) struct Flows {
    flows: HashMap<Key, Flow>,
    carriers: JoinSet<()>,
    slots: Arc<Semaphore>,
    slots_to_server: Arc<Semaphore>,
    slots_to_folders: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What a connection counts for, until it and its carrier are gone.
type Slots = Arc<Vec<OwnedSemaphorePermit>>;

/// One connection.
struct Flow {
    /// The packet that waits, then the socket.
    end: End,
    /// Ends with the guest's last byte.
    to_outside: Option<mpsc::Sender<Bytes>>,
    from_outside: mpsc::Receiver<News>,
    /// What the guest has not taken yet.
    waiting: Bytes,
    /// Says how long the carrier may go on once both ends are done; it ends at once if this goes without a word.
    over: Option<oneshot::Sender<Duration>>,
    _slots: Slots,
}

enum End {
    Connecting(Bytes),
    Open(SocketHandle),
}

impl Flows {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            flows: HashMap::new(),
            carriers: JoinSet::new(),
            slots: Arc::new(Semaphore::new(MOST)),
            slots_to_server: Arc::new(Semaphore::new(MOST_TO_SERVER)),
            slots_to_folders: Arc::new(Semaphore::new(MOST_TO_FOLDERS)),
            shared,
        }
    }

    /// Takes a packet, all of which is there.
    pub(super) fn receive(&mut self, packet: Bytes, wire: &mut Wire) {
        if let Some(key) = opens(&packet) {
            match self.flows.get(&key) {
                // Sent again because there was no answer yet.
                Some(Flow {
                    end: End::Connecting(_),
                    ..
                }) => return,
                Some(_) => {}
                None => match self.judge(key.1) {
                    Ok(slots) => return self.begin(key, packet, slots),
                    Err(refusal) => self.tell(key.1, &refusal),
                },
            }
        }
        // What belongs to no connection is answered with a reset there.
        wire.receive(packet);
    }

    fn judge(&self, to: SocketAddrV4) -> Result<Slots, String> {
        let slot = one(&self.slots)
            .ok_or_else(|| format!("the sandbox has {MOST} connections, which is the most"))?;
        let Inside { names, .. } = &self.shared.inside;
        let further = match self.shared.inside.at(to) {
            Some(Place::Server) => Some((&self.slots_to_server, MOST_TO_SERVER)),
            Some(Place::Folder(_)) => Some((&self.slots_to_folders, MOST_TO_FOLDERS)),
            Some(Place::Names | Place::Metadata) => None,
            None => {
                let pins = names.pins.lock().unwrap_or_else(PoisonError::into_inner);
                names
                    .rules
                    .judge(to, &pins)
                    .map_err(|refusal: Refusal| refusal.to_string())?;
                None
            }
        };
        let further = further.map(|(slots, most)| {
            one(slots).ok_or_else(|| format!("the sandbox has {most} connections to it, which is the most"))
        });
        Ok(Arc::new([slot].into_iter().chain(further.transpose()?).collect()))
    }

    fn tell(&self, to: SocketAddrV4, why: &str) {
        self.shared
            .inside
            .names
            .notices
            .give(format!("connection to {to} refused: {why}"));
    }

    fn begin(&mut self, key: Key, first: Bytes, slots: Slots) {
        let (to_outside, from_guest) = mpsc::channel(PIECES);
        let (to_guest, from_outside) = mpsc::channel(PIECES);
        let (over, when_over) = oneshot::channel();
        let carrier = Carrier {
            to: key.1,
            from_guest,
            to_guest,
            shared: Arc::clone(&self.shared),
            _slots: Arc::clone(&slots),
        };
        while self.carriers.try_join_next().is_some() {}
        self.carriers.spawn(carrier.carry(when_over));
        let flow = Flow {
            end: End::Connecting(first),
            to_outside: Some(to_outside),
            from_outside,
            waiting: Bytes::new(),
            over: Some(over),
            _slots: slots,
        };
        self.flows.insert(key, flow);
    }

    /// Moves what can be moved.
    pub(super) fn work(&mut self, wire: &mut Wire) {
        wire.poll();
        self.flows.retain(|key, flow| flow.work(key.1, wire));
        wire.poll();
    }
}

impl Flow {
    /// Moves what can be moved. False when nothing is left to do.
    fn work(&mut self, to: SocketAddrV4, wire: &mut Wire) -> bool {
        let handle = match &self.end {
            End::Open(handle) => *handle,
            End::Connecting(first) => {
                let first = first.clone();
                match self.from_outside.try_recv() {
                    Err(TryRecvError::Empty) => return true,
                    Ok(News::Connected) => {
                        let Some(handle) = accept(first, to, wire) else {
                            return false;
                        };
                        self.end = End::Open(handle);
                        handle
                    }
                    _ => {
                        wire.receive(first);
                        return false;
                    }
                }
            }
        };
        let socket = wire.socket(handle);
        self.take_from_guest(socket);
        self.give_to_guest(socket);
        let both_done = matches!(socket.state(), State::LastAck | State::Closing | State::TimeWait);
        if both_done && let Some(over) = self.over.take() {
            // A carrier that has ended already needs no time.
            over.send(LINGER).ok();
        }
        // The guest's last bytes may still have to be taken, unless it has reset the connection.
        let over = matches!(socket.state(), State::Closed | State::TimeWait)
            && (self.over.is_some() || self.to_outside.is_none());
        if over {
            // A reset is sent with the next poll, and must be sent before the socket goes.
            wire.poll();
            wire.remove(handle);
        }
        !over
    }

    fn take_from_guest(&mut self, socket: &mut Socket<'_>) {
        let Some(to_outside) = &self.to_outside else {
            return;
        };
        while socket.can_recv() {
            let room = match to_outside.try_reserve() {
                Ok(room) => room,
                Err(TrySendError::Full(())) => return,
                Err(TrySendError::Closed(())) => break,
            };
            let taken = socket.recv(|bytes| {
                let length = bytes.len().min(PIECE);
                (length, Bytes::copy_from_slice(&bytes[..length]))
            });
            match taken {
                Ok(bytes) => room.send(bytes),
                Err(_) => return,
            }
        }
        if !matches!(
            socket.state(),
            State::SynReceived | State::Established | State::FinWait1 | State::FinWait2
        ) {
            self.to_outside = None;
        }
    }

    fn give_to_guest(&mut self, socket: &mut Socket<'_>) {
        loop {
            if self.waiting.is_empty() {
                match self.from_outside.try_recv() {
                    Ok(News::Bytes(bytes)) => self.waiting = bytes,
                    Ok(News::Failed) => return socket.abort(),
                    Ok(News::Connected) | Err(TryRecvError::Empty) => return,
                    Ok(News::Ended) | Err(TryRecvError::Disconnected) => return socket.close(),
                }
            }
            if !socket.can_send() {
                return;
            }
            match socket.send_slice(&self.waiting) {
                Ok(sent) => self.waiting.advance(sent),
                Err(_) => return,
            }
        }
    }
}

/// One of the slots, if there are any.
fn one(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(slots).try_acquire_owned().ok()
}

/// A socket that has taken this first packet.
fn accept(first: Bytes, to: SocketAddrV4, wire: &mut Wire) -> Option<SocketHandle> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket.set_timeout(Some(ACKNOWLEDGE_TIMEOUT));
    if *to.ip() == Link::METADATA {
        socket.set_hop_limit(Some(METADATA_HOPS));
    }
    let here = IpListenEndpoint {
        addr: Some(IpAddress::Ipv4(*to.ip())),
        port: to.port(),
    };
    socket.listen(here).ok()?;
    let handle = wire.add(socket);
    wire.receive(first);
    wire.poll();
    if wire.socket(handle).state() == State::Listen {
        // The packet was damaged. The guest sends it again.
        wire.remove(handle);
        return None;
    }
    Some(handle)
}

/// The connection that a packet wants to open.
fn opens(packet: &[u8]) -> Option<Key> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
    let opens = tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin();
    (opens && tcp.dst_port() != 0 && tcp.src_port() != 0)
        .then(|| (tcp.src_port(), SocketAddrV4::new(ip.dst_addr(), tcp.dst_port())))
}

/// Carries one connection's bytes.
struct Carrier {
    to: SocketAddrV4,
    from_guest: mpsc::Receiver<Bytes>,
    to_guest: mpsc::Sender<News>,
    shared: Arc<Shared>,
    _slots: Slots,
}

impl Carrier {
    /// Carries until both ends are done, or until there is no reason to go on.
    async fn carry(self, when_over: oneshot::Receiver<Duration>) {
        let bell = Arc::clone(&self.shared);
        let to_guest = self.to_guest.clone();
        let over = async {
            if let Ok(linger) = when_over.await {
                tokio::time::sleep(linger).await;
            }
        };
        let carried = tokio::select! {
            () = over => Ok(()),
            carried = self.connect_and_carry() => carried,
        };
        if let Err(error) = carried {
            tracing::trace!(
                error = &error as &dyn std::error::Error,
                "a sandbox's connection failed"
            );
            // A stack that is gone needs no news.
            to_guest.send(News::Failed).await.ok();
        }
        drop(to_guest);
        bell.bell.notify_one();
    }

    async fn connect_and_carry(self) -> Result<(), OutsideError> {
        if let Some(place) = self.shared.inside.at(self.to) {
            let (ours, theirs) = tokio::io::duplex(PIECE);
            let shared = Arc::clone(&self.shared);
            let serving = async move { shared.inside.serve(place, theirs).await };
            let (carried, ()) = tokio::join!(self.copy(ours), serving);
            return Ok(carried?);
        }
        match outside::connect_tcp(self.to).await {
            Ok(stream) => Ok(self.copy(stream).await?),
            Err(OutsideError::Refused(refusal)) => {
                let notice = format!("connection to {} refused: {refusal}", self.to);
                self.shared.inside.names.notices.give(notice);
                Err(refusal.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn copy(mut self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut read, mut write) = tokio::io::split(stream);
        let (shared, to_guest) = (self.shared, self.to_guest);
        let tell = async |news| {
            let told = to_guest.send(news).await;
            shared.bell.notify_one();
            told.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        };
        tell(News::Connected).await?;
        let outward = async {
            while let Some(mut bytes) = self.from_guest.recv().await {
                shared.bell.notify_one();
                write.write_all_buf(&mut bytes).await?;
            }
            write.shutdown().await
        };
        let inward = async {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(PIECE);
                if (&mut read).take(PIECE as u64).read_buf(&mut buffer).await? == 0 {
                    return tell(News::Ended).await;
                }
                tell(News::Bytes(buffer.split().freeze())).await?;
            }
        };
        tokio::try_join!(outward, inward)?;
        Ok(())
    }
}
