//! `agentcore tools`: lists and calls the tools of an MCP server (Model Context Protocol, 2025-06-18).

use coracle_types::SessionId;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Response;
use serde_json::{Value, json};

use super::super::Place;
use super::agent::{Agent, Message};
use super::given_session;
use crate::args::{ToolCommand, Tools};
use crate::aws::{ClientError, read_whole};
use crate::failure::Failure;
use crate::output::Printer;
use crate::sse::Decoder;

const PROTOCOL_VERSION: &str = "2025-06-18";
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Most pages of a list that are read.
const MAX_PAGES: usize = 100;

/// A connection to an MCP server that has been initialized.
struct Server<'a> {
    agent: Agent<'a>,
    session: SessionId,
    headers: HeaderMap,
    requests: u32,
}

pub(in super::super) async fn run(place: Place<'_>, arguments: &Tools) -> Result<(), Failure> {
    let printer = place.printer;
    match &arguments.command {
        ToolCommand::List { peer } => {
            let agent = Agent::find(place, peer).await?;
            agent.require_mcp()?;
            let server = Server::open(agent, given_session(peer.session_id.as_deref())?).await?;
            list(printer, server).await
        }
        ToolCommand::Call { name, input, peer } => {
            let input = arguments_of(input)?;
            let agent = Agent::find(place, peer).await?;
            agent.require_mcp()?;
            let mut server = Server::open(agent, given_session(peer.session_id.as_deref())?).await?;
            let parameters = json!({ "name": name, "arguments": input });
            let result = server.request("tools/call", parameters).await?;
            show(printer, &result).map_err(|failure| server.agent.told(failure))
        }
    }
}

fn arguments_of(input: &str) -> Result<Value, Failure> {
    let parsed = serde_json::from_str::<Value>(input).ok().filter(Value::is_object);
    parsed.ok_or_else(|| Failure::usage("--input is no JSON object", "it looks like '{\"a\": 1}'"))
}

async fn list(printer: &Printer, mut server: Server<'_>) -> Result<(), Failure> {
    let mut cursor = Value::Null;
    for _ in 0..MAX_PAGES {
        let parameters = if cursor.is_null() {
            json!({})
        } else {
            json!({ "cursor": cursor })
        };
        let page = server.request("tools/list", parameters).await?;
        for tool in page["tools"].as_array().into_iter().flatten() {
            if printer.json {
                printer.json(tool)?;
            } else {
                printer.piece(&described(tool))?;
            }
        }
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    Ok(())
}

/// A tool in two lines: what it does, and what it takes.
fn described(tool: &Value) -> String {
    let text = |name: &str| tool[name].as_str().unwrap_or_default();
    let schema = &tool["inputSchema"];
    let required = |name: &String| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&json!(name)))
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    let takes: Vec<_> = properties
        .map(|(name, property)| {
            let optional = if required(name) { "" } else { "?" };
            format!("{name}{optional}: {}", property["type"].as_str().unwrap_or("any"))
        })
        .collect();
    let summary = text("description").lines().next().unwrap_or_default();
    format!("{}({})\n  {summary}\n", text("name"), takes.join(", "))
}

/// Prints the text of a tool's result, or all of it where there is more than text.
fn show(printer: &Printer, result: &Value) -> Result<(), Failure> {
    let content = result["content"].as_array();
    let texts: Option<Vec<_>> =
        content.map(|parts| parts.iter().filter_map(|part| part["text"].as_str()).collect());
    let only_text = content
        .zip(texts.as_ref())
        .is_some_and(|(parts, texts)| parts.len() == texts.len());
    let text = texts.unwrap_or_default().join("\n");
    if result["isError"] == true {
        return Err(Failure::Agent(text));
    }
    if printer.json {
        printer.json(result)
    } else if only_text {
        printer.piece(&format!("{text}\n"))
    } else {
        printer.piece(&format!("{result:#}\n"))
    }
}

impl<'a> Server<'a> {
    async fn open(agent: Agent<'a>, session: SessionId) -> Result<Self, Failure> {
        let mut server = Self {
            agent,
            session,
            headers: HeaderMap::new(),
            requests: 0,
        };
        let parameters = json!({
            "protocolVersion": PROTOCOL_VERSION, "capabilities": {},
            "clientInfo": { "name": "agentcore", "version": env!("CARGO_PKG_VERSION") },
        });
        let response = server.send("initialize", parameters, Some(0)).await?;
        let id = response.headers().get(SESSION_ID).cloned();
        let chosen = HeaderValue::from_str(server.session.as_str()).ok();
        server.headers.extend(id.or(chosen).map(|id| (SESSION_ID, id)));
        let initialized = answer(response, 0).await?;
        let version = initialized["protocolVersion"]
            .as_str()
            .unwrap_or(PROTOCOL_VERSION);
        let version =
            HeaderValue::from_str(version).map_err(|_| ClientError::Incomplete("a protocol version"))?;
        server.headers.insert(VERSION, version);
        let told = server
            .send("notifications/initialized", Value::Null, None)
            .await?;
        read_whole(told).await?;
        Ok(server)
    }

    async fn request(&mut self, method: &str, parameters: Value) -> Result<Value, Failure> {
        self.requests += 1;
        let id = self.requests;
        let answered = answer(self.send(method, parameters, Some(id)).await?, id).await;
        answered.map_err(|failure| self.agent.told(failure))
    }

    async fn send(&self, method: &str, parameters: Value, id: Option<u32>) -> Result<Response, Failure> {
        let mut request = json!({ "jsonrpc": "2.0", "method": method });
        if !parameters.is_null() {
            request["params"] = parameters;
        }
        if let Some(id) = id {
            request["id"] = id.into();
        }
        let message = Message {
            body: request.to_string().into(),
            headers: self.headers.clone(),
        };
        let sent = self.agent.send(&self.session, message).await;
        sent.map_err(|failure| self.agent.told(failure))
    }
}

/// The result of the request with this id, among whatever else the server has to say.
async fn answer(response: Response, id: u32) -> Result<Value, Failure> {
    let body = read_whole(response).await?;
    let mut messages: Vec<Value> = serde_json::from_slice(&body).into_iter().collect();
    if messages.is_empty() {
        let mut decoder = Decoder::default();
        let mut events = decoder.push(&body)?;
        events.extend(decoder.finish());
        messages = events
            .iter()
            .filter_map(|event| serde_json::from_str(event).ok())
            .collect();
    }
    let mine = messages.into_iter().find(|message| message["id"] == id);
    let mut mine = mine.ok_or_else(|| {
        let hint = "`agentcore invoke` talks to agents that speak another protocol than MCP";
        Failure::usage("what answered is no MCP server", hint)
    })?;
    match super::a2a::error(&mine) {
        Some(error) => Err(Failure::Agent(error)),
        None => Ok(mine["result"].take()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_described_by_what_it_takes() {
        let tool = json!({
            "name": "add", "description": "Adds.\nSlowly.",
            "inputSchema": { "properties": { "a": { "type": "number" }, "b": {} }, "required": ["a"] },
        });
        assert_eq!(described(&tool), "add(a: number, b?: any)\n  Adds.\n");
    }
}
