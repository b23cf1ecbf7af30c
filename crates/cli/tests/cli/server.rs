//! A server that says just enough of AgentCore, S3 and STS for the commands to run, and remembers what was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const ID: &str = "hello-AbCdEf0123";
pub const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/hello-AbCdEf0123";

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct World {
    seen: Vec<Seen>,
    objects: BTreeMap<String, usize>,
    /// The definition of the only runtime, its version, and why that failed.
    runtime: Option<(Value, u32, Option<String>)>,
    /// How many times more the runtime is shown as changing.
    changing: u32,
    failure: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub url: String,
    world: Arc<Mutex<World>>,
}

impl Server {
    pub async fn start() -> Self {
        let world = Arc::<Mutex<World>>::default();
        let app = Router::new().fallback(answer).with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, world }
    }

    /// What arrived since this was last called, as `METHOD target`.
    pub fn take_calls(&self) -> Vec<String> {
        self.take_seen()
            .iter()
            .map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }

    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.world.lock().unwrap().seen)
    }

    /// Whether versions made from now on fail, and why.
    pub fn fail_versions(&self, reason: Option<&str>) {
        self.world.lock().unwrap().failure = reason.map(str::to_owned);
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let target = head.uri.path_and_query().unwrap().to_string();
    let seen = Seen {
        method: head.method.clone(),
        target: target.clone(),
        headers: head.headers,
        body,
    };
    let mut world = world.lock().unwrap();
    world.seen.push(seen.clone());
    let path = target.split('?').next().unwrap();
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match (head.method.as_str(), segments.as_slice()) {
        ("POST", [""]) => "<R><Account>123456789012</Account></R>".into_response(),
        ("POST", ["runtimes", ""]) => world.list().into_response(),
        ("PUT", ["runtimes", ""] | ["runtimes", _, ""]) => world.make(&seen.body),
        ("GET", ["runtimes", ID, ""]) => world.show(),
        ("DELETE", ["runtimes", ID, ""]) => {
            world.runtime = None;
            (StatusCode::ACCEPTED, json!({ "status": "DELETING", "agentRuntimeId": ID }).to_string()).into_response()
        }
        ("POST", ["runtimes", ID, "runtime-endpoints", ""]) => {
            json!({ "runtimeEndpoints": [] }).to_string().into_response()
        }
        ("POST", ["runtimes", _, "invocations"]) => invoke(&seen),
        ("POST", ["runtimes", _, "stopruntimesession"]) => "{}".into_response(),
        ("GET", ["_coracle", "sessions"]) => json!({ "sessions": [session()] }).to_string().into_response(),
        ("GET", ["_coracle", "session"]) => {
            let mut described = session();
            described["phases"] = json!({ "origin": "booted", "agentMillis": 5 });
            described["lastLines"] = json!(["the last line"]);
            described.to_string().into_response()
        }
        ("POST", ["_coracle", "session", "kill"]) => json!({ "state": "ended" }).to_string().into_response(),
        ("GET", ["_coracle", "logs"]) => concat!(
            r#"{"time":"2026-11-21T09:00:00.123456Z","stream":"stdout","session":"0123456789abcdef","line":"hi"}"#,
            "\n",
            r#"{"time":"2026-11-21T09:00:01Z","output":"stderr","runtime":"hello-AbCdEf0123","session":"0123456789abcdef","line":"oh no"}"#,
        )
        .into_response(),
        (method, ["coracle-artifacts-123456789012-us-east-1", key @ ..]) => world.s3(method, &key.join("/"), &seen),
        _ => refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", "no such thing"),
    }
}

fn session() -> Value {
    json!({
        "runtime": ID, "endpoint": "DEFAULT", "session": "0123456789abcdef0123456789abcdef0", "version": 1,
        "state": "idle", "started": "2026-11-21T09:00:00.5Z", "lastUsed": "2026-11-21T09:01:00Z", "requests": 0,
    })
}

fn invoke(seen: &Seen) -> Response {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    if body["jsonrpc"] == "2.0" {
        return tools(&body);
    }
    let prompt = body["prompt"].as_str().unwrap_or_default().to_owned();
    let pieces: Vec<&'static [u8]> = match prompt.as_str() {
        "json" => return ([("content-type", "application/json")], r#"{"answer": 42}"#).into_response(),
        "crash" => {
            let text = "An error occurred when starting the runtime.";
            return refuse(StatusCode::FAILED_DEPENDENCY, "RuntimeClientError", text);
        }
        "raise" => vec![
            b"data: \"so far \"\n\n",
            b"data: {\"error\": \"no luck\", \"error_type\": \"ValueError\", \"message\": \"x\"}\n\n",
        ],
        _ => vec![
            b"data: \"Hel",
            b"lo \"\n",
            b"\ndata: \"\xe2\x86",
            b"\x92 you\"\n\n",
        ],
    };
    let stream = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    (
        [("content-type", "text/event-stream; charset=utf-8")],
        Body::from_stream(stream),
    )
        .into_response()
}

