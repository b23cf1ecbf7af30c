//! One client at a shell, until either has enough.
//!
//! | What | The client is told |
//! |---|---|
//! | the shell ends | a status, then 1000 |
//! | another client attaches to the shell | 4000 |
//! | the session is stopped, idle, too old, over its caps | channel 255, then 1001 or 1011 |
//! | the server goes down, the session hibernates | 1001: it may attach again |
//! | the session fails | a status, then 1011 |
//! | a frame is too long, is no WebSocket | 1009, 1002 |
//! | text, again and again, where only binary frames mean something | 1003 |
//! | the connection is open for too long | 1008 |
//!
//! Too many frames are taken slowly. A client that takes nothing makes the shell's programs wait, for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_guest_proto::command::CommandEnd;
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::shell::{FromShell, ToShell};
use coracle_supervisor::{AttachedShell, EndReason, Keyboard, Lease, Screen, SessionEnd};
use coracle_types::ShellId;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error as SocketError, Message};

use super::frames::{self, FromClient};
use crate::data::websocket::{CHANGE_OVER, Closing, WebSocketLimits, closing, kind};
use crate::gateway::listen::ConnectionSlot;
use crate::gateway::rate::Allowance;
use crate::metrics::Metrics;

/// So many text frames are too many.
const MAX_TEXTS: u32 = 5;
/// Words of this server that wait for a client that is busy reading output.
const MAX_NOTES: usize = 16;
/// How long a client may take to read why the connection ends, and to go.
const FAREWELL: Duration = Duration::from_secs(5);
/// Somebody else is at the shell now.
const REPLACED: CloseCode = CloseCode::Library(4000);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// One client at a shell.
pub(super) struct Connection {
    pub(super) id: ShellId,
    pub(super) lease: Arc<Lease>,
    pub(super) limits: WebSocketLimits,
    pub(super) request_id: String,
    pub(super) metrics: Arc<Metrics>,
    /// The client's place among the server's connections.
    pub(super) _slot: Option<ConnectionSlot>,
}

/// How it ends.
enum Ending {
    /// The client closed it, or went away.
    Client,
    /// The shell is over.
    Shell(CommandEnd),
    /// The session is over.
    Session(SessionEnd),
    /// The guest let go of the shell, and the session is still there.
    Lost(FrameError),
    /// This server closes it.
    Closed(Closing),
}

impl Connection {
    /// Serves the client until the end.
    pub(super) async fn run(self, client: OnUpgrade, shell: AttachedShell) {
        let opened = Instant::now();
        let client = match tokio::time::timeout(CHANGE_OVER, client).await {
            Ok(Ok(client)) => TokioIo::new(client),
            // The client went away before it had its answer.
            Ok(Err(_)) | Err(_) => return,
        };
        let _counted = self.metrics.websocket_opened();
        let largest = usize::try_from(self.limits.max_frame).unwrap_or(usize::MAX) + frames::CHANNEL;
        let config = WebSocketConfig::default()
            .max_message_size(Some(largest))
            .max_frame_size(Some(largest));
        let socket = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
        let ending = self.serve(socket, shell).await;
        self.metrics.websocket_ended(ending);
        tracing::info!(
            session = %self.lease.key(),
            shell = %self.id,
            request_id = self.request_id,
            ending,
            elapsed = ?opened.elapsed(),
            "shell left",
        );
    }

