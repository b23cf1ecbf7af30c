//! Both ends are real WebSocket implementations; only the network and the time are not.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Bytes, Message};

use super::*;

const LIMITS: WebSocketLimits = WebSocketLimits {
    max_frame: 64 * 1024,
    frames_per_second: NonZeroU32::new(250).unwrap(),
    duration: Duration::from_secs(3600),
    client_stall: Duration::from_secs(60),
    agent_stall: Duration::from_secs(900),
};
/// What the network holds in one direction, in bytes.
const NETWORK: usize = 16 * 1024;

type Socket = WebSocketStream<DuplexStream>;

/// A session that ends when told to.
struct Told(watch::Receiver<Option<Closing>>);

impl Session for Told {
    fn used(&self) {}

    async fn ended(&self) -> Closing {
        let mut told = self.0.clone();
        let closing = told.wait_for(Option::is_some).await;
        match closing.ok().and_then(|closing| closing.clone()) {
            Some(closing) => closing,
            None => std::future::pending().await,
        }
    }

    async fn why_gone(&self) -> Closing {
        Closing::new(CloseCode::Error, "the agent is gone")
    }
}

struct Fixture {
    client: Socket,
    agent: Socket,
    end: watch::Sender<Option<Closing>>,
    traffic: Arc<Traffic>,
    tunnel: JoinHandle<Ending>,
}

async fn open() -> Fixture {
    let (client, from_client) = tokio::io::duplex(NETWORK);
    let (agent, from_agent) = tokio::io::duplex(NETWORK);
    let (end, told) = watch::channel(None);
    let traffic = Arc::new(Traffic::default());
    let counted = Arc::clone(&traffic);
    let tunnel =
        tokio::spawn(async move { run(from_client, from_agent, &LIMITS, &Told(told), &counted).await });
    Fixture {
        client: WebSocketStream::from_raw_socket(client, Role::Client, None).await,
        agent: WebSocketStream::from_raw_socket(agent, Role::Server, None).await,
        end,
        traffic,
        tunnel,
    }
}

/// The code and the reason that this party is told, after whatever else it is sent.
async fn told(socket: &mut Socket) -> Option<(u16, String)> {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(CloseFrame { code, reason })) = message {
            return Some((code.into(), reason.to_string()));
        }
    }
    None
}

async fn code_told(socket: &mut Socket) -> Option<u16> {
    told(socket).await.map(|(code, _)| code)
}

fn binary(length: usize) -> Message {
    Message::Binary(Bytes::from(vec![7; length]))
}

