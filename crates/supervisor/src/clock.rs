//! How far a guest's wall clock is off, from a question and its answer. No I/O.
//!
//! ```text
//!  host   asked ──────────────────── answered
//!                 \                /
//!  guest            ─── told ─────
//! ```
//!
//! The guest read its clock at some moment in between. Right is a clock that cannot be off by more than the tolerance,
//! wherever in between that was; certainly wrong is one that tells a time outside. Anything else was asked too slowly
//! to know, and is asked again: of several questions one is usually quick, even on a busy machine.

use std::time::Duration;

/// How far a clock that counts as right may be off.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(5);
/// Most readings until a clock is taken as it is.
pub(crate) const MAX_READINGS: usize = 10;

/// One question and its answer. All times are wall clocks in Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// When the host asked.
    pub(crate) asked: i64,
    /// What the guest told.
    pub(crate) told: i64,
    /// When the host had the answer.
    pub(crate) answered: i64,
}

/// What a reading says of the guest's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is within the tolerance.
    Right,
    /// It is off by about this many nanoseconds; positive if it is ahead.
    Wrong { by: i64 },
    /// It took too long to say.
    Unclear,
}

impl Reading {
    pub(crate) fn judge(self) -> Verdict {
        // The host's own clock may be set meanwhile.
        let took = self.answered.saturating_sub(self.asked).max(0);
        let middle = self.asked.saturating_add(took / 2);
        let off = self.told.saturating_sub(middle);
        let distance = i128::from(off).abs();
        if distance + i128::from(took / 2) <= i128::try_from(TOLERANCE.as_nanos()).unwrap_or(i128::MAX) {
            Verdict::Right
        } else if distance > i128::from(took / 2) {
            Verdict::Wrong { by: off }
        } else {
            Verdict::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: i64 = 1_000_000;

    fn reading(asked: i64, told: i64, answered: i64) -> Verdict {
        let [asked, told, answered] = [asked, told, answered].map(|millis| millis * MILLI);
        Reading {
            asked,
            told,
            answered,
        }
        .judge()
    }

    #[test]
    fn a_quick_answer_says_whether_the_clock_is_right() {
        assert_eq!(reading(1000, 1001, 1002), Verdict::Right);
        assert_eq!(reading(1000, 1004, 1002), Verdict::Right);
        assert_eq!(reading(1000, 1011, 1002), Verdict::Wrong { by: 10 * MILLI });
        assert_eq!(reading(1000, 1, 1002), Verdict::Wrong { by: -1000 * MILLI });
    }

    #[test]
    fn a_slow_answer_says_less() {
        assert_eq!(reading(1000, 1005, 1100), Verdict::Unclear);
        assert_eq!(reading(1000, 1200, 1100), Verdict::Wrong { by: 150 * MILLI });
    }

    proptest! {
        /// A guest whose messages are delayed however unevenly is right within the tolerance once it counts as right.
        #[test]
        fn what_counts_as_right_is(off in -50 * MILLI..50 * MILLI, out in 0..20 * MILLI, back in 0..20 * MILLI) {
            let (asked, read) = (0, out);
            let reading = Reading { asked, told: read + off, answered: read + back };
            match reading.judge() {
                Verdict::Right => prop_assert!(u128::from(off.unsigned_abs()) <= TOLERANCE.as_nanos()),
                Verdict::Wrong { by } => prop_assert!((off - by).unsigned_abs() <= (out + back).unsigned_abs() / 2 + 1),
                Verdict::Unclear => prop_assert!(out + back > 5 * MILLI),
            }
        }

        /// The guest may tell anything.
        #[test]
        fn any_reading_is_judged(asked: i64, told: i64, answered: i64) {
            Reading { asked, told, answered }.judge();
        }
    }
}
