//! Folders of installed dependencies, kept by a digest of the exact packages. A folder is made under another name
//! and renamed when it is complete, so an interrupted installation leaves nothing that looks finished.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

/// How many folders are kept; those not used for longest go first.
const KEPT: usize = 16;

/// Where dependencies are kept, if this user has such a place.
pub(super) fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("coracle/dependencies"))
}

/// The complete folder for this key, marked as used now.
pub(super) fn find(cache: &Path, key: &str) -> Option<PathBuf> {
    let folder = cache.join(key);
    if !folder.is_dir() {
        return None;
    }
    let touched = std::fs::File::open(&folder).and_then(|handle| handle.set_modified(SystemTime::now()));
    // A cache that cannot be written can still be read.
    drop(touched);
    Some(folder)
}

/// A new folder to install into.
pub(super) fn begin(cache: &Path) -> io::Result<TempDir> {
    std::fs::create_dir_all(cache)?;
    tempfile::Builder::new().prefix(".new-").tempdir_in(cache)
}

/// Gives a complete folder its name, in place of an older one, and removes folders beyond the number kept.
pub(super) fn keep(cache: &Path, folder: TempDir, key: &str) -> io::Result<PathBuf> {
    let kept = cache.join(key);
    if kept.exists() {
        std::fs::remove_dir_all(&kept)?;
    }
    std::fs::rename(folder.path(), &kept)?;
    drop(folder.keep());
    trim(cache)?;
    Ok(kept)
}

fn trim(cache: &Path) -> io::Result<()> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(cache)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            folders.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    folders.sort();
    let surplus = folders.len().saturating_sub(KEPT);
    folders
        .into_iter()
        .take(surplus)
        .try_for_each(|(_, path)| std::fs::remove_dir_all(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_and_recent_folders_are_found() {
        let cache = tempfile::tempdir().unwrap();
        let unfinished = begin(cache.path()).unwrap();
        for number in 0..=KEPT {
            let folder = begin(cache.path()).unwrap();
            std::fs::write(folder.path().join("module.py"), number.to_string()).unwrap();
            let age = std::time::Duration::from_secs(1000 - number as u64);
            let handle = std::fs::File::open(folder.path()).unwrap();
            handle.set_modified(SystemTime::now() - age).unwrap();
            keep(cache.path(), folder, &format!("key{number}")).unwrap();
        }
        assert!(unfinished.path().exists());
        assert_eq!(find(cache.path(), "key0"), None);
        let newest = find(cache.path(), &format!("key{KEPT}")).unwrap();
        assert_eq!(
            std::fs::read_to_string(newest.join("module.py")).unwrap(),
            KEPT.to_string()
        );
    }
}
