//! What was measured, for people and for programs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::ms;
use super::super::report::Head;
use super::super::statistics::Latency;

const MIB: f64 = 1024.0 * 1024.0;

/// What the script says.
#[derive(Deserialize)]
pub(super) struct Measured {
    round_trips: Vec<MeasuredWay>,
    frames_per_second: f64,
    bytes_per_second: Vec<Rate>,
}

#[derive(Deserialize)]
struct MeasuredWay {
    name: String,
    seconds: Vec<f64>,
}

/// Bytes per second in one way.
#[derive(Serialize, Deserialize)]
struct Rate {
    name: String,
    rate: f64,
}

/// Everything one run found out.
#[derive(Serialize)]
pub(in super::super) struct Report {
    #[serde(flatten)]
    head: Head,
    round_trips: Vec<RoundTrip>,
    frames_per_second: f64,
    bytes_per_second: Vec<Rate>,
}

/// Round trips in one way, in milliseconds.
#[derive(Serialize)]
struct RoundTrip {
    name: String,
    count: usize,
    latency: Option<Latency>,
}

impl Report {
    pub(super) fn new(head: Head, measured: Measured) -> Self {
        let round_trips = measured.round_trips.into_iter().map(|way| RoundTrip {
            name: way.name,
            count: way.seconds.len(),
            latency: Latency::of(way.seconds.into_iter().map(Duration::from_secs_f64)),
        });
        Self {
            head,
            round_trips: round_trips.collect(),
            frames_per_second: measured.frames_per_second,
            bytes_per_second: measured.bytes_per_second,
        }
    }

    /// The report as lines of text.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.head.line(),
            String::new(),
            format!("{:<40}{:>12}{:>12}{:>12}", "Round trip", "p50", "mean", "p99"),
        ];
        lines.extend(self.round_trips.iter().filter_map(|way| {
            let Latency { p50, mean, p99 } = way.latency?;
            let name = format!("{} ({})", way.name, way.count);
            Some(format!(
                "  {name:<38}{:>12}{:>12}{:>12}",
                ms(p50),
                ms(mean),
                ms(p99)
            ))
        }));
        lines.extend([String::new(), format!("{:<40}{:>12}", "Rate", "")]);
        lines.push(format!(
            "  {:<38}{:>10.0}/s",
            "small frames of a WebSocket", self.frames_per_second
        ));
        lines.extend(
            self.bytes_per_second
                .iter()
                .map(|way| format!("  {:<38}{:>6.1} MiB/s", way.name, way.rate / MIB)),
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use coracle_types::RuntimeKind;

    use super::super::super::Execution;
    use super::*;

    #[test]
    fn what_the_script_says_becomes_lines() {
        let said = r#"{"round_trips": [{"name": "WebSocket", "seconds": [0.003, 0.001, 0.002]}],
            "frames_per_second": 1234.4, "bytes_per_second": [{"name": "invocation", "rate": 52428800}]}"#;
        let measured = serde_json::from_str(said).unwrap();
        let head = Head::new(Execution::Kvm, RuntimeKind::Python313);
        let lines = Report::new(head, measured).lines();
        let line = |begins: &str| lines.iter().find(|line| line.trim().starts_with(begins)).unwrap();
        assert!(line("WebSocket (3)").contains("2.000 ms"), "{lines:?}");
        assert!(line("small frames").ends_with("1234/s"), "{lines:?}");
        assert!(line("invocation").ends_with("50.0 MiB/s"), "{lines:?}");
    }
}
