//! QEMU's monitor, spoken to over its socket (docs/interop/qmp-spec.rst of QEMU): one JSON value per line.
//!
//! ```text
//!  ◀ {"QMP": …}  ▶ qmp_capabilities  ◀ {"return": {}, "id": 0}   then commands, and events at any time
//! ```
//!
//! One command at a time. QEMU's bytes are hostile: lines are bounded, every wait has an end, and a peer that
//! breaks the protocol loses the connection. Events that nobody waits for are kept up to a bound, the newest
//! ones.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest line accepted, in bytes.
const MAX_LINE: usize = 1024 * 1024;
/// Most events kept while nobody asks for them.
const MAX_EVENTS: usize = 64;
/// How long a command may take unless it says otherwise.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the monitor could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The connection failed.
    #[error("the connection to QEMU's monitor failed")]
    Io(#[from] std::io::Error),
    /// QEMU closed the connection.
    #[error("QEMU closed its monitor")]
    Closed,
    /// QEMU said something that is not its protocol.
    #[error("QEMU's monitor does not speak its protocol: {0}")]
    Protocol(&'static str),
    /// QEMU refused the command.
    #[error("QEMU refused {command}: {description}")]
    Refused {
        /// The command.
        command: String,
        /// What QEMU said.
        description: String,
    },
    /// QEMU did not answer.
    #[error("QEMU did not answer within {0:?}")]
    Timeout(Duration),
}

/// Something that happened in the machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// Its name, such as `SHUTDOWN`.
    #[serde(rename = "event")]
    pub name: String,
    /// What belongs to it.
    #[serde(default)]
    pub data: Value,
}

/// A connection to a monitor. After an error other than a refusal it is of no further use.
#[derive(Debug)]
pub struct Qmp<S> {
    stream: S,
    /// Bytes of lines not yet taken.
    received: Vec<u8>,
    /// How much of `received` is known to hold no line end.
    scanned: usize,
    next_id: u64,
    events: VecDeque<Event>,
}

/// A line of QEMU's.
#[derive(Deserialize)]
struct Answer {
    id: Option<u64>,
    #[serde(rename = "return")]
    returned: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    desc: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Qmp<S> {
    /// Greets QEMU on a fresh connection.
    ///
    /// # Errors
    /// When there is no monitor at the other end, or it does not answer.
    pub async fn connect(stream: S) -> Result<Self, QmpError> {
        let mut qmp = Self {
            stream,
            received: Vec::new(),
            scanned: 0,
            next_id: 0,
            events: VecDeque::new(),
        };
        let greeting = within(COMMAND_TIMEOUT, qmp.line()).await?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Protocol("no greeting"));
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returns.
    ///
    /// # Errors
    /// When QEMU refuses it, or the connection fails.
    pub async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        within(COMMAND_TIMEOUT, self.exchange(command, arguments)).await
    }

    /// The next event, however long it takes.
    ///
    /// # Errors
    /// When the connection fails first.
    pub async fn event(&mut self) -> Result<Event, QmpError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let line = self.line().await?;
            if !self.keep_event(&line) {
                return Err(QmpError::Protocol("an answer nobody asked for"));
            }
        }
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = json!({"execute": command, "arguments": arguments, "id": id}).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes()).await?;
        loop {
            let line = self.line().await?;
            if self.keep_event(&line) {
                continue;
            }
            let answer: Answer =
                serde_json::from_value(line).map_err(|_| QmpError::Protocol("an answer of no known form"))?;
            return match answer {
                Answer {
                    id: Some(answered), ..
                } if answered != id => Err(QmpError::Protocol("an answer to another command")),
                Answer {
                    error: Some(Refusal { desc }),
                    ..
                } => Err(QmpError::Refused {
                    command: command.to_owned(),
                    description: desc,
                }),
                Answer {
                    returned: Some(value),
                    ..
                } => Ok(value),
                Answer { .. } => Err(QmpError::Protocol("an answer of no known form")),
            };
        }
    }

    fn keep_event(&mut self, line: &Value) -> bool {
        let Ok(event) = Event::deserialize(line) else {
            return false;
        };
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
        true
    }

    /// The next line. Nothing is lost when the future is dropped before it is ready.
    async fn line(&mut self) -> Result<Value, QmpError> {
        loop {
            if let Some(end) = self.received[self.scanned..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let rest = self.received.split_off(self.scanned + end + 1);
                let line = std::mem::replace(&mut self.received, rest);
                self.scanned = 0;
                return serde_json::from_slice(&line)
                    .map_err(|_| QmpError::Protocol("a line that is no JSON"));
            }
            self.scanned = self.received.len();
            if self.received.len() >= MAX_LINE {
                return Err(QmpError::Protocol("a line without end"));
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(QmpError::Closed);
            }
        }
    }
}

