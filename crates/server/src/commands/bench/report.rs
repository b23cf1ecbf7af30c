//! What was measured, for people and for programs.

use coracle_types::RuntimeKind;
use serde::Serialize;

use super::measure::CONCURRENCY;
use super::statistics::{Latency, Spread};
use super::{Execution, ms};

const MIB: f64 = 1024.0 * 1024.0;

/// What every report begins with: what was measured.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    version: &'static str,
    optimised: bool,
    execution: Execution,
    runtime: &'static str,
}

impl Head {
    pub(super) fn new(execution: Execution, runtime: RuntimeKind) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            execution,
            runtime: runtime.as_str(),
        }
    }

    /// As a line of text.
    pub(super) fn line(&self) -> String {
        format!(
            "coracle {} ({} build), {}, {}",
            self.version,
            if self.optimised { "release" } else { "development" },
            self.execution.described(),
            self.runtime,
        )
    }
}

/// Everything one run found out. Times are in milliseconds unless their name says seconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) cold_starts: ColdStarts,
    pub(super) idle_memory: IdleMemory,
    pub(super) warm: Warm,
    pub(super) large_bodies: Bodies,
}

/// Sessions started one after the other.
#[derive(Debug, Serialize)]
pub(super) struct ColdStarts {
    /// In order; `first byte` is what is left of the time until the answer's head.
    pub(super) phases: Vec<(&'static str, Spread)>,
    pub(super) total: Spread,
    pub(super) failed: usize,
}

/// Memory of one idle session, on average.
#[derive(Debug, Serialize)]
pub(super) struct IdleMemory {
    pub(super) sessions: u64,
    pub(super) private_bytes: u64,
    pub(super) shared_bytes: u64,
}

/// Invocations of a running session.
#[derive(Debug, Serialize)]
pub(super) struct Warm {
    pub(super) through: Side,
    pub(super) direct: Side,
    pub(super) added_p50_ms: f64,
    pub(super) added_mean_ms: f64,
    pub(super) requests: usize,
    /// What signing one request takes the client; no part of the latencies.
    pub(super) signing_ms: f64,
}

/// One way to the agent.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    pub(super) latency: Latency,
    pub(super) latency_at_concurrency: Latency,
    pub(super) requests_per_second: f64,
}

/// Large request bodies.
#[derive(Debug, Serialize)]
pub(super) struct Bodies {
    pub(super) bytes: u64,
    pub(super) one_seconds: f64,
    pub(super) ten_seconds: f64,
    pub(super) peak_before: u64,
    pub(super) peak_after_one: u64,
    pub(super) peak_after_ten: u64,
}

impl Report {
    /// The report as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head.line()];
        self.cold_starts.print(&mut lines);
        self.warm.print(&mut lines, self.head.execution);
        self.large_bodies.print(&mut lines);
        let memory = &self.idle_memory;
        lines.extend([
            String::new(),
            format!("Memory of an idle session (mean of {})", memory.sessions),
            format!("  {:<32}{}", "private", mib(memory.private_bytes)),
            format!(
                "  {:<32}{}",
                "shared with other processes",
                mib(memory.shared_bytes)
            ),
        ]);
        lines
    }
}

impl ColdStarts {
    fn print(&self, lines: &mut Vec<String>) {
        lines.extend([
            String::new(),
            format!(
                "{:<34}{:>12}{:>12}{:>12}",
                "Cold session start", "median", "min", "max"
            ),
        ]);
        let all = self.phases.iter().copied().chain([("total", self.total)]);
        lines.extend(all.map(|(phase, time)| {
            let (median, min, max) = (ms(time.median), ms(time.min), ms(time.max));
            format!("  {phase:<32}{median:>12}{min:>12}{max:>12}")
        }));
        if self.failed > 0 {
            lines.push(format!("  {} more failed", self.failed));
        }
    }
}

impl Warm {
    fn print(&self, lines: &mut Vec<String>, execution: Execution) {
        lines.extend([
            String::new(),
            format!(
                "{:<34}{:>12}{:>12}{:>12}{:>12}{:>12}",
                format!("Warm invocation ({} each way)", self.requests),
                "p50",
                "mean",
                "p99",
                format!("p50 of {CONCURRENCY}"),
                format!("rate of {CONCURRENCY}"),
            ),
        ]);
        for (name, side) in [
            ("through the server", &self.through),
            (execution.direct(), &self.direct),
        ] {
            lines.push(format!(
                "  {name:<32}{:>12}{:>12}{:>12}{:>12}{:>10.0}/s",
                ms(side.latency.p50),
                ms(side.latency.mean),
                ms(side.latency.p99),
                ms(side.latency_at_concurrency.p50),
                side.requests_per_second,
            ));
        }
        lines.push(format!(
            "  {:<32}{:>12}{:>12}",
            "added by Coracle",
            ms(self.added_p50_ms),
            ms(self.added_mean_ms)
        ));
        lines.push(format!(
            "  Requests are signed ahead of the clock; signing one takes the client {}.",
            ms(self.signing_ms)
        ));
    }
}

impl Bodies {
    fn print(&self, lines: &mut Vec<String>) {
        lines.extend([
            String::new(),
            format!(
                "{:<34}{:>12}{:>18}",
                "Requests of 100 MB", "time", "peak of server"
            ),
            format!("  {:<32}{:>12}{:>18}", "before", "", mib(self.peak_before)),
            format!(
                "  {:<32}{:>10.2} s{:>18}",
                "one",
                self.one_seconds,
                mib(self.peak_after_one)
            ),
            format!(
                "  {:<32}{:>10.2} s{:>18}",
                "ten at once",
                self.ten_seconds,
                mib(self.peak_after_ten)
            ),
            format!(
                "  {:<32}{:>12}{:>18}",
                "growth",
                "",
                mib(self.peak_after_ten.saturating_sub(self.peak_before))
            ),
        ]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory of a process")]
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB)
}
