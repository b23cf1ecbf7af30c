//! Ends the machines an earlier server left running, and removes their folders, but for those that are adopted.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use coracle_types::SandboxId;

use crate::cgroup::{self, Place};
use crate::process::handle_of;
use crate::procfs;
use crate::record::Record;
use crate::remove::remove_tree;
use crate::run_folder::RUN_FOLDER;

/// How long a killed process may take to vanish.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a sweep has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many sandboxes were removed.
    pub removed: usize,
    /// Those that were to be kept and run.
    pub kept: Vec<SandboxId>,
    /// What could not be removed, and why. Nobody works there.
    pub stuck: Vec<(PathBuf, String)>,
}

/// Ends every machine whose folder is in `sandboxes` and removes the folders, but for those in `keep` that run.
/// Blocks; a folder that does not exist holds none.
///
/// # Errors
/// When a process cannot be ended.
pub fn sweep(sandboxes: &Path, keep: &[SandboxId]) -> io::Result<Swept> {
    let sandboxes = match sandboxes.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Swept::default()),
        sandboxes => sandboxes?,
    };
    let (mut folders, mut kept) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(&sandboxes)? {
        let folder = entry?.path();
        match to_be_kept(&folder, keep) {
            Some(sandbox) => kept.push(sandbox),
            None => folders.push(folder),
        }
    }
    let records: Vec<Record> = folders.iter().filter_map(|folder| Record::read(folder)).collect();
    let recorded = records.iter().filter(|record| record.is_alive());
    let mut left: BTreeSet<(u32, u64)> = recorded.map(|record| (record.pid, record.start_time)).collect();
    left.extend(working_in(&folders)?);
    for (pid, start_time) in left {
        kill(pid, start_time)?;
    }
    remove_groups(&folders, &records);
    let remove = |folder: &Path| {
        if folder.is_dir() {
            remove_tree(folder)
        } else {
            fs::remove_file(folder)
        }
    };
    // Nobody works there any more: what cannot be removed is a waste of room, and no reason not to serve.
    let stuck: Vec<_> = folders
        .iter()
        .filter_map(|folder| Some((folder.clone(), remove(folder).err()?.to_string())))
        .collect();
    Ok(Swept {
        removed: folders.len() - stuck.len(),
        kept,
        stuck,
    })
}

/// Removes control groups: those of records, and those of machines whose server was killed before it wrote one.
fn remove_groups(folders: &[PathBuf], records: &[Record]) {
    for record in records {
        cgroup::remove_empty(&record.groups);
    }
    let sandboxes = folders
        .iter()
        .filter_map(|folder| folder.file_name()?.to_str()?.parse::<SandboxId>().ok());
    if let Ok(place) = Place::look() {
        for sandbox in sandboxes {
            cgroup::remove_empty(&place.groups_of(sandbox));
        }
    }
}

/// The sandbox in this folder, if it is one of these, and its machine runs.
fn to_be_kept(folder: &Path, keep: &[SandboxId]) -> Option<SandboxId> {
    let record = Record::read(folder).filter(Record::is_alive)?;
    let is_its_own = folder.file_name()? == record.sandbox.to_string().as_str();
    (is_its_own && keep.contains(&record.sandbox)).then_some(record.sandbox)
}

/// Machines that work in one of these folders: also those that were started by a server that was killed before it could
/// write their record. A process in a jail sees its folder under another path, so folders are told by what they are.
fn working_in(folders: &[PathBuf]) -> io::Result<Vec<(u32, u64)>> {
    let places: BTreeSet<_> = folders
        .iter()
        .flat_map(|folder| [folder.clone(), folder.join(RUN_FOLDER)])
        .filter_map(|place| procfs::identity(&place).ok())
        .collect();
    let is_machine = |pid: &u32| {
        procfs::working_directory(*pid).is_ok_and(|place| places.contains(&place))
            && procfs::origin(*pid)
                .is_ok_and(|(_, arguments)| arguments.iter().any(|argument| argument.starts_with("coracle-")))
    };
    let machines = procfs::pids()?.into_iter().filter(is_machine);
    Ok(machines
        .filter_map(|pid| Some((pid, procfs::start_time(pid).ok()?)))
        .collect())
}

