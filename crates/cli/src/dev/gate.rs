//! What listens: the routes of the platform and of the protocol, the page, and what the page asks for.
//!
//! | | |
//! |---|---|
//! | `GET /` | the page |
//! | `POST /invocations` | as the platform answers it, for every protocol |
//! | `GET /ping`, `GET /ws` | the agent's own |
//! | `POST /mcp`, `POST /`, `GET /.well-known/agent-card.json` | where clients of MCP and A2A expect an agent |
//! | `GET /_dev/status` | the project, the agent and its state |
//! | `GET /_dev/events` | all that has happened and will, as server-sent events |
//! | `POST /_dev/otlp/v1/traces` | the agent's own spans |
//!
//! A page from elsewhere in the developer's browser can reach none of it: requests that name another origin, or reach
//! the loopback device under a foreign host name, are refused.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use coracle_types::ServerProtocol;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::agent::DevError;
use super::environment::Plan;
use super::journal::{Event, Journal};
use super::otlp;
use super::relay::{Relay, refuse};

/// How many ports are tried.
const PORTS_TRIED: u16 = 50;
const CARD: &str = "/.well-known/agent-card.json";
const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    include_str!("page/style.css"),
    "</style>",
    include_str!("page/body.html"),
    "<script>",
    include_str!("page/talk.js"),
    include_str!("page/show.js"),
    "</script>"
);
/// Nothing from elsewhere, and nothing to elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Listens on this port, or the next one that is free.
///
/// # Errors
/// When there is none.
pub(crate) async fn bind(host: &str, port: u16) -> Result<TcpListener, DevError> {
    let mut tried = port;
    loop {
        match TcpListener::bind((host, tried)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && tried - port < PORTS_TRIED => {
                tried = tried.checked_add(1).ok_or(DevError::NoPort {
                    host: host.to_owned(),
                    port,
                    source: error,
                })?;
            }
            Err(source) => {
                let host = host.to_owned();
                return Err(DevError::NoPort { host, port, source });
            }
        }
    }
}

/// The server of one agent.
#[derive(Debug)]
pub(crate) struct Gate {
    relay: Relay,
    /// Whether only this machine can reach it.
    is_local: bool,
}

impl Gate {
    pub(crate) fn new(
        plan: Plan,
        journal: Journal,
        http: reqwest::Client,
        port: watch::Receiver<u16>,
        address: SocketAddr,
    ) -> Self {
        let relay = Relay {
            plan,
            journal,
            http,
            port,
        };
        Self {
            relay,
            is_local: address.ip().is_loopback(),
        }
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When connections can no longer be accepted.
    pub(crate) async fn serve(self, listener: TcpListener) -> Result<(), DevError> {
        let gate = Arc::new(self);
        let routes = Router::new()
            .route("/", get(page).post(invoke))
            .route("/invocations", post(invoke))
            .route("/invocations/", post(invoke))
            .route("/invocations/.well-known/agent-card.json", get(card))
            .route("/mcp", post(invoke))
            .route(CARD, get(card))
            .route("/ping", get(ping))
            .route("/ws", get(websocket))
            .route("/_dev/status", get(status))
            .route("/_dev/events", get(events))
            .route(otlp::PATH, post(spans))
            .layer(middleware::from_fn_with_state(gate.clone(), only_own_pages))
            .with_state(gate);
        axum::serve(listener, routes).await.map_err(DevError::Serve)
    }
}

async fn only_own_pages(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if is_foreign(request.headers(), gate.is_local) {
        return refuse(
            403,
            "AccessDeniedException",
            "Requests of other pages are refused",
        );
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap, is_local: bool) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let own_origin = text(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}"));
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, _)| name)
        .trim_matches(['[', ']']);
    let is_loopback =
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !own_origin || is_local && !is_loopback
}

async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE).into_response()
}

