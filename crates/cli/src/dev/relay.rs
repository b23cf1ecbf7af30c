//! Passes requests to the agent by the platform's rules, and notes each step in the journal.
//!
//! A request that arrives while the agent starts waits for it, as it would for a session's start. What the platform
//! says when an agent fails is said here, too, in the same words and shapes.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use coracle_types::limits::MAX_INVOCATION_BODY;
use coracle_types::{ServerProtocol, SessionId, agent_headers};
use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::agent::whole;
use super::environment::Plan;
use super::journal::{Journal, Phase};
use crate::sse::Decoder;

/// How long a request waits for an agent that starts.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an agent may take until its answer begins, as on the platform.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Lines of output that an error shows.
const SHOWN_LINES: usize = 10;
/// How much of an agent's error answer is passed on, in bytes.
const MAX_EXCERPT: usize = 2048;

const TRACE: &str = "traceparent";
const SESSION_ID: HeaderName = HeaderName::from_static(agent_headers::SESSION_ID);

/// The way to the agent.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    pub(super) plan: Plan,
    pub(super) journal: Journal,
    pub(super) http: reqwest::Client,
    pub(super) port: watch::Receiver<u16>,
}

impl Relay {
    /// Passes a request on to this path of the agent, and its answer back as it comes.
    pub(super) async fn pass(&self, path: &str, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let session = match session(&head.headers) {
            Ok(session) => session,
            Err(refusal) => return *refusal,
        };
        let most = usize::try_from(MAX_INVOCATION_BODY).unwrap_or(usize::MAX);
        let Ok(body) = to_bytes(body, most).await else {
            return refuse(
                400,
                "ValidationException",
                "The body is larger than 100 MB or was broken off",
            );
        };
        let named = format!("{} {path}", head.method);
        let headers = self.to_agent(&head.headers, &session);
        let known_as = trace_id(&headers);
        let trace = Open {
            journal: self.journal.clone(),
            id: self.journal.begin(session.as_str(), named, known_as, &body),
        };
        let answer = async {
            self.ready().await?;
            self.ask(head.method, path, headers, body).await
        };
        match answer.await {
            Ok(response) => self.answer(response, session, &head.headers, trace).await,
            Err(reason) => {
                self.journal.answered(trace.id, 424, &reason);
                trace.end("failed");
                refuse(424, "RuntimeClientError", &reason)
            }
        }
    }

    /// Waits until the agent can be asked.
    pub(super) async fn ready(&self) -> Result<(), String> {
        let mut state = self.journal.state();
        let settled =
            state.wait_for(|state| matches!(state.phase, Phase::Ready | Phase::Busy | Phase::Failed));
        let failure = match tokio::time::timeout(START_TIMEOUT, settled).await {
            Ok(Ok(state)) if state.phase != Phase::Failed => return Ok(()),
            Ok(Ok(state)) => state.detail.clone(),
            Ok(Err(_)) => "it is being ended".to_owned(),
            Err(_) => "it did not become healthy in time".to_owned(),
        };
        let lines = self.journal.last_lines(SHOWN_LINES);
        Err(format!(
            "An error occurred when starting the runtime. {failure}. Last lines of its output:\n{lines}"
        ))
    }

