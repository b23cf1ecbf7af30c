//! A shell on the user's terminal.
//!
//! Keys, new sizes and signs of life go one way, output and the shell's end the other, at the same time. A shell that is
//! left goes on; its id leads back to it.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use coracle_types::ShellId;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Upgraded;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::bytes::Bytes;

use super::terminal::{self, RawTerminal};
use crate::aws::ClientError;
use crate::aws::data::Whereabouts;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::note;

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const DIAGNOSTICS: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const SESSION_OVER: u8 = 0xFF;
/// What a terminal sends for the end of the input.
const END_OF_INPUT: u8 = 4;
/// How often the service hears that we are still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How many bytes of input go into one frame.
const MAX_INPUT: usize = 32 * 1024;

type Socket = WebSocketStream<Upgraded>;

/// A status, in the style of Kubernetes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    metadata: Metadata,
    status: String,
    message: Option<String>,
    details: Option<Details>,
}

/// Says something only when the shell is attached to.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    shell_id: Option<String>,
    reconnected: bool,
    bytes_dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    reason: String,
    message: String,
}

/// How the shell was left.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Exited(u8),
    /// Its session ended.
    Over,
    /// It may go on without us, for this reason.
    Cut(String),
}

pub(super) async fn run(
    context: &Context<'_>,
    place: &Whereabouts<'_>,
    shell: &ShellId,
) -> Result<(), Failure> {
    let socket = context.client.open_shell(place, shell).await?;
    let again = format!(
        "`agentcore exec --it --session-id {} --shell-id {shell}` goes on with it",
        place.session
    );
    context
        .printer
        .info(&format!("session {}, shell {shell}", place.session));
    let (to_shell, from_shell) = socket.split();
    let raw = RawTerminal::enter().map_err(Failure::Terminal)?;
    let left = tokio::select! {
        left = listen(from_shell) => left,
        Err(error) = tell(to_shell) => Err(error),
    };
    drop(raw);
    match left? {
        Left::Exited(0) => Ok(()),
        Left::Exited(code) => Err(Failure::Exited(code)),
        Left::Over => Err(Failure::Shell {
            reason: "its session ended".to_owned(),
            again: None,
        }),
        Left::Cut(reason) => Err(Failure::Shell {
            reason,
            again: Some(again),
        }),
    }
}

/// Passes on what the user does; for ever, unless something fails.
async fn tell(mut shell: SplitSink<Socket, Message>) -> Result<(), Failure> {
    let mut resized = signal(SignalKind::window_change()).map_err(Failure::Terminal)?;
    let mut signs_of_life = tokio::time::interval(SIGN_OF_LIFE);
    let mut keys = keyboard();
    let mut next = size();
    loop {
        if let Some(message) = next {
            // The other direction hears why it failed.
            if shell.send(message).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        next = tokio::select! {
            Some(pressed) = keys.recv() => Some(on(INPUT, &pressed.map_err(Failure::Input)?)),
            _ = resized.recv() => size(),
            _ = signs_of_life.tick() => Some(Message::Ping(Bytes::new())),
        };
    }
}

/// What is typed, and at its end what a terminal says then. Its thread ends with the program.
fn keyboard() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (pressed, keys) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut piece = vec![0; MAX_INPUT];
        loop {
            let read = io::stdin().read(&mut piece);
            let is_over = !matches!(read, Ok(1..));
            let typed = read.map(|length| match length {
                0 => vec![END_OF_INPUT],
                length => piece[..length].to_vec(),
            });
            if pressed.blocking_send(typed).is_err() || is_over {
                return;
            }
        }
    });
    keys
}

fn size() -> Option<Message> {
    let (width, height) = terminal::size()?;
    Some(on(
        RESIZE,
        json!({"width": width, "height": height}).to_string().as_bytes(),
    ))
}

fn on(channel: u8, payload: &[u8]) -> Message {
    Message::Binary([&[channel], payload].concat().into())
}

/// Shows what the shell says, until it is left.
async fn listen(mut shell: SplitStream<Socket>) -> Result<Left, Failure> {
    let cut = |reason: &str| Ok(Left::Cut(reason.to_owned()));
    while let Some(message) = shell.next().await {
        let frame = match message {
            Ok(Message::Binary(frame)) => frame,
            Ok(Message::Close(Some(why))) if !why.reason.is_empty() => return cut(&why.reason),
            Ok(_) => continue,
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(error) => return cut(&error.to_string()),
        };
        let Some((channel, payload)) = frame.split_first() else {
            continue;
        };
        match *channel {
            OUTPUT => {
                let mut screen = io::stdout().lock();
                screen
                    .write_all(payload)
                    .and_then(|()| screen.flush())
                    .map_err(Failure::Output)?;
            }
            DIAGNOSTICS => note(&format!("\r{}\r", String::from_utf8_lossy(payload))),
            STATUS => {
                let status: Status = serde_json::from_slice(payload).map_err(ClientError::Malformed)?;
                if let Some(left) = status.judged() {
                    return Ok(left);
                }
            }
            SESSION_OVER => return Ok(Left::Over),
            _ => {}
        }
    }
    cut("the connection was closed")
}

impl Status {
    /// How the shell was left, if this says so.
    fn judged(self) -> Option<Left> {
        if self.metadata.shell_id.is_some() {
            if self.metadata.reconnected {
                note("back at the shell\r");
            }
            if self.metadata.bytes_dropped > 0 {
                note(&format!(
                    "{} bytes of output were lost meanwhile\r",
                    self.metadata.bytes_dropped
                ));
            }
            return None;
        }
        if self.status == "Success" {
            return Some(Left::Exited(0));
        }
        let causes = self.details.map(|details| details.causes).unwrap_or_default();
        let code = causes.iter().find(|cause| cause.reason == "ExitCode");
        Some(match code.and_then(|cause| cause.message.parse().ok()) {
            Some(code) => Left::Exited(code),
            None => Left::Cut(self.message.unwrap_or_else(|| "it failed".to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: &str) -> Option<Left> {
        serde_json::from_str::<Status>(status).unwrap().judged()
    }

    #[test]
    fn statuses_are_read_as_the_service_writes_them() {
        let attached = r#"{"metadata":{"shellId":"a","reconnected":false},"status":"Success"}"#;
        assert_eq!(judged(attached), None);
        assert_eq!(
            judged(r#"{"metadata":{},"status":"Success"}"#),
            Some(Left::Exited(0))
        );
        let failed = r#"{"metadata":{},"status":"Failure","reason":"NonZeroExitCode",
            "details":{"causes":[{"reason":"ExitCode","message":"137"},{"reason":"Signal","message":"9"}]}}"#;
        assert_eq!(judged(failed), Some(Left::Exited(137)));
        let lost =
            r#"{"metadata":{},"status":"Failure","reason":"InternalError","message":"gone","code":500}"#;
        assert_eq!(judged(lost), Some(Left::Cut("gone".to_owned())));
    }
}