    /// Says in one word how it ended.
    async fn serve(&self, socket: Socket, shell: AttachedShell) -> &'static str {
        let (mut to_client, mut from_client) = socket.split();
        let (notes, noted) = mpsc::channel(MAX_NOTES);
        let welcome = frames::attached(&self.id, &shell.attached);
        let ending = tokio::select! {
            ending = self.show(welcome, shell.screen, noted, &mut to_client) => ending,
            ending = self.listen(&mut from_client, shell.keyboard, &notes) => ending,
            end = self.lease.ended() => Ending::Session(end),
            () = tokio::time::sleep(self.limits.duration) => {
                let seconds = self.limits.duration.as_secs();
                Ending::Closed(Closing::new(
                    CloseCode::Policy,
                    format!("a connection may be open for {seconds} seconds"),
                ))
            }
        };
        let ending = match ending {
            Ending::Lost(error) => self.explained(error).await,
            ending => ending,
        };
        let (last, closing, word) = ending.farewell();
        let parting = async {
            if let Some(last) = last {
                to_client.send(Message::Binary(last)).await?;
            }
            let frame = closing.map(|Closing { code, reason }| CloseFrame {
                code,
                reason: reason.into(),
            });
            to_client.send(Message::Close(frame)).await?;
            while from_client.next().await.is_some_and(|message| message.is_ok()) {}
            Ok::<_, SocketError>(())
        };
        // A client that does not listen any more has only itself to tell.
        tokio::time::timeout(FAREWELL, parting).await.ok();
        word
    }

    /// Shows the client what the shell says.
    async fn show(
        &self,
        welcome: Bytes,
        screen: Screen,
        mut noted: mpsc::Receiver<Bytes>,
        client: &mut SplitSink<Socket, Message>,
    ) -> Ending {
        let events = screen.events();
        tokio::pin!(events);
        let mut next = welcome;
        loop {
            match tokio::time::timeout(self.limits.client_stall, client.send(Message::Binary(next))).await {
                Ok(Ok(())) => self.lease.used(),
                Ok(Err(_)) | Err(_) => return Ending::Client,
            }
            next = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(FromShell::Output(bytes))) => frames::output(&bytes),
                    Some(Ok(FromShell::Ended(end))) => return Ending::Shell(end),
                    Some(Ok(FromShell::Replaced)) => {
                        let why = "another client attached to the shell";
                        return Ending::Closed(Closing::new(REPLACED, why));
                    }
                    Some(Ok(FromShell::Attached(_) | FromShell::Refused(_))) => {
                        return Ending::Lost(FrameError::Io(std::io::ErrorKind::InvalidData.into()));
                    }
                    Some(Err(error)) => return Ending::Lost(error),
                    None => return Ending::Lost(FrameError::Ended),
                },
                Some(note) = noted.recv() => note,
            };
        }
    }

    /// Tells the shell what the client says.
    async fn listen(
        &self,
        client: &mut SplitStream<Socket>,
        mut keyboard: Keyboard,
        notes: &mpsc::Sender<Bytes>,
    ) -> Ending {
        let mut allowance = Allowance::unused(Instant::now());
        let mut texts = 0;
        loop {
            let message = match client.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return of_socket(&error),
                None => return Ending::Client,
            };
            self.lease.used();
            if let Err(wait) = allowance.take(self.limits.frames_per_second, Instant::now()) {
                tokio::time::sleep(wait).await;
            }
            let told = match message {
                Message::Binary(bytes) => match FromClient::parse(&bytes) {
                    FromClient::Input(keys) => Some(ToShell::Input(keys)),
                    FromClient::Resize(size) => Some(ToShell::Resize(size)),
                    FromClient::Close => Some(ToShell::HangUp),
                    FromClient::Heartbeat(echo) => {
                        // One that is not echoed is followed by others.
                        notes.try_send(echo).ok();
                        None
                    }
                    FromClient::Strange(what) => {
                        notes.try_send(frames::diagnostics(what)).ok();
                        None
                    }
                },
                Message::Text(_) => {
                    texts += 1;
                    let why = "shells understand binary frames only";
                    if texts >= MAX_TEXTS {
                        return Ending::Closed(Closing::new(CloseCode::Unsupported, why));
                    }
                    notes.try_send(frames::diagnostics(why)).ok();
                    None
                }
                Message::Close(_) => return Ending::Client,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
            };
            let Some(told) = told else { continue };
            match tokio::time::timeout(self.limits.agent_stall, keyboard.tell(&told)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ending::Lost(error),
                Err(_) => {
                    let why = "no program in the shell reads what is typed";
                    return Ending::Closed(Closing::new(CloseCode::Error, why));
                }
            }
        }
    }

    /// Why the guest let go of the shell: with its session, most likely.
    async fn explained(&self, error: FrameError) -> Ending {
        match self.lease.why_failed().await {
            Some(end) => Ending::Session(end),
            None => {
                let session = self.lease.key();
                tracing::error!(%session, shell = %self.id, error = crate::error_chain(&error), "a shell was lost");
                Ending::Lost(error)
            }
        }
    }
}

fn of_socket(error: &SocketError) -> Ending {
    match error {
        SocketError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let why = format!("a frame has {size} bytes, over the limit of {max_size}");
            Ending::Closed(Closing::new(CloseCode::Size, why))
        }
        SocketError::Protocol(broken) => {
            Ending::Closed(Closing::new(CloseCode::Protocol, broken.to_string()))
        }
        _ => Ending::Client,
    }
}

impl Ending {
    /// The last message and the close frame for the client, and one word for metrics and logs.
    fn farewell(self) -> (Option<Bytes>, Option<Closing>, &'static str) {
        let normal = Some(Closing::new(CloseCode::Normal, ""));
        match self {
            Self::Client => (None, normal, "closed"),
            Self::Shell(end) => (Some(frames::ended(&end)), normal, "closed"),
            Self::Session(end) => {
                let closing = closing(&end);
                let last = match end.reason {
                    EndReason::Stopped
                    | EndReason::Killed
                    | EndReason::CapReached(_)
                    | EndReason::Idle
                    | EndReason::LifetimeOver => Some(frames::close()),
                    EndReason::Drained | EndReason::Hibernated => None,
                    _ => Some(frames::failed(&closing.reason)),
                };
                let word = kind(closing.code);
                (last, Some(closing), word)
            }
            Self::Lost(_) => {
                let why = "the shell was lost";
                let closing = Closing::new(CloseCode::Error, why);
                (Some(frames::failed(why)), Some(closing), "failed")
            }
            Self::Closed(closing) => {
                let word = if closing.code == REPLACED {
                    "replaced"
                } else {
                    kind(closing.code)
                };
                (None, Some(closing), word)
            }
        }
    }
}
