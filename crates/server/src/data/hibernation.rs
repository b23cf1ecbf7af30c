//! Whether sessions of a runtime are hibernated: what its tags say, else the operator.
//!
//! | tag of a runtime | |
//! |---|---|
//! | `coracle:hibernate` | seconds without use after which a session is hibernated, or `off` |
//! | `coracle:keep-hibernated` | hours for which it is kept then, whatever is left of its lifetime |

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_supervisor::Hibernation;

const AFTER_TAG: &str = "coracle:hibernate";
const KEEP_TAG: &str = "coracle:keep-hibernated";
const OFF: &str = "off";
/// The longest that a hibernated session is kept, in hours: a month.
const LONGEST_KEEP_HOURS: u64 = 31 * 24;

/// When sessions of a runtime with these tags are hibernated. A tag that says nothing sensible counts for nothing.
pub(super) fn of(tags: &BTreeMap<String, String>, default: Option<Duration>) -> Option<Hibernation> {
    let after = match tags.get(AFTER_TAG).map(String::as_str) {
        Some(OFF) => None,
        Some(seconds) => seconds
            .parse()
            .map_or(default, |seconds| Some(Duration::from_secs(seconds))),
        None => default,
    }?;
    let hours: Option<u64> = tags.get(KEEP_TAG).and_then(|hours| hours.parse().ok());
    let keep = hours.map(|hours| Duration::from_secs(hours.min(LONGEST_KEEP_HOURS) * 60 * 60));
    Some(Hibernation { after, keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_wins_over_the_operator_if_it_makes_sense() {
        let after = |tag: Option<&str>, default: Option<u64>| {
            let tags = tag.map(|value| (AFTER_TAG.to_owned(), value.to_owned()));
            let found = of(&tags.into_iter().collect(), default.map(Duration::from_secs));
            found.map(|found| found.after.as_secs())
        };
        assert_eq!(after(None, None), None);
        assert_eq!(after(None, Some(5)), Some(5));
        assert_eq!(after(Some("60"), None), Some(60));
        assert_eq!(after(Some("off"), Some(5)), None);
        assert_eq!(after(Some("soon"), Some(5)), Some(5));
    }

    #[test]
    fn how_long_it_is_kept_is_bounded() {
        let keep = |value: &str| {
            let tags = [(KEEP_TAG.to_owned(), value.to_owned())].into();
            of(&tags, Some(Duration::ZERO)).and_then(|found| found.keep)
        };
        assert_eq!(keep("24"), Some(Duration::from_secs(24 * 60 * 60)));
        assert_eq!(keep("999999999999"), Some(Duration::from_secs(31 * 24 * 60 * 60)));
        assert_eq!(keep("for ever"), None);
    }
}