    /// The agent's address of this path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", *self.port.borrow())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, String> {
        let request = self
            .http
            .request(method, self.url(path))
            .headers(headers)
            .body(body);
        match tokio::time::timeout(HEAD_TIMEOUT, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let lines = self.journal.last_lines(SHOWN_LINES);
                let text = whole(&error.without_url());
                Err(format!(
                    "The agent gave no answer: {text}. Last lines of its output:\n{lines}"
                ))
            }
            Err(_) => Err(format!(
                "The agent sent no answer within {} seconds",
                HEAD_TIMEOUT.as_secs()
            )),
        }
    }

    fn to_agent(&self, caller: &HeaderMap, session: &SessionId) -> HeaderMap {
        let entry = &self.plan.entry;
        let allowed = entry.request_header_allowlist.as_deref().unwrap_or_default();
        let names = agent_headers::forwarded(entry.protocol);
        let mut headers = HeaderMap::new();
        for name in names.chain(allowed.iter().map(String::as_str)) {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            for value in caller.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(CONTENT_TYPE, caller.get(CONTENT_TYPE).cloned().unwrap_or(json));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let request_id = Uuid::new_v4().to_string();
        let trace = caller.get(TRACE).and_then(|value| value.to_str().ok());
        let trace = trace.map_or_else(new_trace, str::to_owned);
        for (name, value) in [
            (agent_headers::SESSION_ID, session.as_str()),
            (agent_headers::REQUEST_ID, &request_id),
            (TRACE, &trace),
        ] {
            // All are visible ASCII by construction.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    async fn answer(
        &self,
        response: reqwest::Response,
        session: SessionId,
        caller: &HeaderMap,
        trace: Open,
    ) -> Response {
        let status = response.status();
        let headers = to_caller(response.headers(), caller, &session);
        let kind = String::from_utf8_lossy(headers[CONTENT_TYPE].as_bytes()).into_owned();
        self.journal.answered(trace.id, status.as_u16(), &kind);
        // The other protocols have errors of their own.
        if self.plan.entry.protocol == ServerProtocol::Http && !status.is_success() {
            let said = response.text().await.unwrap_or_default();
            let said = &said[..said.floor_char_boundary(MAX_EXCERPT)];
            trace.end(said);
            let text = format!(
                "Received error ({}) from runtime. The agent answered: {said}",
                status.as_u16()
            );
            return refuse(424, "RuntimeClientError", &text);
        }
        let decoder = kind.starts_with("text/event-stream").then(Decoder::default);
        let mut answer = Response::new(Body::from_stream(noted(response, decoder, trace)));
        *answer.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
        *answer.headers_mut() = headers;
        answer
    }
}

/// A `traceparent` (W3C Trace Context) for a request that has none.
fn new_trace() -> String {
    let parent = Uuid::new_v4().simple().to_string();
    format!("00-{}-{}-01", Uuid::new_v4().simple(), &parent[..16])
}

/// The trace id of a `traceparent`; empty if there is none.
fn trace_id(headers: &HeaderMap) -> String {
    let value = headers.get(TRACE).and_then(|value| value.to_str().ok());
    let id = value.and_then(|value| value.split('-').nth(1));
    id.unwrap_or_default().to_ascii_lowercase()
}

/// A trace that is being made. When it is dropped unfinished, the caller went away.
struct Open {
    journal: Journal,
    id: u64,
}

impl Open {
    fn end(&self, how: &str) {
        self.journal.end(self.id, how);
    }

    fn note(&self, decoder: &mut Option<Decoder>, chunk: &Bytes) {
        match decoder {
            Some(events) => match events.push(chunk) {
                Ok(found) => found
                    .iter()
                    .for_each(|event| self.journal.step(self.id, "event", event)),
                // Too large to be looked into; the bytes are passed on all the same.
                Err(_) => *decoder = None,
            },
            None => self
                .journal
                .step(self.id, "data", &String::from_utf8_lossy(chunk)),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end("the caller went away");
    }
}

/// The body of an answer, each piece noted as it passes.
fn noted(
    response: reqwest::Response,
    decoder: Option<Decoder>,
    trace: Open,
) -> impl futures::Stream<Item = Result<Bytes, reqwest::Error>> {
    stream::unfold(Some((response, decoder, trace)), async |passing| {
        let (mut response, mut decoder, trace) = passing?;
        match response.chunk().await {
            Ok(Some(chunk)) => {
                trace.note(&mut decoder, &chunk);
                Some((Ok(chunk), Some((response, decoder, trace))))
            }
            Ok(None) => {
                if let Some(event) = decoder.and_then(Decoder::finish) {
                    trace.journal.step(trace.id, "event", &event);
                }
                trace.end("complete");
                None
            }
            Err(error) => {
                trace.end(&format!("broken off: {}", whole(&error)));
                Some((Err(error), None))
            }
        }
    })
}

fn session(headers: &HeaderMap) -> Result<SessionId, Box<Response>> {
    let named = headers.get(SESSION_ID).or_else(|| headers.get("mcp-session-id"));
    let Some(value) = named else {
        return Ok(SessionId::random());
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    match parsed {
        Some(session) => Ok(session),
        // Agents make such ids as they like.
        None if !headers.contains_key(SESSION_ID) => Ok(SessionId::random()),
        None => {
            let text = "runtimeSessionId: a session id has 33 to 256 visible ASCII characters";
            Err(Box::new(refuse(400, "ValidationException", text)))
        }
    }
}

/// The headers of the answer to the caller.
fn to_caller(agent: &HeaderMap, caller: &HeaderMap, session: &SessionId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in agent_headers::RETURNED {
        let traced = name != "content-type" && !name.starts_with("mcp-");
        let echoed = caller.get(name).filter(|_| traced);
        if let Some(value) = agent.get(name).or(echoed) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    let bytes = HeaderValue::from_static("application/octet-stream");
    headers.entry(CONTENT_TYPE).or_insert(bytes);
    if let Ok(value) = HeaderValue::from_str(session.as_str()) {
        headers.insert(SESSION_ID, value);
    }
    headers
}

/// An error as the service answers it.
pub(super) fn refuse(status: u16, code: &'static str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [("x-amzn-errortype", code), ("content-type", "application/json")];
    (status, headers, json!({ "message": message }).to_string()).into_response()
}
