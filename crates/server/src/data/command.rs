//! InvokeAgentRuntimeCommand: a command beside the agent of a session, its output as an AWS event stream.
//!
//! ```text
//! contentStart ──▶ contentDelta* ──▶ contentStop
//!                        └── the sandbox is gone, too much output ──▶ exception
//! ```
//!
//! The command counts as a request of its session. A client that goes away ends it.

use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue as EventValue, Message};
use bytes::{Bytes, BytesMut};
use coracle_guest_proto::command::{CommandEnd, CommandEvent, RunCommand};
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::log::Output;
use coracle_supervisor::{Lease, LogLine, LogSink as _, RunningCommand};
use coracle_types::{SessionId, SessionKey};
use coracle_wire::data::InvokeAgentRuntimeCommandRequest;
use coracle_wire::data::operations::InvokeAgentRuntimeCommand;
use coracle_wire::{Error, Labels};
use futures::stream;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::invoke::Attempt;
use super::relay::RelayError;
use super::routes::Served;
use super::target::Target;
use super::{DataPlane, headers, trace};
use crate::gateway::Caller;
use crate::gateway::body::{BoxError, ResponseBody};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");
/// What policies call it.
const ACTION: &str = "InvokeAgentRuntimeCommand";
/// Seconds a command may take if its caller does not say.
const DEFAULT_TIMEOUT: i32 = 300;
const TIMEOUTS: std::ops::RangeInclusive<i32> = 1..=3600;
/// Most output of a command, in bytes.
const MAX_OUTPUT: usize = 100 * 1024 * 1024;
/// Longest piece of output in an event, in bytes of JSON. The service's events are of at most 64 KB.
const MAX_EVENT_TEXT: usize = 60_000;
/// The exit code of a command that never began.
const PLATFORM_FAULT: i32 = -1;
/// The exit code of a command whose time was over, as `timeout` gives it.
const TIMED_OUT: i32 = 124;
/// How much of a command is kept in its session's log, in characters.
const LOGGED: usize = 4096;

