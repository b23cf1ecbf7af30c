//! How much a session, or all sessions of a runtime together, may use. No I/O.

use std::fmt;
use std::time::Duration;

use coracle_types::Consumption;
use serde::Serialize;

/// The most that may be used; what is absent is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Time with a sandbox.
    pub time: Option<Duration>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Memory times time.
    pub memory_mib_seconds: Option<u64>,
}

/// Whose cap it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CapOf {
    /// Each session's.
    Session,
    /// All sessions' of a runtime together.
    Runtime,
}

/// A cap that has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapReached {
    /// Whose it is.
    pub of: CapOf,
    /// What there is no more of.
    pub cap: Cap,
}

/// One cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// Time with a sandbox.
    Time(Duration),
    /// Processor time.
    Cpu(Duration),
    /// Memory times time, in mebibyte-seconds.
    Memory(u64),
}

impl Caps {
    /// Whether anything is bounded.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// The cap that this much reaches.
    pub fn reached_by(&self, used: &Consumption) -> Option<Cap> {
        let time = self.time.filter(|cap| used.time >= *cap).map(Cap::Time);
        let cpu = self.cpu.filter(|cap| used.cpu >= *cap).map(Cap::Cpu);
        let memory = self
            .memory_mib_seconds
            .filter(|cap| used.memory_mib_seconds >= *cap)
            .map(Cap::Memory);
        time.or(cpu).or(memory)
    }
}

impl fmt::Display for CapReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.of {
            CapOf::Session => "the session has",
            CapOf::Runtime => "the sessions of this runtime have",
        };
        match self.cap {
            Cap::Time(cap) => write!(f, "{whose} run for the {} s that its cap allows", cap.as_secs()),
            Cap::Cpu(cap) => write!(
                f,
                "{whose} used the {} s of processor time that its cap allows",
                cap.as_secs()
            ),
            Cap::Memory(cap) => write!(
                f,
                "{whose} used the {} GiB-seconds of memory that its cap allows",
                cap / 1024
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_reached_by_as_much_as_it_says_and_others_do_not_matter() {
        let seconds = Duration::from_secs;
        let used = |time, cpu, memory_mib_seconds| Consumption {
            time: seconds(time),
            cpu: seconds(cpu),
            memory_mib_seconds,
        };
        let caps = Caps {
            time: None,
            cpu: Some(seconds(10)),
            memory_mib_seconds: Some(2048),
        };
        assert_eq!(caps.reached_by(&used(1_000_000, 9, 2047)), None);
        assert_eq!(caps.reached_by(&used(0, 10, 0)), Some(Cap::Cpu(seconds(10))));
        assert_eq!(caps.reached_by(&used(0, 0, 2048)), Some(Cap::Memory(2048)));
        assert!(!Caps::default().is_any());
        assert_eq!(
            Caps::default().reached_by(&used(u64::MAX, u64::MAX, u64::MAX)),
            None
        );
    }
}
