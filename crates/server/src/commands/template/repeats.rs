//! What two sessions both produced and neither should have: values that look as if they were made at random.
//!
//! A guess by form, as good as its forms: what an agent never shows is not compared, and what is random without looking
//! like it is overlooked.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use regex::Regex;
use serde::Serialize;

const DAY_SECS: u64 = 86_400;
/// The kinds, and what they look like; the first that fits counts.
const KINDS: [(&str, &str); 8] = [
    ("random number", r"\b[0-9]+\.[0-9]{6,}\b"),
    (
        "UUID",
        r"(?i:\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)",
    ),
    ("temporary name", r#"/(?:tmp|var/tmp|dev/shm)/[^\s"'\\,;)}\]]+"#),
    ("trace id", r"\b(?i:[0-9a-f]{32})\b"),
    ("span id", r"\b(?i:[0-9a-f]{16})\b"),
    ("random number", r"\b[0-9]{9,}\b"),
    ("port", r"\b(?:3[2-9][0-9]{3}|[4-5][0-9]{4}|6[0-5][0-9]{3})\b"),
    ("token", r"\b[A-Za-z0-9_-]{20,}\b"),
];

static FORMS: LazyLock<Vec<(&str, Option<Regex>)>> =
    LazyLock::new(|| KINDS.map(|(kind, form)| (kind, Regex::new(form).ok())).into());

/// A value that both produced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Repeat {
    kind: &'static str,
    value: String,
}

impl std::fmt::Display for Repeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<16}{}", self.kind, self.value)
    }
}

/// What a comparison found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    /// Values of one session that look random, but for those that were known before.
    pub(super) compared: usize,
    /// Those that the other one has, too.
    pub(super) repeated: Vec<Repeat>,
}

/// Compares what two sessions said. What is in `known`, such as the question, may repeat, and so may the time.
pub(super) fn compare(one: &str, other: &str, known: &str, now: SystemTime) -> Comparison {
    let (one, other) = (values(one), values(other));
    let unknown = one
        .into_iter()
        .filter(|(value, _)| !known.contains(value) && !is_time(value, now));
    let unknown: Vec<_> = unknown.collect();
    let mut repeated: Vec<_> = unknown
        .iter()
        .filter(|(value, _)| other.contains_key(*value))
        .map(|(value, kind)| Repeat {
            kind,
            value: (*value).to_owned(),
        })
        .collect();
    repeated.sort();
    Comparison {
        compared: unknown.len(),
        repeated,
    }
}

/// Values in a text that look random, with their kinds.
fn values(text: &str) -> BTreeMap<&str, &'static str> {
    let mut found = BTreeMap::new();
    let mut rest = vec![text];
    for (kind, form) in FORMS.iter() {
        let Some(form) = form else { continue };
        let mut left = Vec::new();
        for part in rest {
            let mut end = 0;
            for value in form.find_iter(part) {
                if *kind == "token" && !is_mixed(value.as_str()) {
                    continue;
                }
                found.insert(value.as_str(), *kind);
                left.push(&part[end..value.start()]);
                end = value.end();
            }
            left.push(&part[end..]);
        }
        rest = left;
    }
    found
}

/// Whether it is a number of seconds, or a thousandth, a millionth or a billionth of that, since 1970, within a day.
fn is_time(value: &str, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let whole = value.split('.').next().unwrap_or_default();
    whole.parse().is_ok_and(|value: u64| {
        [1, 1_000, 1_000_000, 1_000_000_000]
            .iter()
            .any(|unit| (value / unit).abs_diff(now) < DAY_SECS)
    })
}

/// Words and names are not tokens.
fn is_mixed(value: &str) -> bool {
    [char::is_uppercase, char::is_lowercase, char::is_numeric]
        .iter()
        .all(|class: &fn(char) -> bool| value.chars().any(class))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + std::time::Duration::from_secs(1_795_262_400)
    }

    fn repeated(one: &str, other: &str) -> Vec<String> {
        let found = compare(one, other, "what is known: 7b1f2c3d4e5f6071", now());
        found.repeated.iter().map(|repeat| repeat.value.clone()).collect()
    }

    #[test]
    fn every_kind_is_recognised() {
        for (kind, value) in [
            ("UUID", "0188f6c2-3f4a-7b1e-9c55-aabbccddeeff"),
            ("temporary name", "/tmp/tmpx9k2_q1a/file"),
            ("trace id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("span id", "00f067aa0ba902b7"),
            ("random number", "0.8444218515250481"),
            ("random number", "14757395258967641292"),
            ("port", "45123"),
            ("token", "xK3f-9aLmQ_27vZt81Bn"),
        ] {
            let text = format!("{{\"value\": \"{value}\"}}");
            let found = compare(&text, &text, "", now());
            assert_eq!(
                found.repeated,
                [Repeat {
                    kind,
                    value: value.to_owned()
                }],
                "{value}"
            );
            assert_eq!(compare(&text, "{}", "", now()).repeated, []);
        }
    }

    #[test]
    fn what_is_no_accident_may_repeat() {
        assert!(
            repeated(
                "hello, port 8080, 200 OK, took 0.25 s",
                "hello, port 8080, 200 OK, took 0.25 s"
            )
            .is_empty()
        );
        assert!(repeated("known: 7b1f2c3d4e5f6071", "7b1f2c3d4e5f6071").is_empty());
        assert!(repeated("bedrock_agentcore_runtime_app", "bedrock_agentcore_runtime_app").is_empty());
    }

    #[test]
    fn two_sessions_may_have_the_same_time() {
        for time in [
            "1795262465",
            "1795262465123",
            "1795262465.123456",
            "1795262465123456789",
        ] {
            assert_eq!(compare(time, time, "", now()).compared, 0, "{time}");
        }
        assert_eq!(
            compare("1695262465", "1695262465", "", now()).repeated.len(),
            1,
            "of a year before"
        );
    }

    #[test]
    fn a_value_counts_once_and_as_one_thing() {
        let text = "id 0188f6c2-3f4a-7b1e-9c55-aabbccddeeff, again 0188f6c2-3f4a-7b1e-9c55-aabbccddeeff";
        let found = compare(text, text, "", now());
        assert_eq!((found.compared, found.repeated.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_compared(one in any::<String>(), other in any::<String>()) {
            let found = compare(&one, &other, "", now());
            prop_assert!(found.repeated.len() <= found.compared);
            prop_assert_eq!(compare(&one, &one, "", now()).repeated.len(), found.compared);
        }
    }
}