/// An MCP server with one tool, which answers as events.
fn tools(request: &Value) -> Response {
    let result = match request["method"].as_str().unwrap() {
        "initialize" => json!({ "protocolVersion": "2025-06-18", "serverInfo": {}, "capabilities": {} }),
        "tools/list" => json!({ "tools": [{
            "name": "add", "description": "Adds two numbers.",
            "inputSchema": { "properties": { "a": { "type": "number" }, "b": { "type": "number" } }, "required": ["a"] },
        }]}),
        "tools/call" if request["params"]["arguments"]["a"].is_null() => {
            json!({ "isError": true, "content": [{ "type": "text", "text": "a is missing" }] })
        }
        "tools/call" => json!({ "content": [{ "type": "text", "text": "42" }] }),
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    let event = format!(
        "event: message\ndata: {}\n\n",
        json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
    );
    (
        [
            ("content-type", "text/event-stream"),
            ("mcp-session-id", "made-by-the-server"),
        ],
        event,
    )
        .into_response()
}

fn refuse(status: StatusCode, code: &'static str, message: &str) -> Response {
    (
        status,
        [("x-amzn-errortype", code)],
        json!({ "message": message }).to_string(),
    )
        .into_response()
}

impl World {
    fn list(&self) -> String {
        let items = self.runtime.iter().map(|(_, version, _)| {
            json!({
                "agentRuntimeArn": ARN, "agentRuntimeId": ID, "agentRuntimeName": "hello", "description": "",
                "agentRuntimeVersion": version.to_string(), "lastUpdatedAt": "2026-11-21T09:00:00Z",
                "status": "READY",
            })
        });
        json!({ "agentRuntimes": items.collect::<Vec<_>>() }).to_string()
    }

    fn make(&mut self, body: &[u8]) -> Response {
        let definition: Value = serde_json::from_slice(body).unwrap();
        let version = self.runtime.as_ref().map_or(1, |(_, version, _)| version + 1);
        self.runtime = Some((definition, version, self.failure.clone()));
        self.changing = 2;
        let answer = json!({
            "agentRuntimeArn": ARN, "agentRuntimeId": ID, "agentRuntimeVersion": version.to_string(),
            "createdAt": "2026-11-21T09:00:00Z", "lastUpdatedAt": "2026-11-21T09:00:00Z", "status": "CREATING",
        });
        (StatusCode::ACCEPTED, answer.to_string()).into_response()
    }

    fn show(&mut self) -> Response {
        let Some((definition, version, failure)) = &self.runtime else {
            return refuse(
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                "no such runtime",
            );
        };
        let (moving, failed) = if *version == 1 {
            ("CREATING", "CREATE_FAILED")
        } else {
            ("UPDATING", "UPDATE_FAILED")
        };
        let status = match failure {
            _ if self.changing > 0 => moving,
            Some(_) => failed,
            None => "READY",
        };
        self.changing = self.changing.saturating_sub(1);
        let mut shown = json!({
            "agentRuntimeArn": ARN, "agentRuntimeId": ID, "agentRuntimeName": "hello", "status": status,
            "agentRuntimeVersion": version.to_string(), "createdAt": "2026-11-21T09:00:00Z",
            "lastUpdatedAt": "2026-11-21T09:00:00Z",
            "lifecycleConfiguration": { "idleRuntimeSessionTimeout": 900, "maxLifetime": 28800 },
        });
        let shown_members = shown.as_object_mut().unwrap();
        for (name, value) in definition.as_object().unwrap() {
            if name != "clientToken" && name != "agentRuntimeName" {
                shown_members.insert(name.clone(), value.clone());
            }
        }
        if let (Some(reason), 0) = (failure, self.changing) {
            shown_members.insert("failureReason".to_owned(), reason.clone().into());
        }
        shown.to_string().into_response()
    }

    fn s3(&mut self, method: &str, key: &str, seen: &Seen) -> Response {
        match (method, key) {
            ("PUT", key) => {
                self.objects.insert(key.to_owned(), seen.body.len());
                StatusCode::OK.into_response()
            }
            ("HEAD", key) if self.objects.contains_key(key) => StatusCode::OK.into_response(),
            ("GET", "") => {
                let keys = self
                    .objects
                    .keys()
                    .map(|key| format!("<Contents><Key>{key}</Key></Contents>"));
                format!(
                    "<ListBucketResult>{}</ListBucketResult>",
                    keys.collect::<String>()
                )
                .into_response()
            }
            ("DELETE", key) => {
                self.objects.remove(key);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
}
