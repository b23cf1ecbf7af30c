//! What is said of many measurements.

use std::time::Duration;

use serde::Serialize;

/// Median and extremes, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let times = sorted(times);
        Some(Self {
            median: percentile(&times, 50.0)?,
            min: *times.first()?,
            max: *times.last()?,
        })
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) mean: f64,
}

impl Latency {
    /// `None` of nothing.
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let times = sorted(times);
        Some(Self {
            p50: percentile(&times, 50.0)?,
            p99: percentile(&times, 99.0)?,
            mean: mean(&times),
        })
    }
}

/// Latencies in milliseconds, with the slow ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
}

impl Percentiles {
    /// `None` of nothing.
    pub(super) fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let times = sorted(times);
        Some(Self {
            p50: percentile(&times, 50.0)?,
            p90: percentile(&times, 90.0)?,
            p99: percentile(&times, 99.0)?,
        })
    }
}

fn sorted(times: impl IntoIterator<Item = Duration>) -> Vec<f64> {
    let mut times: Vec<f64> = times
        .into_iter()
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

#[expect(clippy::cast_precision_loss, reason = "the length of a list")]
fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

/// The smallest of the sorted values that so many per cent do not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank within a list"
)]
fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times = (1..=200).rev().map(Duration::from_millis);
        assert_eq!(
            Latency::of(times),
            Some(Latency {
                p50: 100.0,
                p99: 198.0,
                mean: 100.5,
            })
        );
        let one = [Duration::from_millis(7)];
        assert_eq!(
            Spread::of(one),
            Some(Spread {
                median: 7.0,
                min: 7.0,
                max: 7.0
            })
        );
        assert_eq!(Spread::of([]), None);
    }
}
