//! How many sandboxes a pool is to hold: the decision, without clock or I/O.
//!
//! A pool is refilled more slowly than sessions may come, so what counts is the largest burst: the most sessions that
//! have begun within [`BURST`], of all that are remembered. Between the two ends of its size a pool holds as many as
//! that, and [`MEMORY`] after the last burst it is back at its minimum.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// Sessions that begin within this time of each other count as one burst: about what a refill takes.
const BURST: Duration = Duration::from_secs(10);
/// How long a session's beginning is remembered.
const MEMORY: Duration = Duration::from_secs(5 * 60);
/// Most sandboxes in one pool.
const LARGEST: usize = 1000;

/// How many sandboxes a pool holds: at least, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolSize {
    min: usize,
    max: usize,
}

/// Why a text is no size of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no size of a pool: it is a number, or two as in 1-4 (minimum and maximum), of at most {LARGEST}"
)]
pub struct PoolSizeError(String);

impl PoolSize {
    /// The fewest.
    pub fn min(self) -> usize {
        self.min
    }

    /// The most.
    pub fn max(self) -> usize {
        self.max
    }

    /// So many percent of both, rounded up: whoever has a share at all finds a sandbox.
    pub fn share(self, percent: u8) -> Self {
        let part = |whole: usize| (whole * usize::from(percent)).div_ceil(100);
        Self {
            min: part(self.min),
            max: part(self.max),
        }
    }
}

impl FromStr for PoolSize {
    type Err = PoolSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PoolSizeError(text.to_owned());
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse::<usize>().map_err(|_| error());
        let (min, max) = (number(min)?, number(max)?);
        if min > max || max > LARGEST {
            return Err(error());
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for PoolSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

/// When sessions have begun lately.
#[derive(Debug, Default)]
pub(super) struct Demand(VecDeque<Instant>);

impl Demand {
    /// A session begins. Time must not go backwards between calls.
    pub(super) fn session_began(&mut self, now: Instant) {
        self.forget(now);
        // More would not change what is wanted.
        if self.0.len() == LARGEST {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// How many sandboxes to hold now.
    pub(super) fn wanted(&self, size: PoolSize, now: Instant) -> usize {
        let remembered = self.0.iter().skip_while(|began| **began + MEMORY <= now);
        let mut burst = VecDeque::new();
        let mut largest = 0;
        for began in remembered {
            while burst
                .front()
                .is_some_and(|first: &&Instant| **first + BURST <= *began)
            {
                burst.pop_front();
            }
            burst.push_back(began);
            largest = largest.max(burst.len());
        }
        largest.clamp(size.min, size.max)
    }

    /// When less may be wanted although nothing happens.
    pub(super) fn changes_at(&self, now: Instant) -> Option<Instant> {
        let forgotten = self.0.iter().map(|began| *began + MEMORY);
        forgotten.into_iter().find(|moment| *moment > now)
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|began| *began + MEMORY <= now) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(start: Instant, seconds: &[u64]) -> Demand {
        let mut demand = Demand::default();
        for second in seconds {
            demand.session_began(start + Duration::from_secs(*second));
        }
        demand
    }

    #[test]
    fn a_size_is_one_number_or_two() {
        let size = |text: &str| text.parse::<PoolSize>().ok().map(|size| (size.min, size.max));
        assert_eq!(size("3"), Some((3, 3)));
        assert_eq!(size("0-4"), Some((0, 4)));
        for wrong in ["", "-", "4-1", "-1", "a", "1-2-3", "1001", "99999999999999999999"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_largest_burst_counts_and_is_forgotten() {
        let start = Instant::now();
        let demand = demand(start, &[0, 1, 2, 60, 120, 121]);
        let wanted = |text: &str, second| {
            let size = text.parse().unwrap();
            demand.wanted(size, start + Duration::from_secs(second))
        };
        assert_eq!(wanted("0-10", 122), 3);
        assert_eq!(wanted("0-2", 122), 2);
        assert_eq!(wanted("5-10", 122), 5);
        assert_eq!(wanted("0-10", 301), 2);
        assert_eq!(wanted("0-10", 421), 0);
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error(text in ".{0,12}") {
            if let Ok(size) = text.parse::<PoolSize>() {
                prop_assert!(size.min <= size.max && size.max <= LARGEST);
                prop_assert_eq!(size.to_string().parse::<PoolSize>().unwrap(), size);
            }
        }

        #[test]
        fn shares_add_up_to_a_pool_or_one_more(min in 0usize..LARGEST, more in 0usize..20, percent in 1u8..=100) {
            let size = PoolSize { min, max: min + more };
            let (one, other) = (size.share(percent), size.share(100 - percent));
            prop_assert!([0, 1].contains(&(one.min + other.min - size.min)));
            prop_assert!([0, 1].contains(&(one.max + other.max - size.max)));
            prop_assert_eq!(one.max > 0, size.max > 0);
            prop_assert_eq!(other.max > 0, size.max > 0 && percent < 100);
        }

        #[test]
        fn a_pool_stays_within_its_size(
            mut seconds in prop::collection::vec(0u64..1000, 0..200), min in 0usize..20, more in 0usize..20, at in 0u64..2000,
        ) {
            seconds.sort_unstable();
            let start = Instant::now();
            let size = PoolSize { min, max: min + more };
            let now = start + Duration::from_secs(1000 + at);
            let demand = demand(start, &seconds);
            let wanted = demand.wanted(size, now);
            prop_assert!((size.min..=size.max).contains(&wanted));
            let last = seconds.last().copied().unwrap_or_default();
            if 1000 + at >= last + MEMORY.as_secs() {
                prop_assert_eq!(wanted, min);
                prop_assert_eq!(demand.changes_at(now), None);
            }
        }

        #[test]
        fn more_sessions_never_want_fewer_sandboxes(
            mut seconds in prop::collection::vec(0u64..200, 1..100), left_out in any::<prop::sample::Index>(),
        ) {
            seconds.sort_unstable();
            let start = Instant::now();
            let (size, now) = (PoolSize { min: 0, max: 50 }, start + Duration::from_secs(200));
            let mut fewer = seconds.clone();
            fewer.remove(left_out.index(seconds.len()));
            prop_assert!(demand(start, &fewer).wanted(size, now) <= demand(start, &seconds).wanted(size, now));
        }

        #[test]
        fn nothing_changes_before_its_time(mut seconds in prop::collection::vec(0u64..200, 1..50), at in 0u64..600) {
            seconds.sort_unstable();
            let start = Instant::now();
            let (size, now) = (PoolSize { min: 0, max: 50 }, start + Duration::from_secs(200 + at));
            let demand = demand(start, &seconds);
            let next = demand.changes_at(now).unwrap_or(now + Duration::from_secs(10_000));
            prop_assert_eq!(demand.wanted(size, now), demand.wanted(size, next - Duration::from_nanos(1)));
        }
    }
}
