//! What `GET /metrics` says, in the OpenMetrics text format.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters of one server.
pub struct Metrics {
    registry: Registry,
    answers: Family<StatusLabel, Counter>,
    operations: Family<OperationLabel, Counter>,
    head_latency: Histogram,
    session_starts: Histogram,
    sessions: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
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
        let session_starts = Histogram::new(exponential_buckets(0.01, 2.0, 14));
        registry.register(
            "session_start_seconds",
            "Time from a session's first request until its agent was healthy",
            session_starts.clone(),
        );
        let sessions = Gauge::default();
        registry.register("sessions", "Sessions now", sessions.clone());
        Self {
            registry,
            answers,
            operations,
            head_latency,
            session_starts,
            sessions,
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

    /// A session became ready.
    pub fn session_started(&self, after: Duration) {
        self.session_starts.observe(after.as_secs_f64());
    }

    /// How many sessions there are.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// All of it as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        prometheus_client::encoding::text::encode(&mut text, &self.registry).ok();
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
