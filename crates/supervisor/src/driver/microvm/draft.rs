//! Folders in which something is made before it gets its name, so that no half of it is ever found.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

const PREFIX: &str = ".draft-";

/// Rights of what holds an agent's memory: its secrets are nobody else's.
pub(super) const OWNER_ONLY_FOLDER: u32 = 0o700;
pub(super) const OWNER_ONLY_FILE: u32 = 0o600;

/// A new folder of a random name, which is removed when it is dropped unless it has been renamed.
#[derive(Debug)]
pub(super) struct DraftFolder(PathBuf);

impl DraftFolder {
    /// Makes one in `parent`, and `parent` if need be. Blocks.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        let folder = parent.join(format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 8]>())));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(OWNER_ONLY_FOLDER)
            .create(&folder)?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes what describes the other files, which are durable already, and makes the folder so. Blocks.
    pub(super) fn finish(&self, manifest_name: &str, manifest: &impl Serialize) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(OWNER_ONLY_FILE)
            .open(self.0.join(manifest_name))?;
        file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
        file.sync_all()?;
        File::open(&self.0)?.sync_all()
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start; once renamed there is nothing.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Whether this is the name of such a folder.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with(PREFIX)
}
