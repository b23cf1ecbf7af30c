//! What WebSocket messages at a shell say: the first byte names a channel, the rest is for it.

use bytes::Bytes;
use coracle_guest_proto::command::CommandEnd;
use coracle_guest_proto::shell::{Attached, TerminalSize};
use coracle_types::ShellId;
use serde::Deserialize;
use serde_json::{Value, json};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const DIAGNOSTICS: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const HEARTBEAT: u8 = 5;
const CLOSE: u8 = 0xFF;

/// Bytes in front of the payload.
pub(super) const CHANNEL: usize = 1;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromClient {
    Input(Bytes),
    Resize(TerminalSize),
    /// To be echoed.
    Heartbeat(Bytes),
    /// The shell is to end.
    Close,
    /// Nothing that can be understood: what is wrong with it.
    Strange(&'static str),
}

/// The payload of a resize. More columns than a terminal can have are as many as it can have.
#[derive(Deserialize)]
struct Resize {
    width: u64,
    height: u64,
}

impl FromClient {
    pub(super) fn parse(message: &Bytes) -> Self {
        let Some(channel) = message.first() else {
            return Self::Strange("an empty frame names no channel");
        };
        let payload = message.slice(CHANNEL..);
        match *channel {
            STDIN => Self::Input(payload),
            RESIZE => match serde_json::from_slice::<Resize>(&payload) {
                Ok(Resize { width, height }) if width > 0 && height > 0 => Self::Resize(TerminalSize {
                    columns: width.try_into().unwrap_or(u16::MAX),
                    rows: height.try_into().unwrap_or(u16::MAX),
                }),
                _ => Self::Strange("a resize is {\"width\": columns, \"height\": rows}"),
            },
            HEARTBEAT => Self::Heartbeat(message.clone()),
            CLOSE => Self::Close,
            _ => Self::Strange(
                "clients send on the channels 0 (input), 4 (resize), 5 (heartbeat) and 255 (close)",
            ),
        }
    }
}

fn on(channel: u8, payload: &[u8]) -> Bytes {
    [&[channel], payload].concat().into()
}

/// What the shell wrote.
pub(super) fn output(bytes: &[u8]) -> Bytes {
    on(STDOUT, bytes)
}

/// A word from this server, not from the shell.
pub(super) fn diagnostics(text: &str) -> Bytes {
    on(DIAGNOSTICS, text.as_bytes())
}

/// The session ends, and the shell with it.
pub(super) fn close() -> Bytes {
    on(CLOSE, &[])
}

/// The client is attached.
pub(super) fn attached(id: &ShellId, attached: &Attached) -> Bytes {
    let mut metadata = json!({"shellId": id.as_str(), "reconnected": attached.reconnected});
    if attached.bytes_dropped > 0 {
        metadata["bytesDropped"] = attached.bytes_dropped.into();
    }
    status(json!({"metadata": metadata, "status": "Success"}))
}

/// The shell is over.
pub(super) fn ended(end: &CommandEnd) -> Bytes {
    match end {
        CommandEnd::Exited { code: 0 } => status(json!({"metadata": {}, "status": "Success"})),
        CommandEnd::Exited { code } => exited(*code, None),
        CommandEnd::Killed { signal } => exited(128 + signal, Some(*signal)),
        CommandEnd::TimedOut | CommandEnd::NotStarted { .. } => failed("the shell ended"),
    }
}

fn exited(code: i32, signal: Option<i32>) -> Bytes {
    let causes = [("ExitCode", Some(code)), ("Signal", signal)];
    let causes: Vec<Value> = causes
        .into_iter()
        .filter_map(|(reason, number)| Some(json!({"reason": reason, "message": number?.to_string()})))
        .collect();
    status(json!({
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": format!("command terminated with exit code {code}"),
        "details": {"causes": causes},
    }))
}

/// The shell is gone, and not by itself.
pub(super) fn failed(why: &str) -> Bytes {
    status(json!({
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": why,
        "code": 500,
    }))
}

fn status(mut status: Value) -> Bytes {
    status["kind"] = "Status".into();
    status["apiVersion"] = "v1".into();
    on(STATUS, status.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(message: &[u8]) -> FromClient {
        FromClient::parse(&Bytes::copy_from_slice(message))
    }

    fn told(message: &Bytes) -> Value {
        assert_eq!(message[0], STATUS);
        serde_json::from_slice(&message[1..]).unwrap()
    }

    #[test]
    fn channels_are_told_apart() {
        assert_eq!(parse(b"\x00ls\n"), FromClient::Input("ls\n".into()));
        let size = TerminalSize {
            columns: 120,
            rows: 40,
        };
        assert_eq!(
            parse(b"\x04{\"width\":120,\"height\":40}"),
            FromClient::Resize(size)
        );
        assert_eq!(parse(b"\x05"), FromClient::Heartbeat("\x05".into()));
        assert_eq!(parse(b"\xff"), FromClient::Close);
        for strange in [
            &b""[..],
            b"\x01out",
            b"\x04{}",
            b"\x04{\"width\":0,\"height\":1}",
            b"\x07",
        ] {
            assert!(
                matches!(parse(strange), FromClient::Strange(_)),
                "{strange:?} passed"
            );
        }
    }

    #[test]
    fn the_end_is_told_as_kubernetes_does() {
        let clean = told(&ended(&CommandEnd::Exited { code: 0 }));
        assert_eq!(
            clean,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
        );
        let failed = told(&ended(&CommandEnd::Exited { code: 3 }));
        assert_eq!(
            failed["details"]["causes"],
            json!([{"reason": "ExitCode", "message": "3"}])
        );
        let killed = told(&ended(&CommandEnd::Killed { signal: 9 }));
        assert_eq!(killed["message"], "command terminated with exit code 137");
        assert_eq!(
            killed["details"]["causes"][1],
            json!({"reason": "Signal", "message": "9"})
        );
    }

    #[test]
    fn dropped_output_is_told_only_if_there_is_any() {
        let id: ShellId = "a".parse().unwrap();
        let dropped = |bytes_dropped| {
            let how = Attached {
                reconnected: true,
                bytes_dropped,
            };
            told(&attached(&id, &how))["metadata"].clone()
        };
        assert_eq!(dropped(0), json!({"shellId": "a", "reconnected": true}));
        assert_eq!(dropped(5)["bytesDropped"], 5);
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_judged(message in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            parse(&message);
        }
    }
}
