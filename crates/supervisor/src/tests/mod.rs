//! The supervisor as its users see it, against simulated sandboxes.
//!
//! Most tests run on a paused clock: time passes when nothing else can happen, so hours of a session's life
//! take milliseconds and every deadline is exact.

mod adopting;
mod caps;
mod ending;
mod hibernating;
mod logs;
mod memory;
mod pools;
mod racing;
mod serving;
mod starting;
mod storing;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_types::{RuntimeKind, ServerProtocol, SessionKey, VersionNumber};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::driver::simulated::SimulatedDriver;
use crate::driver::{AgentSpec, CodeArtifact, CodeProgram, Program};
use crate::testing::{MemoryDirectory, MemoryLogs, Record};
use crate::{
    AcquireError, Cap, CapOf, Caps, EndReason, Lease, SessionSpec, SessionState, StopError, Supervisor,
    SupervisorConfig,
};

/// A supervisor with everything around it.
struct World {
    supervisor: Supervisor,
    driver: Arc<SimulatedDriver>,
    directory: Arc<MemoryDirectory>,
    logs: Arc<MemoryLogs>,
}

impl World {
    fn new() -> Self {
        Self::with(SupervisorConfig::default())
    }

    fn with(config: SupervisorConfig) -> Self {
        let (driver, directory, logs) = (Arc::default(), Arc::default(), Arc::default());
        let supervisor = Supervisor::new(
            Arc::clone(&driver) as _,
            Arc::clone(&directory) as _,
            Arc::clone(&logs) as _,
            config,
        );
        Self {
            supervisor,
            driver,
            directory,
            logs,
        }
    }

    async fn acquire(&self, name: &str, spec: &Arc<SessionSpec>) -> Result<Lease, AcquireError> {
        self.supervisor.acquire(key(name), Arc::clone(spec)).await
    }

    /// One invocation of a healthy session.
    async fn invoke(&self, name: &str, payload: Value) -> Value {
        let lease = self.acquire(name, &spec(&[])).await.unwrap();
        post(&lease, payload).await.unwrap().1
    }

    fn state(&self, name: &str) -> Option<SessionState> {
        self.supervisor.session(&key(name)).map(|info| info.state)
    }

    /// Waits until the session is gone.
    async fn gone(&self, name: &str) {
        eventually(&format!("{name} is gone"), || self.state(name).is_none()).await;
    }

    /// Kinds of the ends that were recorded, in order.
    fn ends(&self) -> Vec<&'static str> {
        let kind = |record| match record {
            Record::Ended(_, _, kind) => Some(kind),
            _ => None,
        };
        self.directory.records().into_iter().filter_map(kind).collect()
    }

    /// Ends everything and checks that nothing is left.
    async fn finish(self) {
        self.supervisor.drain(Duration::ZERO).await;
        assert!(self.supervisor.sessions().is_empty());
        assert_eq!(self.driver.live(), 0, "sandboxes left");
        assert_eq!(self.directory.claimed(), 0, "claims left");
    }
}

fn key(name: &str) -> SessionKey {
    SessionKey {
        runtime: "hello-AbCdEf0123".parse().unwrap(),
        endpoint: "DEFAULT".parse().unwrap(),
        session: format!("{name:_>33}").parse().unwrap(),
    }
}

/// The spec of a simulated agent with these environment variables.
fn spec(environment: &[(&str, &str)]) -> Arc<SessionSpec> {
    let pairs = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Arc::new(SessionSpec {
        account: "000000000000".parse().unwrap(),
        version: VersionNumber::FIRST,
        agent: AgentSpec {
            program: Program::Code(CodeProgram {
                runtime: RuntimeKind::Python313,
                code: CodeArtifact {
                    digest: String::new(),
                    zip: "none".into(),
                },
                entry_point: vec!["main.py".to_owned()],
            }),
            environment: pairs.collect(),
            protocol: ServerProtocol::Http,
            port: 8080,
            path: "/invocations".to_owned(),
            egress: Default::default(),
            storage: None,
            folders: Vec::new(),
            template: None,
        },
        role: None,
        idle_timeout: Duration::from_secs(900),
        max_lifetime: Duration::from_secs(28_800),
        init_timeout: Duration::from_secs(30),
        hibernation: None,
        caps: Caps::default(),
        runtime_caps: Caps::default(),
    })
}

/// Sends an invocation and reads the whole answer.
async fn post(lease: &Lease, payload: Value) -> Result<(StatusCode, Value), hyper::Error> {
    let stream = lease.connect().await.expect("a connection to the agent");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("/invocations")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(payload.to_string())))
        .unwrap();
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Waits until `condition` holds, at most a minute.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("not within 60 s: {what}"));
}

/// How long something took by the paused clock.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = tokio::time::Instant::now();
    (work.await, began.elapsed())
}