async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, QmpError>>,
) -> Result<T, QmpError> {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or(Err(QmpError::Timeout(limit)))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;

    /// A monitor that says each line as it is, whatever it is asked.
    async fn monitor_saying(lines: &[&str]) -> Result<Qmp<UnixStream>, QmpError> {
        let (client, mut server) = UnixStream::pair().unwrap();
        let script = lines.join("\n") + "\n";
        tokio::spawn(async move {
            server.write_all(script.as_bytes()).await.ok();
            // Stays open and silent.
            tokio::io::copy(&mut server, &mut tokio::io::sink()).await.ok();
        });
        Qmp::connect(client).await
    }

    #[tokio::test]
    async fn commands_are_answered_around_events() {
        let mut qmp = monitor_saying(&[
            GREETING,
            r#"{"return": {}, "id": 0}"#,
            r#"{"event": "RESUME", "timestamp": {}}"#,
            r#"{"return": {"status": "running"}, "id": 1}"#,
            r#"{"error": {"class": "CommandNotFound", "desc": "never heard of it"}, "id": 2}"#,
            r#"{"event": "SHUTDOWN", "data": {"guest": true}}"#,
        ])
        .await
        .unwrap();
        assert_eq!(
            qmp.execute("query-status", json!({})).await.unwrap()["status"],
            "running"
        );
        let refused = qmp.execute("dance", json!({})).await.unwrap_err();
        assert_eq!(refused.to_string(), "QEMU refused dance: never heard of it");
        assert_eq!(qmp.event().await.unwrap().name, "RESUME");
        assert_eq!(qmp.event().await.unwrap().data["guest"], true);
    }

    #[tokio::test]
    async fn what_is_no_monitor_is_refused() {
        for lines in [
            &["hello"][..],
            &["{}"],
            &[GREETING, "[]"],
            &[GREETING, r#"{"return": {}, "id": 9}"#],
        ] {
            let error = monitor_saying(lines).await.unwrap_err();
            assert!(matches!(error, QmpError::Protocol(_)), "{lines:?}: {error}");
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused() {
        let (client, mut server) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let piece = vec![b'x'; 64 * 1024];
            while server.write_all(&piece).await.is_ok() {}
        });
        let error = Qmp::connect(client).await.unwrap_err();
        assert!(
            matches!(error, QmpError::Protocol("a line without end")),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_a_timeout() {
        let error = monitor_saying(&[GREETING]).await.unwrap_err();
        assert!(matches!(error, QmpError::Timeout(_)), "{error}");
    }

    #[tokio::test]
    async fn a_monitor_that_goes_away_is_noticed() {
        let (client, server) = UnixStream::pair().unwrap();
        drop(server);
        assert!(matches!(
            Qmp::connect(client).await,
            Err(QmpError::Closed | QmpError::Io(_))
        ));
    }

    #[tokio::test]
    async fn a_flood_of_events_is_bounded() {
        let event = r#"{"event": "VSERPORT_CHANGE"}"#;
        let mut lines = vec![GREETING];
        lines.extend([event; 1000]);
        lines.push(r#"{"return": {}, "id": 0}"#);
        assert_eq!(monitor_saying(&lines).await.unwrap().events.len(), MAX_EVENTS);
    }
}
