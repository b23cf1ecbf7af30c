//! `agentcore invoke`: sends a prompt, or holds a conversation, and prints answers the moment they arrive.
//!
//! ```text
//! prompt, files ──► payload ──► agent ──► answer ──► stdout
//!                   (body of     (who is   (what the protocol's
//!                   a protocol)   asked)    events mean)
//! ```

mod a2a;
mod agent;
mod answer;
mod chat;
mod payload;
mod tools;

pub(super) use self::a2a::card;
pub(super) use self::tools::run as tools;

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use coracle_types::limits::MAX_INVOCATION_BODY;
use coracle_types::{ServerProtocol, SessionId};
use serde_json::{Value, json};

use self::agent::{Agent, Message};
use self::answer::Answer;
use self::payload::Dialogue;
use super::{Place, session_id};
use crate::args::Invoke;
use crate::failure::Failure;
use crate::output::Printer;

pub(super) async fn run(place: Place<'_>, arguments: &Invoke) -> Result<(), Failure> {
    let session = given_session(arguments.peer.session_id.as_deref())?;
    let is_new = arguments.peer.session_id.is_none();
    let media = payload::media(&arguments.files).await?;
    let printer = place.printer;
    let prompt = prompt(printer, arguments).await?;
    let agent = Agent::find(place, &arguments.peer).await?;
    if !printer.json {
        let new = if is_new {
            " (--session-id continues it)"
        } else {
            ""
        };
        printer.info(&format!("session {session}{new}"));
    }
    converse(printer, &agent, session, prompt, media, arguments.no_stream).await
}

/// Sends the prompt, or begins a conversation without one.
async fn converse(
    printer: &Printer,
    agent: &Agent<'_>,
    session: SessionId,
    prompt: Option<String>,
    media: Vec<Value>,
    hold_back: bool,
) -> Result<(), Failure> {
    if agent.protocol == ServerProtocol::Mcp {
        return Err(Failure::usage(
            "an MCP server has tools, and takes no prompt",
            "`agentcore tools list` shows them, `agentcore tools call NAME --input JSON` calls one",
        ));
    }
    let mut dialogue = Dialogue::new(session, agent.protocol);
    match prompt {
        Some(prompt) => {
            let body = dialogue.say(&prompt, media)?;
            exchange(printer, agent, &mut dialogue, body, hold_back).await
        }
        None => chat::run(printer, agent, dialogue, media).await,
    }
}

/// Sends one prompt to the agent that `agentcore dev` runs.
pub(super) async fn in_dev(place: Place<'_>, prompt: &str, port: Option<u16>) -> Result<(), Failure> {
    let agent = Agent::in_dev(&place, port).await?;
    converse(
        place.printer,
        &agent,
        SessionId::random(),
        Some(prompt.to_owned()),
        Vec::new(),
        false,
    )
    .await
}

/// The session that is meant.
fn given_session(text: Option<&str>) -> Result<SessionId, Failure> {
    text.map_or_else(|| Ok(SessionId::random()), session_id)
}

/// Sends one message and prints the answer.
async fn exchange(
    printer: &Printer,
    agent: &Agent<'_>,
    dialogue: &mut Dialogue,
    body: String,
    hold_back: bool,
) -> Result<(), Failure> {
    let exchanged = send_and_print(printer, agent, dialogue, body, hold_back).await;
    exchanged.map_err(|failure| agent.told(failure))
}

async fn send_and_print(
    printer: &Printer,
    agent: &Agent<'_>,
    dialogue: &mut Dialogue,
    body: String,
    hold_back: bool,
) -> Result<(), Failure> {
    let body = match agent.protocol {
        ServerProtocol::A2a => a2a::message(agent, &dialogue.session, &body).await?,
        _ => Message::json(body),
    };
    let response = agent.send(&dialogue.session, body).await?;
    let status = response.status().as_u16();
    let mut answer = Answer::new(printer, agent.protocol, hold_back);
    let content_type = answer.print(response).await?;
    let said = answer.end()?;
    dialogue.heard(&said);
    if printer.json {
        let session = &dialogue.session;
        let head = json!({ "sessionId": session, "statusCode": status, "contentType": content_type });
        printer.json(&head)?;
    }
    Ok(())
}

/// The text to send; `None` begins a conversation.
async fn prompt(printer: &Printer, arguments: &Invoke) -> Result<Option<String>, Failure> {
    let text = match (&arguments.prompt, &arguments.prompt_file) {
        (Some(prompt), _) if prompt != "-" => prompt.clone(),
        (None, Some(file)) => read_text(file).await?,
        (None, None) if printer.is_interactive() && std::io::stdout().is_terminal() => return Ok(None),
        _ => read_stdin().await?,
    };
    if text.trim().is_empty() {
        let hint = "give a prompt, or pipe one into stdin; on a terminal, leave it out for a conversation";
        return Err(Failure::usage("the prompt is empty", hint));
    }
    Ok(Some(text))
}

async fn read_text(path: &Path) -> Result<String, Failure> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|source| Failure::File {
        path: path.to_owned(),
        source,
    })
}

async fn read_stdin() -> Result<String, Failure> {
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
