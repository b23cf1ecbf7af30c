//! What a session has used so far, from samples of its sandbox. No I/O.

use std::time::Duration;

use coracle_types::Consumption;
use tokio::time::Instant;

use crate::driver::{MemoryUse, Note};

const BYTE_MILLIS_PER_MIB_SECOND: u128 = 1024 * 1024 * 1000;

/// Adds up samples. Between two of them, memory counts as the later one found it.
#[derive(Debug)]
pub(crate) struct Meter {
    /// What it had run before it was metered here.
    ran: Duration,
    since: Instant,
    sampled: Instant,
    cpu: Duration,
    memory_byte_millis: u128,
}

impl Meter {
    /// A meter of a sandbox that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            ran: Duration::ZERO,
            since: now,
            sampled: now,
            cpu: Duration::ZERO,
            memory_byte_millis: 0,
        }
    }

    /// A meter of a sandbox that has run under an earlier server. Its processor time is counted by the host.
    pub(crate) fn going_on(now: Instant, note: &Note) -> Self {
        Self {
            ran: Duration::from_millis(note.run_millis),
            memory_byte_millis: u128::from(note.memory_mib_seconds) * BYTE_MILLIS_PER_MIB_SECOND,
            ..Self::new(now)
        }
    }

    /// Takes a sample. A sandbox that has just ended tells nothing; what was known stands.
    pub(crate) fn sample(&mut self, now: Instant, cpu: Duration, memory: MemoryUse) {
        self.cpu = self.cpu.max(cpu);
        let millis = now.saturating_duration_since(self.sampled).as_millis();
        self.memory_byte_millis += millis * u128::from(memory.private);
        self.sampled = now;
    }

    /// What the sandbox has used.
    pub(crate) fn used(&self) -> Consumption {
        let memory = self.memory_byte_millis / BYTE_MILLIS_PER_MIB_SECOND;
        Consumption {
            time: self.ran + (self.sampled - self.since),
            cpu: self.cpu,
            memory_mib_seconds: u64::try_from(memory).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_by_how_long_it_was_there_and_the_end_of_a_sandbox_takes_nothing_back() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mib = |count: u64| MemoryUse {
            private: count * 1024 * 1024,
            shared: 7,
        };
        let mut meter = Meter::new(began);
        meter.sample(after(10), Duration::from_secs(2), mib(3));
        meter.sample(after(15), Duration::from_secs(4), mib(2));
        meter.sample(after(20), Duration::ZERO, mib(0));
        assert_eq!(
            meter.used(),
            Consumption {
                time: Duration::from_secs(20),
                cpu: Duration::from_secs(4),
                memory_mib_seconds: 40,
            }
        );
    }
}