async fn invoke(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let protocol = gate.relay.plan.entry.protocol;
    let belongs = match request.uri().path() {
        "/" => protocol == ServerProtocol::A2a,
        "/mcp" => protocol == ServerProtocol::Mcp,
        _ => true,
    };
    if !belongs {
        return refuse(
            404,
            "ResourceNotFoundException",
            "The agent's protocol has no such path",
        );
    }
    gate.relay.pass(protocol.default_path(), request).await
}

async fn card(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    gate.relay.pass(CARD, request).await
}

async fn ping(State(gate): State<Arc<Gate>>) -> Response {
    match gate.relay.http.get(gate.relay.url("/ping")).send().await {
        Ok(response) => {
            let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, Body::from_stream(response.bytes_stream())).into_response()
        }
        Err(error) => refuse(
            503,
            "ServiceUnavailableException",
            &error.without_url().to_string(),
        ),
    }
}

/// Hands the connection through to the agent once both sides have agreed.
async fn websocket(State(gate): State<Arc<Gate>>, mut request: Request) -> Response {
    if let Err(reason) = gate.relay.ready().await {
        return refuse(424, "RuntimeClientError", &reason);
    }
    let mut headers = request.headers().clone();
    headers.remove(header::HOST);
    let asked = gate
        .relay
        .http
        .get(gate.relay.url("/ws"))
        .headers(headers)
        .send()
        .await;
    let answered = match asked {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => response,
        Ok(response) => {
            let text = format!("The agent answered {} on /ws", response.status());
            return refuse(424, "RuntimeClientError", &text);
        }
        Err(error) => return refuse(424, "RuntimeClientError", &error.without_url().to_string()),
    };
    let mut answer = StatusCode::SWITCHING_PROTOCOLS.into_response();
    *answer.headers_mut() = answered.headers().clone();
    let caller = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let (Ok(caller), Ok(mut agent)) = (caller.await, answered.upgrade().await) {
            // Either side may end it in any way.
            tokio::io::copy_bidirectional(&mut TokioIo::new(caller), &mut agent)
                .await
                .ok();
        }
    });
    answer
}

async fn status(State(gate): State<Arc<Gate>>) -> Response {
    let plan = &gate.relay.plan;
    let state = gate.relay.journal.state().borrow().clone();
    axum::Json(json!({
        "runtime": plan.entry.name, "protocol": plan.entry.protocol, "root": plan.root, "url": plan.url,
        "code": plan.code, "entrypoint": plan.entry.entrypoint, "state": state,
    }))
    .into_response()
}

async fn spans(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    otlp::take(&gate.relay.journal, request).await
}

async fn events(State(gate): State<Arc<Gate>>) -> Response {
    let journal = &gate.relay.journal;
    // Listens first, so that nothing is missed; what comes twice replaces itself.
    let listener = journal.listen();
    let state = Event::State(journal.state().borrow().clone());
    let lines = journal.lines().into_iter().map(Event::Line);
    let traces = journal.traces().into_iter().map(Event::Trace);
    let past: Vec<_> = std::iter::once(state).chain(lines).chain(traces).collect();
    let coming = stream::unfold(listener, async |mut listener| {
        loop {
            match listener.recv().await {
                Ok(event) => return Some((event, listener)),
                // Too slow: some are missed.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let all = stream::iter(past).chain(coming).map(|event| {
        let text = serde_json::to_string(&event)?;
        Ok::<_, serde_json::Error>(format!("data: {text}\n\n"))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(all)).into_response()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let foreign = |host: &'static str, origin: Option<&'static str>, is_local| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            is_foreign(&headers, is_local)
        };
        assert!(!foreign("localhost:8080", None, true));
        assert!(!foreign("127.0.0.1:8080", Some("http://127.0.0.1:8080"), true));
        assert!(!foreign("[::1]:8080", None, true));
        assert!(foreign("localhost:8080", Some("https://evil.example"), true));
        assert!(foreign("localhost:8080", Some("http://localhost:9999"), true));
        assert!(foreign("rebound.example:8080", None, true));
        assert!(!foreign("laptop.lan:8080", None, false));
    }
}
