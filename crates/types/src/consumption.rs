//! What a session has used of the machine.

use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

/// Time, processor time, and memory over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumption {
    /// How long it had a sandbox.
    pub time: Duration,
    /// Processor time, as the host counts it.
    pub cpu: Duration,
    /// Memory that was the sandbox's own, times how long it was, in mebibyte-seconds.
    pub memory_mib_seconds: u64,
}

impl Add for Consumption {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            time: self.time.saturating_add(other.time),
            cpu: self.cpu.saturating_add(other.cpu),
            memory_mib_seconds: self.memory_mib_seconds.saturating_add(other.memory_mib_seconds),
        }
    }
}

impl Sum for Consumption {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
