//! One command: its output as it comes, and its exit code as our own.

use std::io::Write as _;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use serde::Deserialize;
use serde_json::json;
use tokio_util::bytes::BytesMut;

use crate::aws::ClientError;
use crate::aws::data::Whereabouts;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::Printer;

/// The service's word for a command that took longer than it may.
const TIMED_OUT: &str = "TIMED_OUT";

/// What a message says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    content_delta: Option<Delta>,
    content_stop: Option<Stop>,
    /// Of an exception.
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    stdout: String,
    stderr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    exit_code: i32,
    status: String,
}

pub(super) async fn run(
    context: &Context<'_>,
    place: &Whereabouts<'_>,
    command: String,
    timeout_secs: i32,
) -> Result<(), Failure> {
    let mut response = context.client.run_command(place, command, timeout_secs).await?;
    let mut told = Told::new(context.printer);
    let mut decoder = MessageFrameDecoder::new();
    let mut buffer = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
        buffer.extend_from_slice(&chunk);
        while let DecodedFrame::Complete(message) = decoder
            .decode_frame(&mut buffer)
            .map_err(|error| Failure::Command(error.to_string()))?
        {
            if let Some(stop) = told.message(&message)? {
                return told.end(place, &stop);
            }
        }
    }
    Err(Failure::Command("the answer broke off".to_owned()))
}

/// What the command has said.
struct Told<'a> {
    printer: &'a Printer,
    /// For machines, who want it as a whole.
    stdout: String,
    stderr: String,
}

impl<'a> Told<'a> {
    fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    fn message(&mut self, message: &Message) -> Result<Option<Stop>, Failure> {
        let event: Event = serde_json::from_slice(message.payload()).map_err(ClientError::Malformed)?;
        if let Some(text) = event.message {
            return Err(Failure::Command(text));
        }
        if let Some(Delta { stdout, stderr }) = event.content_delta {
            if self.printer.json {
                self.stdout += &stdout;
                self.stderr += &stderr;
            } else {
                self.printer.piece(&stdout)?;
                // A closed stderr leaves nobody to tell.
                std::io::stderr().write_all(stderr.as_bytes()).ok();
            }
        }
        Ok(event.content_stop)
    }

    fn end(self, place: &Whereabouts<'_>, stop: &Stop) -> Result<(), Failure> {
        if self.printer.json {
            self.printer.json(&json!({
                "sessionId": place.session,
                "exitCode": stop.exit_code,
                "status": stop.status,
                "stdout": self.stdout,
                "stderr": self.stderr,
            }))?;
        } else if stop.status == TIMED_OUT {
            self.printer
                .info("the command took longer than its --timeout and was killed");
        }
        match stop.exit_code {
            0 => Ok(()),
            // What is no exit code is a failure all the same.
            code => Err(Failure::Exited(u8::try_from(code).unwrap_or(1))),
        }
    }
}
