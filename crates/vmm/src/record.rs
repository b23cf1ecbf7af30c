//! Which process a machine's folder belongs to, written so that a later server can find it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use coracle_types::SandboxId;
use serde::{Deserialize, Serialize};

use crate::procfs;

const FILE: &str = "machine.json";

/// The process of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) sandbox: SandboxId,
    pub(crate) pid: u32,
    /// Ids of processes are reused; the pair of id and start time is not.
    pub(crate) start_time: u64,
    /// The file that the machine's own pages of memory lie over, if it was restored.
    #[serde(default)]
    pub(crate) original: Option<PathBuf>,
    /// Its control groups.
    #[serde(default)]
    pub(crate) groups: Vec<PathBuf>,
}

impl Record {
    pub(crate) fn of(sandbox: SandboxId, pid: u32) -> io::Result<Self> {
        Ok(Self {
            sandbox,
            pid,
            start_time: procfs::start_time(pid)?,
            original: None,
            groups: Vec::new(),
        })
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let draft = folder.join("machine.json.draft");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(&draft, folder.join(FILE))
    }

    /// The record in a folder, if there is one that can be read.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Whether its process is still that one.
    pub(crate) fn is_alive(&self) -> bool {
        procfs::start_time(self.pid).is_ok_and(|start_time| start_time == self.start_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_one_process_and_not_a_later_one_of_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::of(SandboxId::new(), std::process::id()).unwrap();
        record.write(folder.path()).unwrap();
        assert_eq!(Record::read(folder.path()).as_ref(), Some(&record));
        assert!(record.is_alive());
        assert!(
            !Record {
                start_time: record.start_time + 1,
                ..record
            }
            .is_alive()
        );
    }

    #[test]
    fn a_damaged_record_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"{\"pid\":").unwrap();
        assert_eq!(Record::read(folder.path()), None);
    }
}