#[tokio::test(start_paused = true)]
async fn messages_pass_both_ways_and_so_does_the_end() {
    let Fixture {
        mut client,
        mut agent,
        traffic,
        tunnel,
        ..
    } = open().await;
    for message in [
        Message::text("äh"),
        binary(64 * 1024),
        Message::Ping(Bytes::from_static(b"?")),
        binary(0),
    ] {
        let (sent, received) = tokio::join!(client.send(message.clone()), agent.next());
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap(), message);
    }
    let (sent, pong) = tokio::join!(agent.send(Message::text("back")), client.next());
    sent.unwrap();
    assert_eq!(pong.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"?")));
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("back"));
    let frame = CloseFrame {
        code: CloseCode::Library(4000),
        reason: "done".into(),
    };
    client.close(Some(frame)).await.unwrap();
    let (at_agent, _) = tokio::join!(told(&mut agent), told(&mut client));
    assert_eq!(at_agent.unwrap(), (4000, "done".to_owned()));
    drop((client, agent));
    assert_eq!(tunnel.await.unwrap(), Ending::Closed);
    assert_eq!(traffic.from_client.frames.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_a_limit_is_told_which() {
    let Fixture {
        mut client,
        mut agent,
        tunnel,
        ..
    } = open().await;
    let (_, at_agent) = tokio::join!(client.send(binary(64 * 1024 + 1)), code_told(&mut agent));
    assert_eq!(at_agent, Some(1001));
    drop(agent);
    let (code, reason) = told(&mut client).await.unwrap();
    assert_eq!(code, 1009);
    assert!(reason.contains("65537"), "{reason}");
    assert!(matches!(tunnel.await.unwrap(), Ending::Ended(_)));

    let Fixture {
        mut client,
        mut agent,
        ..
    } = open().await;
    let flood = async {
        for _ in 0..251 {
            client.feed(binary(1)).await.unwrap();
        }
        client.flush().await.unwrap();
    };
    let ((), at_agent) = tokio::join!(flood, code_told(&mut agent));
    assert_eq!(at_agent, Some(1001));
    assert_eq!(code_told(&mut client).await, Some(1008));
}

#[tokio::test(start_paused = true)]
async fn frames_at_the_rate_may_go_on_for_ever() {
    let Fixture {
        mut client,
        mut agent,
        ..
    } = open().await;
    let sending = async {
        for _ in 0..1000 {
            client.send(binary(1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    };
    let receiving = async {
        for _ in 0..1000 {
            assert_eq!(agent.next().await.unwrap().unwrap(), binary(1));
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_breaks_a_limit_costs_the_client_its_connection() {
    let Fixture {
        mut client,
        mut agent,
        ..
    } = open().await;
    let (_, at_client) = tokio::join!(agent.send(binary(64 * 1024 + 1)), told(&mut client));
    let (code, reason) = at_client.unwrap();
    assert_eq!(code, 1009);
    assert!(reason.starts_with("from the agent"), "{reason}");
    assert_eq!(code_told(&mut agent).await, Some(1009));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_is_reported_to_the_other() {
    let Fixture {
        mut client, agent, ..
    } = open().await;
    drop(agent);
    assert_eq!(
        told(&mut client).await.unwrap(),
        (1011, "the agent is gone".to_owned())
    );
    let Fixture {
        client,
        mut agent,
        tunnel,
        ..
    } = open().await;
    drop(client);
    assert_eq!(code_told(&mut agent).await, Some(1001));
    drop(agent);
    assert_eq!(tunnel.await.unwrap(), Ending::ClientGone);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_and_of_the_time_are_told_to_both() {
    let Fixture {
        mut client,
        mut agent,
        end,
        ..
    } = open().await;
    end.send_replace(Some(Closing::new(CloseCode::Away, "the session was stopped")));
    let expected = Some((1001, "the session was stopped".to_owned()));
    assert_eq!(told(&mut client).await, expected);
    assert_eq!(told(&mut agent).await, expected);

    let Fixture {
        mut client,
        mut agent,
        end: _end,
        ..
    } = open().await;
    let opened = Instant::now();
    assert_eq!(code_told(&mut client).await, Some(1008));
    assert_eq!(code_told(&mut agent).await, Some(1001));
    assert_eq!(opened.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_makes_the_agent_wait_and_is_left_in_the_end() {
    let Fixture {
        client,
        agent,
        traffic,
        tunnel,
        ..
    } = open().await;
    let (mut to_client, mut from_client) = agent.split();
    let began = Instant::now();
    let sending = tokio::spawn(async move { while to_client.send(binary(60_000)).await.is_ok() {} });
    let mut at_agent = None;
    while let Some(Ok(message)) = from_client.next().await {
        if let Message::Close(Some(frame)) = message {
            at_agent = Some((u16::from(frame.code), began.elapsed().as_secs()));
        }
    }
    assert_eq!(at_agent, Some((1001, 60)));
    assert_eq!(tunnel.await.unwrap(), Ending::ClientGone);
    assert!(traffic.from_agent.bytes.load(Ordering::Relaxed) < 200_000);
    sending.await.unwrap();
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_closes_does_not_keep_the_client() {
    let (client, from_client) = tokio::io::duplex(NETWORK);
    let (agent, from_agent) = tokio::io::duplex(NETWORK);
    let (_end, ended) = watch::channel(None);
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let began = Instant::now();
    let tunnel = tokio::spawn(async move {
        run(
            from_client,
            from_agent,
            &LIMITS,
            &Told(ended),
            &Traffic::default(),
        )
        .await
    });
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    client.close(Some(frame)).await.unwrap();
    assert_eq!(code_told(&mut client).await, Some(1000));
    assert_eq!(began.elapsed(), CLOSE_TIMEOUT);
    drop(client);
    assert_eq!(tunnel.await.unwrap(), Ending::Closed);
    drop(agent);
}
