//! How much sessions of a runtime may use: what its tags say, and no more than the operator allows.
//!
//! | tag of a runtime | each session's | all its sessions' together, within a day |
//! |---|---|---|
//! | seconds with a sandbox | `coracle:cap-seconds` | `coracle:cap-runtime-seconds` |
//! | seconds of processor time | `coracle:cap-cpu-seconds` | `coracle:cap-runtime-cpu-seconds` |
//! | GiB of memory times seconds | `coracle:cap-memory-gib-seconds` | `coracle:cap-runtime-memory-gib-seconds` |

use std::collections::BTreeMap;
use std::time::Duration;

use coracle_supervisor::Caps;

const SESSION: &str = "coracle:cap-";
const RUNTIME: &str = "coracle:cap-runtime-";

/// Each session's caps under these tags.
pub(super) fn of_session(tags: &BTreeMap<String, String>, most: Caps) -> Caps {
    lowered(tags, SESSION, most)
}

/// The caps of all sessions together under these tags.
pub(super) fn of_runtime(tags: &BTreeMap<String, String>, most: Caps) -> Caps {
    lowered(tags, RUNTIME, most)
}

/// A tag that says nothing sensible counts for nothing, and none lifts what the operator says.
fn lowered(tags: &BTreeMap<String, String>, prefix: &str, most: Caps) -> Caps {
    let tag = |what: &str| tags.get(&format!("{prefix}{what}"))?.parse::<u64>().ok();
    Caps {
        time: lower(tag("seconds").map(Duration::from_secs), most.time),
        cpu: lower(tag("cpu-seconds").map(Duration::from_secs), most.cpu),
        memory_mib_seconds: lower(
            tag("memory-gib-seconds").map(|gib| gib.saturating_mul(1024)),
            most.memory_mib_seconds,
        ),
    }
}

fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_lower_what_the_operator_allows_and_never_lift_it() {
        let seconds = Duration::from_secs;
        let most = Caps {
            time: Some(seconds(100)),
            cpu: Some(seconds(100)),
            memory_mib_seconds: None,
        };
        let tags = [
            ("coracle:cap-seconds", "50"),
            ("coracle:cap-cpu-seconds", "500"),
            ("coracle:cap-memory-gib-seconds", "2"),
            ("coracle:cap-runtime-cpu-seconds", "many"),
        ];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let expected = Caps {
            time: Some(seconds(50)),
            cpu: Some(seconds(100)),
            memory_mib_seconds: Some(2048),
        };
        assert_eq!(of_session(&tags, most), expected);
        assert_eq!(of_runtime(&tags, Caps::default()), Caps::default());
    }
}
