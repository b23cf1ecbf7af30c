//! Against a guest made of smoltcp, at the other end of a real cable. What lies outside is left to the end-to-end
//! tests: every address of the machine that runs these is closed.

use bytes::BytesMut;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::str::FromStr as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::*;
use crate::cable::codec;
use crate::inside::Door;
use crate::metadata::testing::Front;
use crate::notices::notices;

const PATIENCE: Duration = Duration::from_secs(30);

/// A guest with one connection.
struct Guest {
    interface: Interface,
    frames: Frames,
    sockets: SocketSet<'static>,
    cable: Framed<UnixStream, tokio_util::codec::LengthDelimitedCodec>,
    began: Instant,
    egress: Egress,
}

#[derive(Default)]
struct Frames {
    received: VecDeque<BytesMut>,
    sent: Vec<Vec<u8>>,
}

struct Taken(BytesMut);
struct Room<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Taken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Frames {
    type RxToken<'a> = Taken;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Moment) -> Option<(Taken, Room<'_>)> {
        Some((Taken(self.received.pop_front()?), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Room<'_>> {
        Some(Room(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(cable::MAX_PACKET) + 14;
        capabilities
    }
}

impl Guest {
    fn new(rules: Rules, notices: Notices) -> Self {
        Self::with_door(rules, None, notices)
    }

    fn with_door(rules: Rules, door: Option<Door>, notices: Notices) -> Self {
        let (cable, theirs) = UnixStream::pair().unwrap();
        let mut frames = Frames::default();
        let card = HardwareAddress::Ethernet(EthernetAddress(Link::GUEST_CARD));
        let mut interface = Interface::new(Config::new(card), &mut frames, Moment::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(Link::GUEST), Link::PREFIX))
                .unwrap();
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(Link::GATEWAY)
            .unwrap();
        Self {
            interface,
            frames,
            sockets: SocketSet::new(Vec::new()),
            cable: Framed::new(cable, codec()),
            began: Instant::now(),
            egress: serve(
                theirs,
                Reach {
                    rules: Arc::new(rules),
                    servers: NameServers::default(),
                    door,
                    folders: Vec::new(),
                },
                notices,
            ),
        }
    }

    fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        self.connect_from(50_000, to)
    }

    fn connect_from(&mut self, port: u16, to: SocketAddrV4) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 4096]);
        let handle = self.sockets.add(Socket::new(buffer(), buffer()));
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        let to = (IpAddress::Ipv4(*to.ip()), to.port());
        socket.connect(self.interface.context(), to, port).unwrap();
        handle
    }

    /// Works until the connection is as wanted.
    async fn until(&mut self, handle: SocketHandle, mut wanted: impl FnMut(&mut Socket<'static>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Moment::from_millis(i64::try_from(self.began.elapsed().as_millis()).unwrap());
            self.interface.poll(now, &mut self.frames, &mut self.sockets);
            for frame in self.frames.sent.drain(..) {
                self.cable.feed(Bytes::from(frame)).await.unwrap();
            }
            futures::SinkExt::<Bytes>::flush(&mut self.cable).await.unwrap();
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            if wanted(socket) {
                return;
            }
            assert!(Instant::now() < deadline, "the connection is {}", socket.state());
            let next = tokio::time::timeout(Duration::from_millis(10), self.cable.next()).await;
            if let Ok(frame) = next {
                self.frames.received.push_back(frame.expect("a cable").unwrap());
            }
        }
    }
}

#[tokio::test]
async fn what_is_closed_refuses_connections_at_once_and_is_told() {
    let (noting, mut noted) = notices();
    let mut guest = Guest::new(Rules::default(), noting);
    for closed in [
        "127.0.0.1:80",
        "169.254.169.254:81",
        "192.0.0.1:4580",
        "10.0.0.1:1",
    ] {
        let handle = guest.connect(closed.parse().unwrap());
        guest
            .until(handle, |socket| socket.state() == State::Closed)
            .await;
        let notice = noted.recv().await.unwrap();
        assert!(
            notice.contains(&format!("connection to {closed} refused")),
            "{notice}"
        );
        guest.sockets.remove(handle);
    }
}