impl DataPlane {
    /// Runs a command in a session, which is started if need be.
    ///
    /// # Errors
    /// What is found before the first byte of the answer.
    pub(crate) async fn run_command(
        &self,
        caller: &Caller,
        labels: &Labels,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Response<ResponseBody>, Error> {
        let input = coracle_wire::parse::<InvokeAgentRuntimeCommand>(&coracle_wire::Request {
            labels,
            parts,
            body,
            body_limit: body.len(),
        })?;
        let command = wanted(&input)?;
        let target = Target::named(
            caller,
            &input.agent_runtime_arn,
            input.qualifier.as_deref(),
            input.account_id.as_deref(),
        )?;
        let served = self.authorized(caller, &target, [ACTION]).await?;
        let key = SessionKey {
            runtime: target.runtime.clone(),
            endpoint: target.endpoint.clone(),
            session: input.runtime_session_id.unwrap_or_else(SessionId::random),
        };
        let (running, lease, _) = self.in_session(&target, key, served, &command).await?;
        self.note_beside(caller, lease.key(), ACTION, &command.0.command)
            .await;
        let mut sent = parts.headers.clone();
        trace::complete(&mut sent);
        let mut headers = headers::to_caller(&http::HeaderMap::new(), &sent, &lease.key().session);
        headers.insert(CONTENT_TYPE, EVENT_STREAM);
        let mut response = Response::new(events(running, lease));
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// What is run beside an agent is for its session's log; what comes of it is the caller's alone.
    pub(super) async fn note_beside(&self, caller: &Caller, key: &SessionKey, action: &str, what: &str) {
        let what: String = what.chars().take(LOGGED).collect();
        let line = LogLine {
            time: Timestamp::now(),
            output: Output::Stdout,
            line: format!("{action} {} by {}: {what}", caller.request_id, caller.arn()),
            partial: false,
        };
        self.logs.write(key, vec![line]).await;
    }
}

fn wanted(input: &InvokeAgentRuntimeCommandRequest) -> Result<Wanted, Error> {
    let timeout = input.body.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let timeout_secs = u32::try_from(timeout)
        .ok()
        .filter(|_| TIMEOUTS.contains(&timeout))
        .ok_or_else(|| {
            let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
            Error::validation_field(
                "body.timeout",
                format!("Member must be between {least} and {most}"),
            )
        })?;
    Ok(Wanted(RunCommand {
        command: input.body.command.clone(),
        timeout_secs,
    }))
}

struct Wanted(RunCommand);

impl Attempt for Wanted {
    type Answer = RunningCommand;

    async fn make(&self, lease: &Arc<Lease>, _: &Served) -> Result<RunningCommand, RelayError> {
        lease.run(self.0.clone()).await.map_err(RelayError::Unreachable)
    }
}

/// The answer's body. It holds the session until it is over.
fn events(running: RunningCommand, lease: Arc<Lease>) -> ResponseBody {
    let state = Narration {
        running,
        lease,
        stdout: Text::default(),
        stderr: Text::default(),
        output: 0,
        untold: None,
        next: Next::Start,
    };
    let messages = stream::unfold(state, |mut state| async move {
        let message = state.message().await?;
        Some((encoded(&message).map(Frame::data), state))
    });
    StreamBody::new(messages).boxed_unsync()
}

/// The story of a command, told in messages.
struct Narration {
    running: RunningCommand,
    lease: Arc<Lease>,
    stdout: Text,
    stderr: Text,
    output: usize,
    /// What is left of a piece of output that was too long for one event.
    untold: Option<(&'static str, String)>,
    next: Next,
}

/// What is to be told next.
enum Next {
    Start,
    Output,
    Stop { code: i32, status: &'static str },
    Nothing,
}

impl Narration {
    async fn message(&mut self) -> Option<Message> {
        match std::mem::replace(&mut self.next, Next::Output) {
            Next::Start => Some(chunk(&json!({"contentStart": {}}))),
            Next::Output => Some(self.happening().await),
            Next::Stop { code, status } => {
                self.next = Next::Nothing;
                Some(stop(code, status))
            }
            Next::Nothing => {
                self.next = Next::Nothing;
                None
            }
        }
    }

    async fn happening(&mut self) -> Message {
        if let Some((name, text)) = self.untold.take() {
            return self.delta(name, text);
        }
        loop {
            let (name, text) = match self.running.next().await {
                Ok(CommandEvent::Stdout(bytes)) => ("stdout", self.stdout.append(&bytes)),
                Ok(CommandEvent::Stderr(bytes)) => ("stderr", self.stderr.append(&bytes)),
                Ok(CommandEvent::Ended(end)) => return self.ended(end),
                Err(error) => return self.broken(&error).await,
            };
            self.output += text.len();
            if self.output > MAX_OUTPUT {
                self.next = Next::Nothing;
                let text = format!("The command wrote more than {MAX_OUTPUT} bytes and was ended");
                return exception("runtimeClientError", &text);
            }
            if !text.is_empty() {
                return self.delta(name, text);
            }
        }
    }

    /// Tells of output, as much as an event may.
    fn delta(&mut self, name: &'static str, mut text: String) -> Message {
        let rest = text.split_off(fitting(&text));
        self.untold = (!rest.is_empty()).then_some((name, rest));
        chunk(&json!({"contentDelta": {name: text}}))
    }

    /// What is left of the output comes first.
    fn ended(&mut self, end: CommandEnd) -> Message {
        let mut rest = serde_json::Map::new();
        for (name, text) in [("stdout", self.stdout.finish()), ("stderr", self.stderr.finish())] {
            if !text.is_empty() {
                rest.insert(name.to_owned(), text.into());
            }
        }
        let (code, status) = match end {
            CommandEnd::Exited { code } => (code, "COMPLETED"),
            CommandEnd::Killed { signal } => (128 + signal, "COMPLETED"),
            CommandEnd::TimedOut => (TIMED_OUT, "TIMED_OUT"),
            CommandEnd::NotStarted { reason } => {
                rest.insert("stderr".to_owned(), reason.into());
                (PLATFORM_FAULT, "COMPLETED")
            }
        };
        if rest.is_empty() {
            self.next = Next::Nothing;
            return stop(code, status);
        }
        self.next = Next::Stop { code, status };
        chunk(&json!({"contentDelta": rest}))
    }

    async fn broken(&mut self, error: &FrameError) -> Message {
        self.next = Next::Nothing;
        match self.lease.why_failed().await {
            Some(end) => exception(
                "runtimeClientError",
                &format!("The session ended while the command ran: {}", end.reason),
            ),
            None => {
                let session = self.lease.key();
                tracing::error!(%session, error = crate::error_chain(error), "a command's stream broke");
                exception("internalServerException", "The command's output broke off")
            }
        }
    }
}

/// Output that comes in pieces, whose borders may be inside characters.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    /// The text up to the last whole character. What is no UTF-8 is replaced.
    fn append(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let whole = match self.0.utf8_chunks().last() {
            // Three bytes at most may be the beginning of a character.
            Some(last) if !last.invalid().is_empty() && is_beginning(last.invalid()) => {
                self.0.len() - last.invalid().len()
            }
            _ => self.0.len(),
        };
        let rest = self.0.split_off(whole);
        let text = String::from_utf8_lossy(&self.0).into_owned();
        self.0 = rest;
        text
    }

    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// How many bytes of a text fit into an event.
fn fitting(text: &str) -> usize {
    let mut room = MAX_EVENT_TEXT;
    let over = text.char_indices().find(|(_, character)| {
        let left = room.checked_sub(length_in_json(*character));
        room = left.unwrap_or(0);
        left.is_none()
    });
    over.map_or(text.len(), |(at, _)| at)
}

fn length_in_json(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => 6,
        other => other.len_utf8(),
    }
}

fn stop(code: i32, status: &str) -> Message {
    chunk(&json!({"contentStop": {"exitCode": code, "status": status}}))
}

fn chunk(payload: &Value) -> Message {
    Message::new(payload.to_string())
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", "chunk"))
        .add_header(header(":content-type", "application/json"))
}

fn exception(kind: &'static str, message: &str) -> Message {
    Message::new(json!({"message": message}).to_string())
        .add_header(header(":message-type", "exception"))
        .add_header(header(":exception-type", kind))
        .add_header(header(":content-type", "application/json"))
}

fn header(name: &'static str, value: &'static str) -> Header {
    Header::new(name, EventValue::String(value.into()))
}

fn encoded(message: &Message) -> Result<Bytes, BoxError> {
    let mut bytes = BytesMut::new();
    write_message_to(message, &mut bytes)?;
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_cut_in_two_come_whole() {
        let mut text = Text::default();
        assert_eq!(text.append("a€".as_bytes().split_at(2).0), "a");
        assert_eq!(text.append("a€".as_bytes().split_at(2).1), "€");
        assert_eq!(text.append(b"x\xffy"), "x\u{fffd}y");
        assert_eq!(text.append(b"\xe2\x82"), "");
        assert_eq!(text.finish(), "\u{fffd}");
    }

    #[test]
    fn output_that_json_makes_longer_goes_in_more_events() {
        for text in ["\0", "\n", "x", "€", "\"\u{7f}\u{1b}é"].map(|piece| piece.repeat(70_000)) {
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (event, left) = rest.split_at(fitting(rest));
                let length = json!(event).to_string().len() - 2;
                assert!(length <= MAX_EVENT_TEXT, "{length}");
                assert!(left.is_empty() || length > MAX_EVENT_TEXT - 6, "{length}");
                rest = left;
            }
        }
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_the_text(whole in ".{0,40}", cuts in proptest::collection::vec(1..5_usize, 0..60)) {
            let (mut text, mut told, mut rest) = (Text::default(), String::new(), whole.as_bytes());
            for cut in cuts {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                told += &text.append(piece);
                rest = left;
            }
            told += &text.append(rest);
            prop_assert_eq!(text.finish(), "");
            prop_assert_eq!(told, whole);
        }
    }
}
