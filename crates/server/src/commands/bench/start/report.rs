//! What was measured, for people and for programs, beside the targets.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::ms;
use super::super::report::{Head, mib};
use super::super::statistics::Percentiles;

/// What `start.py` says of one agent.
#[derive(Deserialize)]
pub(super) struct Measured {
    agent: String,
    ways: Vec<MeasuredWay>,
    create_to_ready_seconds: f64,
    sessions_per_second: f64,
    idle_private_bytes: u64,
    idle_shared_bytes: u64,
    template_bytes: u64,
    hibernated_bytes: u64,
}

#[derive(Deserialize)]
struct MeasuredWay {
    name: String,
    one_by_one: Vec<f64>,
    ten_at_once: Vec<f64>,
}

/// Everything one run found out.
#[derive(Serialize)]
pub(in super::super) struct Report {
    #[serde(flatten)]
    head: Head,
    agents: Vec<AgentReport>,
}

#[derive(Serialize)]
struct AgentReport {
    agent: String,
    ways: Vec<Way>,
    sessions_per_second: f64,
    create_to_ready_ms: f64,
    idle_private_bytes: u64,
    idle_shared_bytes: u64,
    template_bytes: u64,
    hibernated_bytes: u64,
}

/// One way of starting, in milliseconds.
#[derive(Serialize)]
struct Way {
    name: String,
    sessions: usize,
    one_by_one: Option<Percentiles>,
    ten_at_once: Option<Percentiles>,
}

impl Report {
    pub(super) fn new(head: Head, measured: Vec<Measured>) -> Self {
        Self {
            head,
            agents: measured.into_iter().map(AgentReport::from).collect(),
        }
    }

    /// The report as lines of text.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head.line()];
        for agent in &self.agents {
            agent.print(&mut lines);
        }
        lines
    }
}

impl From<Measured> for AgentReport {
    fn from(measured: Measured) -> Self {
        let percentiles =
            |seconds: Vec<f64>| Percentiles::of(seconds.into_iter().map(Duration::from_secs_f64));
        let ways = measured.ways.into_iter().map(|way| Way {
            name: way.name,
            sessions: way.one_by_one.len(),
            one_by_one: percentiles(way.one_by_one),
            ten_at_once: percentiles(way.ten_at_once),
        });
        Self {
            agent: measured.agent,
            ways: ways.collect(),
            sessions_per_second: measured.sessions_per_second,
            create_to_ready_ms: measured.create_to_ready_seconds * 1000.0,
            idle_private_bytes: measured.idle_private_bytes,
            idle_shared_bytes: measured.idle_shared_bytes,
            template_bytes: measured.template_bytes,
            hibernated_bytes: measured.hibernated_bytes,
        }
    }
}

impl AgentReport {
    fn print(&self, lines: &mut Vec<String>) {
        lines.extend([
            String::new(),
            format!(
                "{} agent, request to first byte through boto3: p50 / p90 / p99",
                self.agent
            ),
            format!("  {:<28}{:>30}{:>30}", "", "one by one", "ten at once"),
        ]);
        for way in &self.ways {
            let name = format!("{} ({})", way.name, way.sessions);
            let (one, ten) = (shown(way.one_by_one), shown(way.ten_at_once));
            lines.push(format!("  {name:<28}{one:>30}{ten:>30}"));
        }
        let figures = [
            (
                "new sessions per second",
                format!("{:.2}", self.sessions_per_second),
            ),
            ("create to READY", ms(self.create_to_ready_ms)),
            ("idle session, private memory", mib(self.idle_private_bytes)),
            ("idle session, shared memory", mib(self.idle_shared_bytes)),
            ("template on disk", mib(self.template_bytes)),
            ("hibernated session on disk", mib(self.hibernated_bytes)),
        ];
        lines.extend(figures.map(|(name, figure)| format!("  {name:<32}{figure:>20}")));
    }
}

fn shown(figures: Option<Percentiles>) -> String {
    figures.map_or_else(
        || "-".to_owned(),
        |figures| {
            let [p50, p90, p99] = [figures.p50, figures.p90, figures.p99].map(|value| format!("{value:.0}"));
            format!("{p50} / {p90} / {p99} ms")
        },
    )
}

#[cfg(test)]
mod tests {
    use coracle_types::RuntimeKind;

    use super::super::super::Execution;
    use super::*;

    #[test]
    fn what_the_script_says_becomes_lines() {
        let said = r#"[{"agent": "hello", "ways": [{"name": "restore", "one_by_one": [0.25, 0.35, 0.3], "ten_at_once": []}],
            "create_to_ready_seconds": 3.5, "sessions_per_second": 5.25, "idle_private_bytes": 31457280,
            "idle_shared_bytes": 62914560, "template_bytes": 1048576, "hibernated_bytes": 5242880}]"#;
        let measured = serde_json::from_str(said).unwrap();
        let head = Head::new(Execution::Kvm, RuntimeKind::Python313);
        let lines = Report::new(head, measured).lines();
        let restore = lines.iter().find(|line| line.contains("restore (3)")).unwrap();
        assert!(restore.contains("300 / 350 / 350 ms"), "{restore}");
        assert!(restore.ends_with(" -"), "{restore}");
        assert!(lines.iter().any(|line| line.contains("5.25")), "{lines:?}");
    }
}
