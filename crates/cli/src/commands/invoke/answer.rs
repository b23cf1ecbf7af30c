//! What an agent answers, printed as it arrives: server-sent events, JSON, or anything else.

use coracle_types::ServerProtocol;
use http::header::CONTENT_TYPE;
use reqwest::Response;
use serde_json::{Value, json};

use super::a2a;
use crate::aws::ClientError;
use crate::failure::Failure;
use crate::output::Printer;
use crate::sse::Decoder;

/// Largest JSON answer that is made pretty; larger ones are printed as they are, in bytes.
const MAX_PRETTY: usize = 1024 * 1024;
/// How much of what the agent says is remembered, in bytes.
const MAX_REMEMBERED: usize = 1024 * 1024;

/// What one event or body means to somebody who reads along.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// Part of the answer's text.
    Text(String),
    /// The same, beginning on a line of its own.
    Line(String),
    /// Worth showing as it is.
    Data,
    /// Of no interest to people.
    Nothing,
    /// The agent said this instead of finishing.
    Failed(String),
}

/// Prints what the agent says, at once or at the end.
pub(super) struct Answer<'a> {
    printer: &'a Printer,
    protocol: ServerProtocol,
    hold_back: bool,
    /// The text so far.
    said: String,
    ends_with_line_end: bool,
    error: Option<String>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(printer: &'a Printer, protocol: ServerProtocol, hold_back: bool) -> Self {
        Self {
            printer,
            protocol,
            hold_back: hold_back && !printer.json,
            said: String::new(),
            ends_with_line_end: true,
            error: None,
        }
    }

    /// Prints a whole answer and says what type it was of.
    pub(super) async fn print(&mut self, response: Response) -> Result<String, Failure> {
        let content_type = content_type(&response);
        if content_type.starts_with("text/event-stream") {
            self.events(response).await?;
        } else {
            self.body(response, content_type.starts_with("application/json"))
                .await?;
        }
        Ok(content_type)
    }

    async fn events(&mut self, mut response: Response) -> Result<(), Failure> {
        let mut decoder = Decoder::default();
        while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
            for event in decoder.push(&chunk)? {
                self.event(&event)?;
            }
        }
        decoder.finish().map_or(Ok(()), |event| self.event(&event))
    }

    async fn body(&mut self, mut response: Response, is_json: bool) -> Result<(), Failure> {
        let mut whole = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
            // JSON is worth reading as a whole; anything else is passed on, cut at a character's end.
            whole.extend_from_slice(&chunk);
            if !is_json && !self.printer.json || whole.len() > MAX_PRETTY {
                let end = complete_characters(&whole);
                self.text(&String::from_utf8_lossy(&whole[..end]))?;
                whole.drain(..end);
            }
        }
        let text = String::from_utf8_lossy(&whole);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if is_json => self.value(&value, true),
            _ if text.is_empty() => Ok(()),
            _ => self.text(&text),
        }
    }

    fn event(&mut self, data: &str) -> Result<(), Failure> {
        self.printer.debug(&format!("event {data}"));
        match serde_json::from_str::<Value>(data) {
            Ok(value) => self.value(&value, false),
            Err(_) => self.text(&format!("{data}\n")),
        }
    }

    fn value(&mut self, value: &Value, pretty: bool) -> Result<(), Failure> {
        let meaning = meaning(self.protocol, value);
        if self.printer.json {
            if let Meaning::Failed(reason) = meaning {
                self.error = Some(reason);
            }
            return self.printer.json(&json!({ "data": value }));
        }
        match meaning {
            Meaning::Text(text) => self.text(&text),
            Meaning::Line(text) => {
                if !self.ends_with_line_end {
                    self.text("\n")?;
                }
                self.text(&text)
            }
            Meaning::Data if pretty => self.text(&format!("{value:#}\n")),
            Meaning::Data => self.text(&format!("{value}\n")),
            Meaning::Nothing => Ok(()),
            Meaning::Failed(reason) => {
                self.error = Some(reason);
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.printer.json {
            return self.printer.json(&json!({ "data": text }));
        }
        if let Some(last) = text.chars().last() {
            self.ends_with_line_end = last == '\n';
        }
        if self.hold_back || self.said.len() < MAX_REMEMBERED {
            self.said.push_str(text);
        }
        if self.hold_back {
            return Ok(());
        }
        self.printer.piece(text)
    }

    /// The text that was said, or what the agent said instead.
    pub(super) fn end(self) -> Result<String, Failure> {
        if self.hold_back {
            self.printer.piece(&self.said)?;
        }
        if !self.ends_with_line_end {
            self.printer.piece("\n")?;
        }
        self.error
            .map_or(Ok(self.said), |error| Err(Failure::Agent(error)))
    }
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn meaning(protocol: ServerProtocol, value: &Value) -> Meaning {
    match protocol {
        ServerProtocol::Agui => of_ag_ui(value),
        ServerProtocol::A2a => match a2a::error(value) {
            Some(error) => Meaning::Failed(error),
            None => match a2a::text(value) {
                text if text.is_empty() => Meaning::Nothing,
                text if a2a::goes_on(value) => Meaning::Text(text),
                text => Meaning::Line(text),
            },
        },
        _ => match (value, agents_error(value)) {
            (_, Some(error)) => Meaning::Failed(error),
            (Value::String(text), None) => Meaning::Text(text.clone()),
            _ => Meaning::Data,
        },
    }
}

/// What the SDK sends when an agent raises an exception in the middle of an answer.
fn agents_error(value: &Value) -> Option<String> {
    let kind = value.get("error_type")?.as_str()?;
    let text = value.get("error")?.as_str()?;
    Some(format!("{kind}: {text}"))
}

fn of_ag_ui(event: &Value) -> Meaning {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    match event["type"].as_str() {
        Some("TEXT_MESSAGE_CONTENT" | "TEXT_MESSAGE_CHUNK") => Meaning::Text(text("delta")),
        Some("TEXT_MESSAGE_END") => Meaning::Text("\n".to_owned()),
        Some("RUN_ERROR") => Meaning::Failed(text("message")),
        Some(_) => Meaning::Nothing,
        None => Meaning::Data,
    }
}

/// How many of these bytes can be read without the beginning of a character that goes on in the next piece.
fn complete_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let text = "aé→".as_bytes();
        assert_eq!(
            (1..=text.len())
                .map(|end| complete_characters(&text[..end]))
                .collect::<Vec<_>>(),
            [1, 1, 3, 3, 3, 6]
        );
        assert_eq!(complete_characters(b"a\xffb"), 3);
    }

    #[test]
    fn of_ag_ui_only_the_text_is_read_aloud() {
        let of = |event: Value| meaning(ServerProtocol::Agui, &event);
        let delta = json!({ "type": "TEXT_MESSAGE_CONTENT", "messageId": "1", "delta": "hi" });
        assert_eq!(of(delta), Meaning::Text("hi".to_owned()));
        assert_eq!(of(json!({ "type": "RUN_STARTED" })), Meaning::Nothing);
        assert_eq!(
            of(json!({ "type": "RUN_ERROR", "message": "no" })),
            Meaning::Failed("no".to_owned())
        );
    }
}