/// Kills the process that has this id and start time, and waits until it is gone.
fn kill(pid: u32, start_time: u64) -> io::Result<()> {
    let Some(process) = handle_of(pid, start_time)? else {
        return Ok(());
    };
    match rustix::process::pidfd_send_signal(&process, Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        sent => sent?,
    }
    let timeout = rustix::time::Timespec::try_from(KILL_TIMEOUT).map_err(io::Error::other)?;
    let mut gone = [PollFd::new(&process, PollFlags::IN)];
    match rustix::event::poll(&mut gone, Some(&timeout))? {
        0 => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("process {pid} does not end"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use coracle_types::SandboxId;

    use super::*;

    fn process_in(folder: &Path, name: &str) -> Child {
        fs::create_dir_all(folder).unwrap();
        // Waits for input that never comes, and ends with this test however that ends.
        Command::new("sh")
            .args(["-c", "read line", name])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_machine_is_found_with_and_without_its_record() {
        let sandboxes = tempfile::tempdir().unwrap();
        let recorded_folder = sandboxes.path().join("recorded");
        let mut recorded = process_in(&recorded_folder, "any");
        Record::of(SandboxId::new(), recorded.id())
            .unwrap()
            .write(&recorded_folder)
            .unwrap();
        let mut unrecorded = process_in(&sandboxes.path().join("unrecorded").join(RUN_FOLDER), "coracle-x");
        assert_eq!(sweep(sandboxes.path(), &[]).unwrap().removed, 2);
        assert!(!recorded.wait().unwrap().success());
        assert!(!unrecorded.wait().unwrap().success());
        assert_eq!(fs::read_dir(sandboxes.path()).unwrap().count(), 0);
    }

    #[test]
    fn processes_that_are_not_machines_are_left_alone() {
        let sandboxes = tempfile::tempdir().unwrap();
        let mut shell = process_in(&sandboxes.path().join("visited"), "somebody's shell");
        let mut elsewhere = process_in(tempfile::tempdir().unwrap().path(), "coracle-x");
        sweep(sandboxes.path(), &[]).unwrap();
        for process in [&mut shell, &mut elsewhere] {
            assert!(
                process.try_wait().unwrap().is_none(),
                "an innocent process was killed"
            );
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        let swept = sweep(Path::new("/nowhere/at/all"), &[]).unwrap();
        assert_eq!(swept, Swept::default());
    }

    #[test]
    fn machines_to_be_kept_are_kept_if_they_run_and_their_record_is_theirs() {
        let sandboxes = tempfile::tempdir().unwrap();
        let [runs, ended, moved] = [SandboxId::new(), SandboxId::new(), SandboxId::new()];
        let folder = |sandbox: SandboxId| sandboxes.path().join(sandbox.to_string());
        let mut process = process_in(&folder(runs), "coracle-x");
        let record = Record::of(runs, process.id()).unwrap();
        record.write(&folder(runs)).unwrap();
        let mut other = process_in(&folder(moved), "coracle-x");
        // It says that it is another.
        Record::of(runs, other.id())
            .unwrap()
            .write(&folder(moved))
            .unwrap();
        fs::create_dir(folder(ended)).unwrap();
        let dead = Record {
            sandbox: ended,
            start_time: record.start_time + 1,
            ..record
        };
        dead.write(&folder(ended)).unwrap();
        let swept = sweep(sandboxes.path(), &[runs, ended, moved]).unwrap();
        assert_eq!((swept.removed, swept.kept), (2, vec![runs]));
        assert!(process.try_wait().unwrap().is_none() && folder(runs).exists());
        assert!(!other.wait().unwrap().success());
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
