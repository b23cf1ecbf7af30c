//! Which packages the same requirements led to on this machine lately. A new project that asks for the same is not
//! resolved again, which takes longer than everything else its first start does; `--refresh` does resolve. A choice that
//! cannot be read or written is none.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a choice counts: newer versions are not waited for any longer.
const COUNTS_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than any real choice, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Beside the folders of dependencies.
pub(super) fn folder(dependencies: &Path) -> PathBuf {
    dependencies.with_file_name("choices")
}

/// What was chosen for this key, if that is not long ago.
pub(super) fn recent(choices: &Path, key: &str) -> Option<String> {
    let path = choices.join(key);
    let metadata = std::fs::metadata(&path).ok()?;
    if metadata.len() > MAX_FILE || is_old(&metadata) {
        return None;
    }
    std::fs::read_to_string(path).ok().filter(|text| !text.is_empty())
}

/// Notes what was chosen, and forgets what no longer counts.
pub(super) fn note(choices: &Path, key: &str, packages: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(choices)?;
    for entry in std::fs::read_dir(choices)? {
        let entry = entry?;
        if is_old(&entry.metadata()?) {
            std::fs::remove_file(entry.path())?;
        }
    }
    let draft = tempfile::NamedTempFile::new_in(choices)?;
    std::fs::write(draft.path(), packages)?;
    draft.persist(choices.join(key))?;
    Ok(())
}

fn is_old(metadata: &std::fs::Metadata) -> bool {
    let age = metadata
        .modified()
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > COUNTS_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_counts_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let choices = super::folder(&folder.path().join("dependencies"));
        assert_eq!(recent(&choices, "key"), None);
        note(&choices, "key", "a==1\n").unwrap();
        assert_eq!(recent(&choices, "key").as_deref(), Some("a==1\n"));
        let file = std::fs::File::open(choices.join("key")).unwrap();
        file.set_modified(SystemTime::now() - 2 * COUNTS_FOR).unwrap();
        assert_eq!(recent(&choices, "key"), None);
        note(&choices, "other", "b==1\n").unwrap();
        assert!(!choices.join("key").exists());
    }
}