#[tokio::test]
async fn a_connection_carries_both_ways_and_ends() {
    let (noting, _noted) = notices();
    let mut guest = Guest::new(Rules::default(), noting);
    let handle = guest.connect(SocketAddrV4::new(Link::GATEWAY, dns_port()));
    guest.until(handle, |socket| socket.may_send()).await;
    let mut question = Message::new(3, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(
        Name::from_str("any.example.").unwrap(),
        RecordType::A,
    ));
    let question = question.to_vec().unwrap();
    let socket = guest.sockets.get_mut::<Socket<'_>>(handle);
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    socket.send_slice(&[&length[..], &question].concat()).unwrap();
    guest.until(handle, |socket| socket.recv_queue() > 2).await;
    let socket = guest.sockets.get_mut::<Socket<'_>>(handle);
    let mut answer = vec![0; socket.recv_queue()];
    socket.recv_slice(&mut answer).unwrap();
    // There is no name server to ask.
    let answer = Message::from_vec(&answer[2..]).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    socket.close();
    guest
        .until(handle, |socket| {
            matches!(socket.state(), State::TimeWait | State::Closed)
        })
        .await;
}

#[tokio::test]
async fn the_door_is_there_once_the_sandbox_is_somebody_whatever_is_closed() {
    let (noting, mut noted) = notices();
    let (door, mut opened) = mpsc::channel(1);
    let rules = Rules {
        off: Some("off".to_owned()),
        ..Rules::default()
    };
    let mut guest = Guest::with_door(rules, Some(door), noting);
    let server = SocketAddrV4::new(Link::GATEWAY, Link::SERVER_PORT);
    let handle = guest.connect(server);
    guest
        .until(handle, |socket| socket.state() == State::Closed)
        .await;
    assert!(noted.recv().await.unwrap().contains(&server.to_string()));
    guest.sockets.remove(handle);
    guest.egress.identify(Arc::new(Front));
    let handle = guest.connect(server);
    guest.until(handle, |socket| socket.may_send()).await;
    let mut connection = opened.recv().await.unwrap();
    connection.write_all(b"welcome").await.unwrap();
    guest.until(handle, |socket| socket.recv_queue() == 7).await;
}

const SERVER: SocketAddrV4 = SocketAddrV4::new(Link::GATEWAY, Link::SERVER_PORT);

/// A guest that is somebody, and where its connections to this server come out.
fn somebody() -> (Guest, mpsc::Receiver<DuplexStream>) {
    let (noting, _noted) = notices();
    let (door, opened) = mpsc::channel(1);
    let guest = Guest::with_door(Rules::default(), Some(door), noting);
    guest.egress.identify(Arc::new(Front));
    (guest, opened)
}

