//! The scripted agent: an HTTP/1 server on streams of the channel.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use coracle_guest_proto::ChannelStream;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::guest::World;
use super::script::Script;

/// Longest payload that is looked at, in bytes.
const MAX_SCRIPT: usize = 1024 * 1024;
/// Piece of a large answer, in bytes.
const PIECE: usize = 64 * 1024;

/// An answer's body: pieces, or an error that closes the connection.
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Closed>;

/// The script closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the script closes the connection")]
struct Closed;

/// The agent of one sandbox.
pub(super) struct Agent {
    world: Arc<World>,
    memory: Mutex<Value>,
    ping: Mutex<Ping>,
    pings_ignored: AtomicBool,
    /// Held for writing by whoever blocks the agent's only thread.
    thread: Arc<RwLock<()>>,
}

struct Ping {
    http_status: StatusCode,
    status: String,
    changed: u64,
}

impl Agent {
    pub(super) fn new(world: Arc<World>) -> Self {
        let ping = Ping {
            http_status: StatusCode::OK,
            status: "Healthy".to_owned(),
            changed: unix_seconds(),
        };
        Self {
            world,
            memory: Mutex::new(Value::Null),
            ping: Mutex::new(ping),
            pings_ignored: AtomicBool::new(false),
            thread: Arc::default(),
        }
    }

    pub(super) fn answer_pings_with(&self, http_status: u16, status: &str) {
        let http_status = StatusCode::from_u16(http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *lock(&self.ping) = Ping {
            http_status,
            status: status.to_owned(),
            changed: unix_seconds(),
        };
    }

    pub(super) fn ignore_pings(&self) {
        self.pings_ignored.store(true, Ordering::SeqCst);
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: ChannelStream) {
        let service = hyper::service::service_fn(move |request| {
            let agent = Arc::clone(&self);
            async move { agent.answer(request).await }
        });
        // How a connection ends is for its client to judge.
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connection.await.ok();
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/ping") => Ok(self.answer_ping().await),
            (&Method::POST, _) => self.invoke(request).await,
            _ => Ok(text(StatusCode::NOT_FOUND, "no such page")),
        }
    }

    async fn answer_ping(&self) -> Response<Body> {
        let _free = self.thread.read().await;
        if self.pings_ignored.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let ping = lock(&self.ping);
        let body = json!({"status": ping.status, "time_of_last_update": ping.changed});
        answer(ping.http_status, "application/json", body.to_string())
    }

    async fn invoke(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (head, mut body) = request.into_parts();
        let (mut payload, mut received) = (BytesMut::new(), 0_u64);
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                received += data.len() as u64;
                if payload.len() < MAX_SCRIPT {
                    payload.extend_from_slice(&data);
                }
            }
        }
        if received > MAX_SCRIPT as u64 {
            return Ok(value(&json!({"received_bytes": received})));
        }
        match Script::parse(&payload) {
            Some(script) => self.perform(script, &head.headers).await,
            None => {
                let kind = head
                    .headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|kind| kind.to_str().ok());
                Ok(answer(
                    StatusCode::OK,
                    kind.unwrap_or("application/octet-stream"),
                    payload.freeze(),
                ))
            }
        }
    }

    /// As in the shared-credentials format.
    fn credentials(&self) -> Value {
        let Some(identity) = lock(&self.world.identity).clone() else {
            return Value::Null;
        };
        let credentials = identity.credentials();
        json!({
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret.expose_secret(),
            "aws_session_token": credentials.token.expose_secret(),
        })
    }

    async fn perform(&self, script: Script, headers: &HeaderMap) -> Result<Response<Body>, Closed> {
        match script {
            Script::Remember { value } => *lock(&self.memory) = value,
            Script::Recall => return Ok(value(&json!({"value": *lock(&self.memory)}))),
            Script::Stream { chunks, every_millis } => {
                return Ok(event_stream(chunks, Duration::from_millis(every_millis)));
            }
            Script::Answer { status, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Ok(answer(status, "application/json", body));
            }
            Script::Headers => return Ok(value(&shown(headers))),
            Script::Large { bytes } => return Ok(streamed("application/octet-stream", zeros(bytes))),
            Script::Hang => std::future::pending().await,
            Script::Close { after_bytes: 0 } => return Err(Closed),
            Script::Close { after_bytes } => {
                let begun = stream::iter([Ok(Bytes::from(vec![b'x'; after_bytes]))]);
                return Ok(streamed(
                    "text/plain",
                    begun.chain(stream::iter([Err(Closed)])).boxed(),
                ));
            }
            Script::Sleep { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
            Script::Block { millis } => {
                let taken = Arc::clone(&self.thread).write_owned().await;
                let off = self.world.powered_off();
                // A thread does not notice that its client has gone.
                let blocking = tokio::spawn(async move {
                    let _taken = taken;
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(millis)) => {}
                        () = off => {}
                    }
                });
                blocking.await.map_err(|_| Closed)?;
            }
            Script::Print { lines, text } => {
                for _ in 0..lines {
                    self.world.print(&text).await;
                }
            }
            Script::Exit { code, text } => {
                self.world.print(&text).await;
                self.world.exit(Some(code), None);
                return Err(Closed);
            }
            Script::Ping { status } => self.answer_pings_with(200, &status),
            Script::Burn { cpu_millis } => {
                self.world.burned.fetch_add(cpu_millis, Ordering::SeqCst);
            }
            Script::Credentials => return Ok(value(&self.credentials())),
            Script::Linger => self.world.lingers.store(true, Ordering::SeqCst),
            Script::PowerOff => {
                self.world.power_off();
                return Err(Closed);
            }
        }
        Ok(value(&json!({"done": true})))
    }
}

fn event_stream(chunks: Vec<Value>, pause: Duration) -> Response<Body> {
    let events = stream::iter(chunks.into_iter().enumerate()).then(move |(index, chunk)| async move {
        if index > 0 {
            tokio::time::sleep(pause).await;
        }
        Ok(Bytes::from(format!("data: {chunk}\n\n")))
    });
    streamed("text/event-stream", events.boxed())
}

fn zeros(mut left: u64) -> BoxStream<'static, Result<Bytes, Closed>> {
    static ZEROS: [u8; PIECE] = [0; PIECE];
    stream::iter(std::iter::from_fn(move || {
        let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        left -= piece as u64;
        (piece > 0).then(|| Ok(Bytes::from_static(&ZEROS[..piece])))
    }))
    .boxed()
}

fn shown(headers: &HeaderMap) -> Value {
    let fields = headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        )
    });
    Value::Object(fields.collect())
}

fn value(value: &Value) -> Response<Body> {
    answer(StatusCode::OK, "application/json", value.to_string())
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, "text/plain", text)
}

fn answer(status: StatusCode, kind: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    respond(status, kind, body)
}

fn streamed(kind: &str, pieces: BoxStream<'static, Result<Bytes, Closed>>) -> Response<Body> {
    let body = StreamBody::new(pieces.map(|piece| piece.map(Frame::data)));
    respond(StatusCode::OK, kind, body.boxed_unsync())
}

fn respond(status: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(kind) = header::HeaderValue::from_str(kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
