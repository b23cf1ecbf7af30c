//! What was measured, for people and for programs.

use std::time::Duration;

use serde::Serialize;

use super::super::ms;
use super::super::report::{Head, mib};
use super::super::statistics::{Percentiles, Spread};
use super::{Image, Size, Starts};

const MIB: f64 = 1024.0 * 1024.0;

/// Pulls of one image.
#[derive(Default)]
pub(super) struct Pulls {
    pub(super) by_coracle: Vec<Duration>,
    /// The most memory of a server that pulled, in bytes.
    pub(super) peak_memory: u64,
    /// By `skopeo` and `umoci`; none where they are not installed.
    pub(super) by_others: Vec<Duration>,
}

/// Everything one run found out.
#[derive(Serialize)]
pub(in super::super) struct Report {
    #[serde(flatten)]
    head: Head,
    images: Vec<ImageReport>,
    /// How many times as long as from the small image a session takes to start from the large one, by the medians.
    large_to_small_start: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct ImageReport {
    image: &'static str,
    #[serde(flatten)]
    size: Size,
    pulls: Vec<Pull>,
    create_to_ready_ms: f64,
    sessions: usize,
    /// To the first byte of a new session, restored from a snapshot, in milliseconds.
    starts: Option<Percentiles>,
}

/// Pulls in one way.
#[derive(Serialize)]
struct Pull {
    by: &'static str,
    count: usize,
    /// In milliseconds.
    time: Spread,
    compressed_bytes_per_second: f64,
    unpacked_bytes_per_second: f64,
    /// Of the server that pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
}

impl Report {
    pub(super) fn new(head: Head, images: Vec<ImageReport>) -> Self {
        let medians: Vec<f64> = images
            .iter()
            .filter_map(|image| Some(image.starts?.p50))
            .collect();
        let large_to_small_start = match medians[..] {
            [small, large] => Some(large / small),
            _ => None,
        };
        Self {
            head,
            images,
            large_to_small_start,
        }
    }

    /// The report as lines of text.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head.line()];
        for image in &self.images {
            image.print(&mut lines);
        }
        if let Some(ratio) = self.large_to_small_start {
            lines.extend([
                String::new(),
                format!("A session of the large image starts in {ratio:.2} times the time of the small one."),
            ]);
        }
        lines
    }
}

impl ImageReport {
    pub(super) fn new(image: Image, pulls: &Pulls, starts: &Starts) -> Self {
        let coracle = Pull::new("Coracle", &pulls.by_coracle, &image.size, Some(pulls.peak_memory));
        let others = Pull::new("skopeo and umoci", &pulls.by_others, &image.size, None);
        Self {
            image: image.name,
            pulls: coracle.into_iter().chain(others).collect(),
            size: image.size,
            create_to_ready_ms: starts.create_to_ready_seconds * 1000.0,
            sessions: starts.seconds.len(),
            starts: Percentiles::of(starts.times()),
        }
    }

    fn print(&self, lines: &mut Vec<String>) {
        let Size {
            compressed_bytes,
            unpacked_bytes,
            files,
            layers,
        } = self.size;
        lines.extend([
            String::new(),
            format!(
                "The {} image: {} compressed, {} in {files} files of {layers} layers",
                self.image,
                mib(compressed_bytes),
                mib(unpacked_bytes),
            ),
            format!(
                "  {:<24}{:>11}{:>11}{:>11}{:>15}{:>15}{:>16}",
                "pull", "median", "min", "max", "compressed", "unpacked", "peak of server"
            ),
        ]);
        lines.extend(self.pulls.iter().map(Pull::line));
        if let Some(Percentiles { p50, p90, p99 }) = self.starts {
            let [p50, p90, p99] = [p50, p90, p99].map(ms);
            lines.push(format!(
                "  new sessions ({}), request to first byte: p50 {p50}, p90 {p90}, p99 {p99}",
                self.sessions
            ));
        }
        lines.push(format!("  create to READY: {}", ms(self.create_to_ready_ms)));
    }
}

impl Pull {
    /// Nothing of no pulls.
    fn new(by: &'static str, times: &[Duration], size: &Size, peak_memory: Option<u64>) -> Option<Self> {
        let time = Spread::of(times.iter().copied())?;
        let seconds = time.median / 1000.0;
        Some(Self {
            by,
            count: times.len(),
            time,
            compressed_bytes_per_second: size.compressed_bytes as f64 / seconds,
            unpacked_bytes_per_second: size.unpacked_bytes as f64 / seconds,
            peak_memory_bytes: peak_memory,
        })
    }

    fn line(&self) -> String {
        let name = format!("{} ({})", self.by, self.count);
        let [median, min, max] = [self.time.median, self.time.min, self.time.max].map(ms);
        let [compressed, unpacked] = [self.compressed_bytes_per_second, self.unpacked_bytes_per_second]
            .map(|rate| format!("{:.1} MiB/s", rate / MIB));
        let peak = self.peak_memory_bytes.map_or_else(String::new, mib);
        format!("  {name:<24}{median:>11}{min:>11}{max:>11}{compressed:>15}{unpacked:>15}{peak:>16}")
    }
}

#[cfg(test)]
mod tests {
    use coracle_types::RuntimeKind;

    use super::super::super::Execution;
    use super::*;

    fn report(name: &'static str, seconds: Vec<f64>, by_others: Vec<Duration>) -> ImageReport {
        let size = Size {
            compressed_bytes: 50 * 1024 * 1024,
            unpacked_bytes: 100 * 1024 * 1024,
            files: 7,
            layers: 2,
        };
        let pulls = Pulls {
            by_coracle: vec![Duration::from_secs(2)],
            peak_memory: 30 * 1024 * 1024,
            by_others,
        };
        let starts = Starts {
            create_to_ready_seconds: 4.0,
            seconds,
        };
        let uri = String::new();
        ImageReport::new(Image { name, uri, size }, &pulls, &starts)
    }

    #[test]
    fn rates_and_the_ratio_of_starts_become_lines() {
        let small = report("small", vec![0.2], vec![]);
        let large = report("large", vec![0.3, 0.22, 0.1], vec![Duration::from_secs(4)]);
        let head = Head::new(Execution::Kvm, RuntimeKind::Python313);
        let lines = Report::new(head, vec![small, large]).lines();
        let with = |text: &str| -> Vec<&String> { lines.iter().filter(|line| line.contains(text)).collect() };
        let by_coracle = with("Coracle (1)");
        assert_eq!(by_coracle.len(), 2, "{lines:?}");
        for line in by_coracle {
            assert!(
                line.contains("25.0 MiB/s") && line.contains("50.0 MiB/s"),
                "{line}"
            );
            assert!(line.ends_with("30.0 MiB"), "{line}");
        }
        assert_eq!(with("skopeo and umoci (1)").len(), 1, "{lines:?}");
        assert_eq!(with("1.10 times").len(), 1, "{lines:?}");
    }
}
