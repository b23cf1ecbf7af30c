//! The wall clock. Monotonic clocks are nobody's to set.

use rustix::time::{ClockId, Timespec};

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// Moves the wall clock by this many nanoseconds.
pub(crate) fn step(nanos: i64) -> rustix::io::Result<()> {
    let to = unix_nanos().saturating_add(nanos);
    let time = Timespec {
        tv_sec: to.div_euclid(NANOS),
        tv_nsec: to.rem_euclid(NANOS),
    };
    rustix::time::clock_settime(ClockId::Realtime, time)
}

/// The wall clock in Unix nanoseconds.
pub(crate) fn unix_nanos() -> i64 {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(NANOS).saturating_add(now.tv_nsec)
}
