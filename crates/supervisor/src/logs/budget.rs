//! How much of one session's output is kept.

use tokio::time::Instant;

/// What one session may write to the logs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBudget {
    /// At once, after a pause.
    pub burst: u64,
    /// Per second, lastingly.
    pub per_second: u64,
    /// In its whole life.
    pub total: u64,
}

impl Default for LogBudget {
    fn default() -> Self {
        Self {
            burst: 4 * 1024 * 1024,
            per_second: 256 * 1024,
            total: 256 * 1024 * 1024,
        }
    }
}

/// Whether a line is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Yes.
    Yes,
    /// Yes, after this many that were not.
    YesAfter(u64),
    /// No.
    No,
}

/// What is left of a [`LogBudget`]: a token bucket, and a total.
///
/// Once empty, nothing is kept until a quarter of the burst has come back, so that a flood leaves a few long
/// runs of lines, each followed by one note, and not every hundredth line with a note after each.
#[derive(Debug)]
pub(crate) struct Allowance {
    budget: LogBudget,
    available: u64,
    left_in_total: u64,
    refilled: Instant,
    dropped: u64,
}

impl Allowance {
    /// A full allowance.
    pub(crate) fn new(budget: LogBudget, now: Instant) -> Self {
        Self {
            budget,
            available: budget.burst,
            left_in_total: budget.total,
            refilled: now,
            dropped: 0,
        }
    }

    /// Decides about a line that takes `bytes` to keep.
    pub(crate) fn take(&mut self, now: Instant, bytes: u64) -> Kept {
        self.refill(now);
        let dropping = self.dropped > 0;
        let needed = if dropping {
            bytes.max(self.budget.burst / 4)
        } else {
            bytes
        };
        if needed > self.available || bytes > self.left_in_total {
            self.dropped += 1;
            return Kept::No;
        }
        self.available -= bytes;
        self.left_in_total -= bytes;
        if dropping {
            Kept::YesAfter(std::mem::take(&mut self.dropped))
        } else {
            Kept::Yes
        }
    }

    /// How many lines were dropped since the last one that was kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn refill(&mut self, now: Instant) {
        let micros = u64::try_from((now - self.refilled).as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(self.budget.per_second) / 1_000_000;
        if earned > 0 {
            self.refilled = now;
            self.available = self.available.saturating_add(earned).min(self.budget.burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BUDGET: LogBudget = LogBudget {
        burst: 1000,
        per_second: 100,
        total: 5000,
    };

    #[test]
    fn a_flood_is_cut_and_counted_and_the_session_recovers() {
        let start = Instant::now();
        let mut allowance = Allowance::new(BUDGET, start);
        for _ in 0..10 {
            assert_eq!(allowance.take(start, 100), Kept::Yes);
        }
        for _ in 0..7 {
            assert_eq!(allowance.take(start, 100), Kept::No);
        }
        assert_eq!(
            allowance.take(start + Duration::from_secs(2), 100),
            Kept::No,
            "not yet a quarter"
        );
        assert_eq!(
            allowance.take(start + Duration::from_secs(3), 100),
            Kept::YesAfter(8)
        );
        assert_eq!(allowance.take(start + Duration::from_secs(3), 100), Kept::Yes);
    }

    #[test]
    fn the_total_is_never_exceeded() {
        let start = Instant::now();
        let mut allowance = Allowance::new(BUDGET, start);
        let kept = (0..1000)
            .filter(|second| allowance.take(start + Duration::from_secs(*second), 90) != Kept::No)
            .count();
        assert_eq!(kept, 55);
    }
}
