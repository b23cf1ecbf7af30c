//! What `GET /metrics` says, in the OpenMetrics text format.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicI64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use coracle_supervisor::{PoolTotals, StartPhases, Supervisor};
use coracle_types::{SandboxId, SessionKey, VersionNumber};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// How many session starts are told apart. The requests that share one report it at the same moment.
const REMEMBERED_STARTS: usize = 1024;

/// Most versions whose invocations are counted.
const MOST_VERSIONS: usize = 1000;

/// Counters of one server.
pub struct Metrics {
    registry: Registry,
    answers: Family<StatusLabel, Counter>,
    operations: Family<OperationLabel, Counter>,
    head_latency: Histogram,
    session_starts: Family<PhaseLabel, Histogram>,
    counted_starts: Mutex<VecDeque<SandboxId>>,
    session_origins: Family<OriginLabel, Counter>,
    sessions: Gauge<i64, AtomicI64>,
    websockets: Gauge<i64, AtomicI64>,
    websocket_endings: Family<EndingLabel, Counter>,
    pooled: Family<StateLabel, Gauge<i64, AtomicI64>>,
    pool_requests: Family<OutcomeLabel, Counter>,
    hibernations: Family<OutcomeLabel, Counter>,
    wakes: Family<OutcomeLabel, Counter>,
    version_sessions: Family<VersionLabels, Gauge>,
    version_invocations: Family<VersionOutcomeLabels, Counter>,
    /// Of which versions invocations are counted.
    counted_versions: Mutex<HashSet<VersionLabels>>,
    storages: Gauge,
    storage_bytes: Gauge,
    refused_for_memory: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabel {
    origin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndingLabel {
    ending: &'static str,
}

/// An open WebSocket, until dropped.
#[must_use]
pub struct OpenWebSocket(Gauge<i64, AtomicI64>);

impl Drop for OpenWebSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    runtime: String,
    endpoint: String,
    version: u32,
}

impl VersionLabels {
    fn of(session: &SessionKey, version: VersionNumber) -> Self {
        Self {
            runtime: session.runtime.to_string(),
            endpoint: session.endpoint.to_string(),
            version: version.get(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionOutcomeLabels {
    runtime: String,
    endpoint: String,
    version: u32,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl Metrics {
    /// Counters that all stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("coracle");
        let answers = Family::default();
        registry.register("http_answers", "Answers by status", answers.clone());
        let operations = Family::default();
        registry.register(
            "operations",
            "Authentic requests by AWS operation",
            operations.clone(),
        );
        let head_latency = Histogram::new(exponential_buckets(0.000_5, 2.0, 18));
        registry.register(
            "http_answer_seconds",
            "Time from request head to answer head",
            head_latency.clone(),
        );
        let session_starts = Family::new_with_constructor(start_histogram as fn() -> Histogram);
        registry.register(
            "session_start_seconds",
            "Time from a session's first request until its agent was healthy, by phase and in total",
            session_starts.clone(),
        );
        let session_origins = Family::default();
        registry.register(
            "session_starts",
            "Sessions by how their sandbox came to be; booted_instead had no template that could be restored",
            session_origins.clone(),
        );
        let sessions = Gauge::default();
        registry.register("sessions", "Sessions now", sessions.clone());
        let websockets = Gauge::default();
        registry.register("websockets", "WebSockets open now", websockets.clone());
        let websocket_endings = Family::default();
        registry.register(
            "websocket_endings",
            "WebSockets by how they ended",
            websocket_endings.clone(),
        );
        let pooled = Family::default();
        registry.register(
            "warm_pool_sandboxes",
            "Sandboxes in warm pools now, by whether they stand ready or are being made",
            pooled.clone(),
        );
        let pool_requests = Family::default();
        registry.register(
            "warm_pool_requests",
            "Sessions of endpoints with a warm pool, by whether a sandbox stood ready",
            pool_requests.clone(),
        );
        let hibernations = Family::default();
        registry.register(
            "hibernations",
            "Sessions that were to be hibernated, by whether they are or are lost",
            hibernations.clone(),
        );
        let wakes = Family::default();
        registry.register(
            "wakes",
            "Hibernated sessions that were used again, by whether they go on or begin afresh",
            wakes.clone(),
        );
        let version_sessions = Family::default();
        registry.register(
            "version_sessions",
            "Sessions now by what they run",
            version_sessions.clone(),
        );
        let version_invocations = Family::default();
        registry.register(
            "version_invocations",
            "Invocations by what their session runs and whether its agent answered with a success; failed also counts \
             other requests that an agent left without an answer",
            version_invocations.clone(),
        );
        let storages = Gauge::default();
        registry.register(
            "session_storages",
            "Storages of sessions that are kept, also of those that do not run",
            storages.clone(),
        );
        let storage_bytes = Gauge::default();
        registry.register(
            "session_storage_bytes",
            "What storages of sessions take on the disk",
            storage_bytes.clone(),
        );
        let refused_for_memory = Counter::default();
        registry.register(
            "sessions_refused_for_memory",
            "New sessions that were refused because the host was short of memory",
            refused_for_memory.clone(),
        );
        Self {
            registry,
            answers,
            operations,
            head_latency,
            session_starts,
            counted_starts: Mutex::default(),
            session_origins,
            sessions,
            websockets,
            websocket_endings,
            pooled,
            pool_requests,
            hibernations,
            wakes,
            version_sessions,
            version_invocations,
            counted_versions: Mutex::default(),
            storages,
            storage_bytes,
            refused_for_memory,
        }
    }

    /// An answer's head was sent.
    pub fn answered(&self, status: u16, after: Duration) {
        self.answers.get_or_create(&StatusLabel { status }).inc();
        self.head_latency.observe(after.as_secs_f64());
    }

    /// An authentic request named this operation.
    pub fn operation(&self, name: &'static str) {
        self.operations
            .get_or_create(&OperationLabel { operation: name })
            .inc();
    }

    /// A session became ready in this sandbox. Every request that waited for it says so; it counts once.
    pub fn session_started(&self, sandbox: SandboxId, phases: StartPhases) {
        {
            let mut counted = self.counted_starts.lock().unwrap_or_else(PoisonError::into_inner);
            if counted.contains(&sandbox) {
                return;
            }
            counted.truncate(REMEMBERED_STARTS - 1);
            counted.push_front(sandbox);
        }
        self.session_origins
            .get_or_create(&OriginLabel {
                origin: phases.origin.as_str(),
            })
            .inc();
        let parts = [
            ("queue", phases.queue),
            ("disks", phases.disks),
            ("machine", phases.machine),
            ("kernel", phases.kernel),
            ("agent", phases.agent),
        ];
        let total = parts.iter().map(|(_, took)| *took).sum();
        for (phase, took) in parts.into_iter().chain([("total", total)]) {
            self.session_starts
                .get_or_create(&PhaseLabel { phase })
                .observe(took.as_secs_f64());
        }
    }

    /// An agent was invoked, and answered with a success or not. Counts for so many versions at most: each takes memory for good.
    pub fn invoked(&self, session: &SessionKey, version: VersionNumber, answered: bool) {
        let labels = VersionLabels::of(session, version);
        {
            let mut counted = self
                .counted_versions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if !counted.contains(&labels) {
                if counted.len() >= MOST_VERSIONS {
                    return;
                }
                counted.insert(labels.clone());
            }
        }
        let outcome = if answered { "answered" } else { "failed" };
        self.version_invocations
            .get_or_create(&VersionOutcomeLabels {
                runtime: labels.runtime,
                endpoint: labels.endpoint,
                version: labels.version,
                outcome,
            })
            .inc();
    }

    /// A WebSocket was opened.
    pub fn websocket_opened(&self) -> OpenWebSocket {
        self.websockets.inc();
        OpenWebSocket(self.websockets.clone())
    }

    /// A WebSocket ended, in one word.
    pub fn websocket_ended(&self, ending: &'static str) {
        self.websocket_endings
            .get_or_create(&EndingLabel { ending })
            .inc();
    }

    /// Takes in what the supervisor counts itself.
    pub async fn look_at(&self, supervisor: &Supervisor) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let sessions = supervisor.sessions();
        self.sessions.set(count(sessions.len()));
        // Those that have none any more are gone.
        self.version_sessions.clear();
        for session in &sessions {
            let labels = VersionLabels::of(&session.key, session.version);
            self.version_sessions.get_or_create(&labels).inc();
        }
        let pools = supervisor.pools();
        let states = [
            ("ready", pools.iter().map(|pool| pool.ready).sum()),
            ("starting", pools.iter().map(|pool| pool.starting).sum()),
        ];
        for (state, sandboxes) in states {
            let gauge = self.pooled.get_or_create(&StateLabel { state });
            gauge.set(count(sandboxes));
        }
        let storage = supervisor.storage_use().await;
        self.storages.set(count(storage.count));
        self.storage_bytes
            .set(i64::try_from(storage.bytes).unwrap_or(i64::MAX));
        let PoolTotals { hits, misses } = supervisor.pool_totals();
        let refused = supervisor.refused_for_memory();
        self.refused_for_memory
            .inc_by(refused.saturating_sub(self.refused_for_memory.get()));
        let totals = supervisor.hibernation_totals();
        for (family, outcome, total) in [
            (&self.pool_requests, "hit", hits),
            (&self.pool_requests, "miss", misses),
            (&self.hibernations, "hibernated", totals.hibernated),
            (&self.hibernations, "lost", totals.not_hibernated),
            (&self.wakes, "woken", totals.woken),
            (&self.wakes, "afresh", totals.not_woken),
        ] {
            let counter = family.get_or_create(&OutcomeLabel { outcome });
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// All of it as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        prometheus_client::encoding::text::encode(&mut text, &self.registry).ok();
        text
    }
}

/// From a millisecond, which a phase of the `process` driver takes, to half a minute.
fn start_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_start_that_many_requests_waited_for_counts_once() {
        let metrics = Metrics::new();
        let phases = StartPhases {
            kernel: Duration::from_millis(1500),
            agent: Duration::from_millis(500),
            ..StartPhases::default()
        };
        let first = SandboxId::new();
        for sandbox in [first, first, SandboxId::new(), first] {
            metrics.session_started(sandbox, phases);
        }
        let text = metrics.render();
        for line in [
            "coracle_session_start_seconds_count{phase=\"total\"} 2",
            "coracle_session_start_seconds_sum{phase=\"total\"} 4.0",
            "coracle_session_start_seconds_sum{phase=\"kernel\"} 3.0",
            "coracle_session_start_seconds_sum{phase=\"disks\"} 0.0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
