//! Notices that the agent's files have changed: those that a deployment would package, and the project's settings.
//!
//! Looks from time to time instead of asking the kernel, which would need a watch for each folder and does not tell of
//! changes on network and container mounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Plan;
use crate::package;

const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Modification time and size of each file.
type Snapshot = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Remembers what the files were like.
#[derive(Debug)]
pub(super) struct Watcher {
    code: PathBuf,
    settings: [PathBuf; 2],
    seen: Snapshot,
}

impl Watcher {
    pub(super) fn new(plan: &Plan) -> Self {
        let settings = ["agentcore.json", ".env.local"].map(|name| plan.root.join("agentcore").join(name));
        let mut watcher = Self {
            code: plan.code.clone(),
            settings,
            seen: Snapshot::new(),
        };
        watcher.seen = watcher.look();
        watcher
    }

    /// Waits for a change, and for it to be complete, and says which file it was.
    pub(super) async fn changed(&mut self) -> String {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.look();
            let Some(path) = difference(&self.seen, &now) else {
                continue;
            };
            let name = path
                .strip_prefix(&self.code)
                .unwrap_or(&path)
                .display()
                .to_string();
            self.seen = now;
            // Editors and version control write several files, one after the other.
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let now = self.look();
                if difference(&self.seen, &now).is_none() {
                    return name;
                }
                self.seen = now;
            }
        }
    }

    fn look(&self) -> Snapshot {
        // A folder that cannot be read just now is looked at again.
        let files = package::code_files(&self.code).unwrap_or_default();
        files
            .into_iter()
            // npm writes it while packages are being installed; what asks for them is package.json.
            .filter(|path| path.file_name().is_none_or(|name| name != package::NPM_LOCK))
            .chain(self.settings.iter().cloned())
            .filter_map(|path| Some((path.clone(), state(&path)?)))
            .collect()
    }
}

fn state(path: &Path) -> Option<(Option<SystemTime>, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok(), metadata.len()))
}

/// A file that is in one only, or differs.
fn difference(before: &Snapshot, after: &Snapshot) -> Option<PathBuf> {
    let changed = after
        .iter()
        .find(|(path, state)| before.get(*path) != Some(*state));
    let gone = || before.iter().find(|(path, _)| !after.contains_key(*path));
    changed.or_else(gone).map(|(path, _)| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_deleted_files_are_noticed() {
        let snapshot = |files: &[(&str, u64)]| {
            files
                .iter()
                .map(|(path, size)| (PathBuf::from(path), (None, *size)))
                .collect::<Snapshot>()
        };
        let before = snapshot(&[("a", 1), ("b", 1)]);
        let name = |after: &[(&str, u64)]| {
            difference(&before, &snapshot(after)).map(|path| path.display().to_string())
        };
        assert_eq!(name(&[("a", 1), ("b", 1)]), None);
        assert_eq!(name(&[("a", 1), ("b", 2)]), Some("b".to_owned()));
        assert_eq!(name(&[("a", 1)]), Some("b".to_owned()));
        assert_eq!(name(&[("a", 1), ("b", 1), ("c", 1)]), Some("c".to_owned()));
    }
}
