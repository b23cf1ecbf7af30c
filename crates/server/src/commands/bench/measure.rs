//! The measurements. Each takes what it needs from the outside only: the clock here, `/metrics`, the operator API,
//! and `/proc` of the server's process.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_types::limits::MAX_INVOCATION_BODY;
use futures::future::try_join_all;
use http::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::JSON;
use super::deploy::Runtime;
use super::report::{Bodies, ColdStarts, IdleMemory, Side, Warm};
use super::server::{BareAgent, Server};
use super::statistics::{Latency, Spread};
use crate::commands::client::{Answer, Call, CallError, Client, Service, Signer};
use crate::commands::output;

const BYTES: &str = "application/octet-stream";
const PING: &str = r#"{"prompt": "hello"}"#;
/// Requests at once for throughput.
pub(super) const CONCURRENCY: usize = 8;
/// Bodies at once.
const LARGE_BODIES: usize = 10;
/// Each side is measured in so many blocks, in turn with the other, so that what else the machine does meets both.
const BLOCKS: usize = 5;
/// Requests before the clock starts.
const WARM_UP: usize = 50;
/// A session's memory is read at its health probes, every five seconds.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(30);
const MEMORY_SETTLES: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_millis(250);
/// Sessions kept idle to look at their memory.
const IDLE_SESSIONS: usize = 3;
/// The phases of a start as `/metrics` names them.
pub(super) const PHASES: [&str; 5] = ["queue", "disks", "machine", "kernel", "agent"];

