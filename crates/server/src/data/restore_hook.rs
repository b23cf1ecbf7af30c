//! What an agent is told after it was restored from a snapshot, before anything else reaches it: a `POST` to the path
//! in the tag `coracle:restore-hook` of its runtime. Without the tag it is told nothing.

use std::collections::BTreeMap;

use coracle_supervisor::driver::AgentHook;

const TAG: &str = "coracle:restore-hook";

/// The hook of a runtime with these tags. A tag that is no path counts for nothing.
pub(super) fn of(tags: &BTreeMap<String, String>, port: u16) -> Option<AgentHook> {
    let path = tags.get(TAG).filter(|path| path.starts_with('/'))?;
    path.parse::<http::uri::PathAndQuery>().ok()?;
    Some(AgentHook {
        port,
        path: path.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_is_called() {
        let hook = |value: &str| of(&[(TAG.to_owned(), value.to_owned())].into(), 8080);
        let path = "/internal/restored?from=snapshot";
        let expected = AgentHook {
            port: 8080,
            path: path.to_owned(),
        };
        assert_eq!(hook(path), Some(expected));
        for nonsense in ["", "on", "restored", "http://elsewhere/", "/with space", "/\u{1}"] {
            assert_eq!(hook(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(of(&BTreeMap::new(), 8080), None);
    }
}
