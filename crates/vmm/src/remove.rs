//! Removes what a machine has left, however whoever broke out into it has built that.
//!
//! A tree may be deeper than there are file descriptors or room on a stack, and its folders may be closed. So nothing
//! descends: what is in a folder of the top is lifted up to the top, until all is there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use coracle_types::SandboxId;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Removals that go on when whoever began them has gone. Closed, which is what waiting for it needs.
static IN_BACKGROUND: LazyLock<TaskTracker> = LazyLock::new(|| {
    let tracker = TaskTracker::new();
    tracker.close();
    tracker
});

/// Removes something while nobody waits. Where nothing can, the next sweep removes it.
pub(crate) fn in_background(removal: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        IN_BACKGROUND.spawn_on(removal, &runtime);
    }
}

/// Waits until nothing is left of machines that were dropped, not destroyed.
pub async fn settled() {
    IN_BACKGROUND.wait().await;
}

/// Removes a folder in which nobody works any more, with all that is in it. Blocks.
pub(crate) fn remove_tree(top: &Path) -> io::Result<()> {
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(top)? {
            is_empty = false;
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                lift(&entry.path(), top)?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        if is_empty {
            return fs::remove_dir(top);
        }
    }
}

/// Removes a folder of the top; its folders come to be beside it.
fn lift(folder: &Path, top: &Path) -> io::Result<()> {
    open_up(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
            // No name that anybody can have taken.
            fs::rename(entry.path(), top.join(SandboxId::new().to_string()))?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deep_closed_or_a_link_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let (top, other) = (parent.path().join("machine"), parent.path().join("other"));
        fs::create_dir_all(top.join("run/closed/within")).unwrap();
        fs::write(top.join("run/closed/file"), "").unwrap();
        fs::set_permissions(top.join("run/closed"), Permissions::from_mode(0o000)).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&other, top.join("run/link")).unwrap();
        // Deeper than any path is long: each folder is put around what is there.
        let deepest = top.join("run/deep");
        fs::create_dir(&deepest).unwrap();
        for _ in 0..3000 {
            let around = top.join("run/around");
            fs::create_dir(&around).unwrap();
            fs::rename(&deepest, around.join("inner")).unwrap();
            fs::rename(&around, &deepest).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert!(other.join("kept").exists());
    }
}