/// Why a measurement came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasureError {
    /// A request.
    #[error("a request failed")]
    Call(#[from] CallError),
    /// The server's process.
    #[error("the server's memory cannot be read")]
    Memory(#[from] io::Error),
    /// No session started.
    #[error("no session could be started")]
    NoSession(#[source] CallError),
    /// The server answered something it should not.
    #[error("the server does not say {0}")]
    Missing(&'static str),
}

/// A server with the agent on it.
pub(super) struct Subject<'a> {
    pub(super) server: &'a Server,
    pub(super) signer: &'a Signer,
    pub(super) runtime: &'a Runtime,
}

impl Subject<'_> {
    pub(super) async fn client(&self) -> Result<Client, CallError> {
        Client::connect(self.server.address).await
    }

    /// An invocation of one of its sessions, signed.
    pub(super) fn call(
        &self,
        session: &str,
        media_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Call, CallError> {
        let invocation = self.runtime.invocation(session, media_type, body);
        self.signer.signed(Service::AgentCore, invocation)
    }

    /// Starts `count` sessions one after the other. The last few are left running.
    pub(super) async fn cold_starts(&self, count: usize) -> Result<(ColdStarts, Vec<String>), MeasureError> {
        let mut client = self.client().await?;
        let mut running = Vec::new();
        let mut phases: HashMap<&str, Vec<Duration>> = HashMap::new();
        let (mut first_byte, mut whole) = (Vec::new(), Vec::new());
        let mut failures = Vec::new();
        for number in 1..=count {
            let session = format!("bench-{}", Uuid::new_v4());
            let before = self.start_seconds(&mut client).await?;
            match client.send(&self.call(&session, JSON, PING)?).await {
                Ok(answer) => {
                    let after = self.start_seconds(&mut client).await?;
                    let mut started = Duration::ZERO;
                    for phase in PHASES {
                        let spent =
                            |sums: &HashMap<String, f64>| sums.get(phase).copied().unwrap_or_default();
                        let took = Duration::from_secs_f64((spent(&after) - spent(&before)).max(0.0));
                        phases.entry(phase).or_default().push(took);
                        started += took;
                    }
                    first_byte.push(answer.first_byte.saturating_sub(started));
                    whole.push(answer.first_byte);
                    output::progress(format!("cold start {number}/{count}: {:.0?}", answer.first_byte));
                    running.push(session);
                    if running.len() > IDLE_SESSIONS {
                        self.end(&mut client, &running.remove(0)).await?;
                    }
                }
                Err(error) => {
                    output::progress(format!("cold start {number}/{count} failed: {error}"));
                    failures.push(error);
                    client = self.client().await?;
                }
            }
        }
        let failed = failures.len();
        let Some(total) = Spread::of(whole) else {
            let error = failures.into_iter().next();
            return Err(error.map_or(
                MeasureError::Missing("how a session starts"),
                MeasureError::NoSession,
            ));
        };
        let mut split = Vec::new();
        for phase in PHASES {
            let times = phases.remove(phase).unwrap_or_default();
            split.extend(Spread::of(times).map(|spread| (phase, spread)));
        }
        split.extend(Spread::of(first_byte).map(|spread| ("first byte", spread)));
        Ok((
            ColdStarts {
                phases: split,
                total,
                failed,
            },
            running,
        ))
    }

    pub(super) async fn end(&self, client: &mut Client, session: &str) -> Result<(), CallError> {
        let stop = self
            .signer
            .signed(Service::AgentCore, self.runtime.stop(session))?;
        client.send(&stop).await.map(drop)
    }

    /// Ends all but the last of these sessions, which is returned.
    pub(super) async fn keep_last(&self, mut sessions: Vec<String>) -> Result<String, MeasureError> {
        let mut client = self.client().await?;
        let kept = sessions.pop().ok_or(MeasureError::Missing("a session"))?;
        for session in &sessions {
            self.end(&mut client, session).await?;
        }
        Ok(kept)
    }

    async fn start_seconds(&self, client: &mut Client) -> Result<HashMap<String, f64>, CallError> {
        let answer = client.send(&Call::new(Method::GET, "/metrics", "")).await?;
        Ok(start_sums(&String::from_utf8_lossy(&answer.body)))
    }

    /// Memory of sessions that are left alone for some seconds.
    pub(super) async fn idle_memory(&self, sessions: usize) -> Result<IdleMemory, MeasureError> {
        let mut client = self.client().await?;
        tokio::time::sleep(MEMORY_SETTLES).await;
        let deadline = Instant::now() + MEMORY_TIMEOUT;
        let list = Call::new(Method::GET, "/_coracle/sessions", "");
        loop {
            let list = self.signer.signed(Service::AgentCore, list.clone())?;
            let listed: Listed = client.send(&list).await?.json()?;
            let known = listed.sessions.iter().filter(|one| one.private_memory_bytes > 0);
            let (mut count, mut private, mut shared) = (0, 0, 0);
            for session in known {
                count += 1;
                private += session.private_memory_bytes;
                shared += session.shared_memory_bytes;
            }
            if count > 0 && (count >= sessions as u64 || Instant::now() > deadline) {
                return Ok(IdleMemory {
                    sessions: count,
                    private_bytes: private / count,
                    shared_bytes: shared / count,
                });
            }
            if Instant::now() > deadline {
                return Err(MeasureError::Missing("what memory its sessions have"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Invocations of a session that runs, through the server and past it, in turn.
    pub(super) async fn warm(
        &self,
        session: &str,
        requests: usize,
        bare: Option<&BareAgent>,
    ) -> Result<Warm, MeasureError> {
        let per_block = (requests / BLOCKS).max(CONCURRENCY);
        let mut through = Way::Http(Vec::new());
        let mut direct = match bare {
            Some(_) => Way::Http(Vec::new()),
            None => Way::Inside(self.client().await?),
        };
        for _ in 0..CONCURRENCY {
            through.add(self.client().await?);
            if let Some(bare) = bare {
                direct.add(Client::connect(bare.address).await?);
            }
        }
        let signing = Instant::now();
        self.call(session, JSON, PING)?;
        let signing = signing.elapsed();
        let unsigned = Call::json(
            Method::POST,
            "/invocations",
            &serde_json::json!({ "prompt": "hello" }),
        );
        let mut through_samples = SideSamples::default();
        let mut direct_samples = SideSamples::default();
        for block in 0..=BLOCKS {
            // Signed for every block: signatures hold for minutes, and a block may take one.
            let signed = self.call(session, JSON, PING)?;
            let ways = [
                (&mut through, &signed, &mut through_samples),
                (&mut direct, &unsigned, &mut direct_samples),
            ];
            for (way, call, samples) in ways {
                if block == 0 {
                    way.run(self, session, call, WARM_UP, CONCURRENCY).await?;
                    continue;
                }
                let sequential = way.run(self, session, call, per_block, 1).await?;
                samples.sequential.add(sequential);
                let concurrent = way.run(self, session, call, per_block, CONCURRENCY).await?;
                samples.concurrent.add(concurrent);
            }
            output::progress(format!("warm invocations: block {block}/{BLOCKS}"));
        }
        let missing = || MeasureError::Missing("anything");
        let through = through_samples.side().ok_or_else(missing)?;
        let direct = direct_samples.side().ok_or_else(missing)?;
        Ok(Warm {
            added_p50_ms: through.latency.p50 - direct.latency.p50,
            added_mean_ms: through.latency.mean - direct.latency.mean,
            through,
            direct,
            requests: per_block * BLOCKS,
            signing_ms: signing.as_secs_f64() * 1000.0,
        })
    }

    /// One body of the largest size, then ten at once.
    pub(super) async fn large_bodies(&self, session: &str) -> Result<Bodies, MeasureError> {
        let size = usize::try_from(MAX_INVOCATION_BODY).unwrap_or(usize::MAX);
        let body = Bytes::from(vec![b'x'; size]);
        self.server.forget_peak()?;
        let before = self.server.peak_memory()?;
        let call = self.call(session, BYTES, body.clone())?;
        let one = received(&self.client().await?.send(&call).await?, size)?;
        let after_one = self.server.peak_memory()?;
        output::progress(format!("one body of 100 MB: {one:.1?}"));
        // Signed anew: the first may have taken minutes.
        let call = self.call(session, BYTES, body)?;
        let began = Instant::now();
        let mut clients = Vec::new();
        for _ in 0..LARGE_BODIES {
            clients.push(self.client().await?);
        }
        let answers = try_join_all(clients.iter_mut().map(|client| client.send(&call))).await?;
        for answer in &answers {
            received(answer, size)?;
        }
        let ten = began.elapsed();
        output::progress(format!("ten bodies of 100 MB at once: {ten:.1?}"));
        let after_ten = self.server.peak_memory()?;
        Ok(Bodies {
            bytes: size as u64,
            one_seconds: one.as_secs_f64(),
            ten_seconds: ten.as_secs_f64(),
            peak_before: before,
            peak_after_one: after_one,
            peak_after_ten: after_ten,
        })
    }
}

fn received(answer: &Answer, size: usize) -> Result<Duration, CallError> {
    let Received { size: counted } = answer.json()?;
    if counted == size {
        Ok(answer.whole)
    } else {
        let error = format!("the agent received {counted} of {size} bytes");
        Err(CallError::Unexpected(serde::de::Error::custom(error)))
    }
}

/// The sums of `coracle_session_start_seconds` by phase.
fn start_sums(metrics: &str) -> HashMap<String, f64> {
    let sums = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("coracle_session_start_seconds_sum{phase=\"")?;
        let (phase, value) = rest.split_once("\"} ")?;
        Some((phase.to_owned(), value.parse().ok()?))
    });
    sums.collect()
}

#[derive(Deserialize)]
struct Listed {
    sessions: Vec<ListedSession>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedSession {
    private_memory_bytes: u64,
    shared_memory_bytes: u64,
}

#[derive(Deserialize)]
struct Received {
    size: usize,
}

/// Times of requests, and of all of them together.
#[derive(Default)]
struct Samples {
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Samples {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.elapsed += other.elapsed;
    }
}

/// What the agent says of calling itself.
#[derive(Deserialize)]
struct Measured {
    seconds: f64,
    microseconds: Vec<f64>,
}

/// What one way was measured with.
#[derive(Default)]
struct SideSamples {
    sequential: Samples,
    concurrent: Samples,
}

impl SideSamples {
    fn side(self) -> Option<Side> {
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let count = self.concurrent.times.len() as f64;
        Some(Side {
            latency: Latency::of(self.sequential.times)?,
            latency_at_concurrency: Latency::of(self.concurrent.times)?,
            requests_per_second: count / self.concurrent.elapsed.as_secs_f64(),
        })
    }
}

/// A way to the agent.
enum Way {
    /// Over connections from here.
    Http(Vec<Client>),
    /// From inside its sandbox, told over this connection.
    Inside(Client),
}

impl Way {
    fn add(&mut self, client: Client) {
        if let Self::Http(clients) = self {
            clients.push(client);
        }
    }

    async fn run(
        &mut self,
        subject: &Subject<'_>,
        session: &str,
        call: &Call,
        count: usize,
        concurrency: usize,
    ) -> Result<Samples, MeasureError> {
        match self {
            Self::Http(clients) => {
                let began = Instant::now();
                let clients = clients.iter_mut().take(concurrency);
                let times =
                    try_join_all(clients.map(|client| repeat(client, call, count / concurrency))).await?;
                Ok(Samples {
                    elapsed: began.elapsed(),
                    times: times.concat(),
                })
            }
            Self::Inside(client) => {
                let measure = serde_json::json!({ "measure": {
                    "requests": count, "concurrency": concurrency, "payload": { "prompt": "hello" },
                } });
                let call = subject.call(session, JSON, measure.to_string())?;
                let measured: Measured = client.send(&call).await?.json()?;
                let times = measured.microseconds.into_iter();
                Ok(Samples {
                    times: times
                        .map(|micros| Duration::from_secs_f64(micros / 1e6))
                        .collect(),
                    elapsed: Duration::from_secs_f64(measured.seconds),
                })
            }
        }
    }
}

async fn repeat(client: &mut Client, call: &Call, count: usize) -> Result<Vec<Duration>, CallError> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(client.send(call).await?.whole);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_of_starts_are_found_among_the_metrics() {
        let text = "# TYPE coracle_session_start_seconds histogram\n\
                    coracle_session_start_seconds_sum{phase=\"kernel\"} 3.25\n\
                    coracle_session_start_seconds_count{phase=\"kernel\"} 2\n\
                    coracle_session_start_seconds_bucket{le=\"0.001\",phase=\"kernel\"} 0\n";
        assert_eq!(start_sums(text), HashMap::from([("kernel".to_owned(), 3.25)]));
    }
}
