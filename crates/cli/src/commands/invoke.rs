//! `agentcore invoke`: sends one prompt and prints the answer the moment it arrives.

use std::io::Read as _;

use coracle_types::limits::MAX_INVOCATION_BODY;
use http::header::CONTENT_TYPE;
use reqwest::Response;
use serde_json::{Value, json};

use super::{Context, endpoint_name, session_id};
use crate::args::Invoke;
use crate::aws::ClientError;
use crate::aws::data::Invocation;
use crate::failure::Failure;
use crate::output::Printer;
use crate::sse::Decoder;

/// Largest JSON answer that is made pretty; larger ones are printed as they are, in bytes.
const MAX_PRETTY: usize = 1024 * 1024;

pub(super) async fn run(context: &Context<'_>, arguments: &Invoke) -> Result<(), Failure> {
    let endpoint = endpoint_name(&arguments.endpoint)?;
    let session = match &arguments.session_id {
        Some(text) => session_id(text)?,
        None => coracle_types::SessionId::random(),
    };
    let payload = payload(&read_prompt(&arguments.prompt).await?);
    if payload.len() as u64 > MAX_INVOCATION_BODY {
        return Err(Failure::usage(
            "the prompt is larger than 100 MB",
            "have the agent fetch it from somewhere",
        ));
    }
    let runtime = context.runtime_arn().await?;
    if !context.printer.json {
        let new = if arguments.session_id.is_none() {
            " (--session-id continues it)"
        } else {
            ""
        };
        context.printer.info(&format!("session {session}{new}"));
    }
    let invocation = Invocation {
        runtime: &runtime,
        endpoint: &endpoint,
        session: &session,
        user: arguments.user_id.as_deref(),
        payload: payload.into(),
    };
    let response = context.client.invoke(invocation).await?;
    let status = response.status().as_u16();
    let content_type = content_type(&response);
    let mut answer = Answer::new(context.printer, arguments.no_stream);
    if content_type.starts_with("text/event-stream") {
        print_events(response, &mut answer).await?;
    } else {
        print_body(response, &content_type, &mut answer).await?;
    }
    answer.end()?;
    if context.printer.json {
        let head = json!({ "sessionId": session, "statusCode": status, "contentType": content_type });
        context.printer.json(&head)?;
    }
    Ok(())
}

async fn read_prompt(prompt: &str) -> Result<String, Failure> {
    if prompt != "-" {
        return Ok(prompt.to_owned());
    }
    let reading = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(MAX_INVOCATION_BODY + 1)
            .read_to_string(&mut text)
            .map(|_| text)
    });
    reading
        .await
        .map_err(|error| Failure::Input(error.into()))?
        .map_err(Failure::Input)
}

/// The body to send: a JSON object as it is, anything else as the prompt.
fn payload(prompt: &str) -> String {
    let is_object = prompt.trim_start().starts_with('{')
        && serde_json::from_str::<Value>(prompt).is_ok_and(|value| value.is_object());
    if is_object {
        prompt.to_owned()
    } else {
        json!({ "prompt": prompt }).to_string()
    }
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

async fn print_events(mut response: Response, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let mut decoder = Decoder::default();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
        for event in decoder.push(&chunk)? {
            answer.event(&event)?;
        }
    }
    decoder.finish().map_or(Ok(()), |event| answer.event(&event))
}

async fn print_body(
    mut response: Response,
    content_type: &str,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let is_json = content_type.starts_with("application/json");
    let mut whole = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
        // JSON is worth reading as a whole; anything else is passed on, cut at a character's end.
        whole.extend_from_slice(&chunk);
        if !is_json && !answer.printer.json || whole.len() > MAX_PRETTY {
            let end = complete_characters(&whole);
            answer.text(&String::from_utf8_lossy(&whole[..end]))?;
            whole.drain(..end);
        }
    }
    let text = String::from_utf8_lossy(&whole);
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if is_json => answer.value(&value, true),
        _ if text.is_empty() => Ok(()),
        _ => answer.text(&text),
    }
}

/// How many of these bytes can be read without the beginning of a character that goes on in the next piece.
fn complete_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// Prints what the agent says, at once or at the end.
struct Answer<'a> {
    printer: &'a Printer,
    held_back: Option<String>,
    ends_with_line_end: bool,
    /// What the agent said instead of finishing.
    error: Option<String>,
}

impl<'a> Answer<'a> {
    fn new(printer: &'a Printer, hold_back: bool) -> Self {
        let held_back = (hold_back && !printer.json).then(String::new);
        Self {
            printer,
            held_back,
            ends_with_line_end: true,
            error: None,
        }
    }

    fn event(&mut self, data: &str) -> Result<(), Failure> {
        match serde_json::from_str::<Value>(data) {
            Ok(value) => {
                self.error = agents_error(&value).or(self.error.take());
                if self.error.is_some() && !self.printer.json {
                    Ok(())
                } else {
                    self.value(&value, false)
                }
            }
            Err(_) => self.text(&format!("{data}\n")),
        }
    }

    fn value(&mut self, value: &Value, pretty: bool) -> Result<(), Failure> {
        match value {
            _ if self.printer.json => self.printer.json(&json!({ "data": value })),
            Value::String(text) => self.text(text),
            _ if pretty => self.text(&format!("{value:#}\n")),
            _ => self.text(&format!("{value}\n")),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.printer.json {
            return self.printer.json(&json!({ "data": text }));
        }
        if let Some(last) = text.chars().last() {
            self.ends_with_line_end = last == '\n';
        }
        match &mut self.held_back {
            Some(held_back) => {
                held_back.push_str(text);
                Ok(())
            }
            None => self.printer.piece(text),
        }
    }

    fn end(self) -> Result<(), Failure> {
        if let Some(text) = &self.held_back {
            self.printer.piece(text)?;
        }
        if !self.ends_with_line_end {
            self.printer.piece("\n")?;
        }
        self.error.map_or(Ok(()), |error| Err(Failure::Agent(error)))
    }
}

/// What the SDK sends when an agent raises an exception in the middle of an answer.
fn agents_error(value: &Value) -> Option<String> {
    let kind = value.get("error_type")?.as_str()?;
    let text = value.get("error")?.as_str()?;
    Some(format!("{kind}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_sent_as_they_are_and_text_as_a_prompt() {
        assert_eq!(payload(r#" {"a": 1}"#), r#" {"a": 1}"#);
        assert_eq!(payload("{curly} words"), r#"{"prompt":"{curly} words"}"#);
        assert_eq!(payload("[1]"), r#"{"prompt":"[1]"}"#);
    }

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
}