#[tokio::test]
async fn connections_that_a_guest_resets_end_whatever_the_other_end_does() {
    let (mut guest, mut opened) = somebody();
    let mut kept = Vec::new();
    for port in 50_000..50_100 {
        let handle = guest.connect_from(port, SERVER);
        guest.until(handle, |socket| socket.may_send()).await;
        kept.push(opened.recv().await.unwrap());
        // More than waits anywhere, and nobody reads it.
        let full = Instant::now() + Duration::from_millis(50);
        guest
            .until(handle, |socket| {
                socket.send_slice(&[0; 4096]).unwrap();
                port % 10 != 0 || Instant::now() > full
            })
            .await;
        let socket = guest.sockets.get_mut::<Socket<'_>>(handle);
        socket.abort();
        guest
            .until(handle, |socket| socket.remote_endpoint().is_none())
            .await;
        guest.sockets.remove(handle);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for connection in &mut kept {
        let written = connection.write_all(b"still there?").await;
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn connections_to_the_server_are_few_until_one_has_ended() {
    let (mut guest, mut opened) = somebody();
    let mut kept = Vec::new();
    for port in 50_000..50_000 + u16::try_from(tcp::MOST_TO_SERVER).unwrap() {
        let handle = guest.connect_from(port, SERVER);
        guest.until(handle, |socket| socket.may_send()).await;
        kept.push((handle, opened.recv().await.unwrap()));
    }
    let more = guest.connect_from(51_000, SERVER);
    guest.until(more, |socket| socket.state() == State::Closed).await;
    let (handle, connection) = kept.pop().unwrap();
    // The guest has gone, and its connection has not yet.
    guest.sockets.get_mut::<Socket<'_>>(handle).close();
    guest
        .until(handle, |socket| socket.state() == State::FinWait2)
        .await;
    let more = guest.connect_from(51_001, SERVER);
    guest.until(more, |socket| socket.state() == State::Closed).await;
    drop(connection);
    let settled = Instant::now() + Duration::from_millis(100);
    guest
        .until(handle, |socket| {
            socket.state() == State::TimeWait && Instant::now() > settled
        })
        .await;
    let more = guest.connect_from(51_002, SERVER);
    guest.until(more, |socket| socket.may_send()).await;
}

#[tokio::test]
async fn the_other_end_says_that_it_is_done_and_still_listens() {
    let (mut guest, mut opened) = somebody();
    let handle = guest.connect(SERVER);
    guest.until(handle, |socket| socket.may_send()).await;
    let mut connection = opened.recv().await.unwrap();
    connection.write_all(b"all").await.unwrap();
    connection.shutdown().await.unwrap();
    guest
        .until(handle, |socket| {
            socket.state() == State::CloseWait && socket.recv_queue() == 3
        })
        .await;
    let mut left = 60_000;
    guest
        .until(handle, |socket| {
            left -= socket.send_slice(&[7; 4096][..left.min(4096)]).unwrap();
            left == 0
        })
        .await;
    guest.sockets.get_mut::<Socket<'_>>(handle).close();
    // Nothing of what the guest has sent is lost although it knows nothing of this connection any more.
    guest
        .until(handle, |socket| socket.state() == State::Closed)
        .await;
    let mut taken = Vec::new();
    connection.read_to_end(&mut taken).await.unwrap();
    assert_eq!(taken.len(), 60_000);
}

#[tokio::test]
async fn metadata_answers_over_the_cable() {
    let (noting, _noted) = notices();
    let mut guest = Guest::new(Rules::default(), noting);
    let handle = guest.connect(SocketAddrV4::new(Link::METADATA, 80));
    guest.until(handle, |socket| socket.may_send()).await;
    let request =
        "PUT /latest/api/token HTTP/1.1\r\nHost: m\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n";
    let socket = guest.sockets.get_mut::<Socket<'_>>(handle);
    socket.send_slice(request.as_bytes()).unwrap();
    guest.until(handle, |socket| socket.recv_queue() > 15).await;
    let socket = guest.sockets.get_mut::<Socket<'_>>(handle);
    let mut answer = [0; 15];
    socket.recv_slice(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn garbage_disturbs_nothing() {
    let (noting, _noted) = notices();
    let mut guest = Guest::new(Rules::default(), noting);
    for length in 0..200_usize {
        let mut frame = vec![u8::try_from(length).unwrap(); length];
        if length > 34 {
            // As far as an IPv4 packet of the guest's own.
            frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            frame[16..18].copy_from_slice(&u16::try_from(length - 14).unwrap().to_be_bytes());
            frame[20..23].copy_from_slice(&[0, 0, 64]);
            frame[23] = [6, 17, 1][length % 3];
            frame[26..30].copy_from_slice(&Link::GUEST.octets());
        }
        guest.cable.send(Bytes::from(frame)).await.unwrap();
    }
    let handle = guest.connect("127.0.0.1:80".parse().unwrap());
    guest
        .until(handle, |socket| socket.state() == State::Closed)
        .await;
}

fn dns_port() -> u16 {
    crate::dns::PORT
}
