//! A sandbox as a child process: no isolation, for development where QEMU cannot run.
//!
//! The child is the guest program, which starts the agent, adopts its orphans and ends them all when it is told
//! to or when the server is gone. Each sandbox works on a copy of its own of the code, because agents write
//! beside their code; the copy is removed with the sandbox. What a session finds again is a folder, `storage/<id>/files/`,
//! of no limited size.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{ffi::OsStr, fs};

use async_trait::async_trait;
use coracle_artifact::code::CodeStore;
use coracle_guest_proto::message::{StartAgent, StorageSource};
use coracle_types::{RuntimeKind, SandboxId, StorageId};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{
    AgentSpec, BootError, BootPhase, Booted, CodeProgram, Driver, FolderMount, Machine, MemoryUse, Origin,
    PrepareError, Program, Start, StorageError, StorageUse, Swept, launch,
};
use crate::driver::storage::StorageFolders;

/// What a session finds again, in its storage.
const FILES: &str = "files";
/// How long the guest may take to end what it started.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the driver.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// The folder of the driver's files; absolute.
    pub data_dir: PathBuf,
    /// Code zips.
    pub code: CodeStore,
    /// The guest program.
    pub guest: PathBuf,
    /// Whether agents share the host's network. Otherwise each has a loopback device of its own and nothing
    /// else, so that many can listen on the same port.
    pub host_network: bool,
    /// Where interpreters are looked up, in the form of `PATH`.
    pub path: String,
}

/// Makes child processes.
#[derive(Debug)]
pub struct ProcessDriver {
    config: ProcessConfig,
}

impl ProcessDriver {
    /// A driver with these settings.
    pub fn new(config: ProcessConfig) -> Self {
        Self { config }
    }

    fn sandboxes(&self) -> PathBuf {
        self.config.data_dir.join("processes")
    }

    fn storages_folder(&self) -> StorageFolders {
        StorageFolders::new(&self.config.data_dir)
    }

    fn interpreter(&self, runtime: RuntimeKind) -> Result<PathBuf, String> {
        let name = runtime.interpreter();
        find_program(name, &self.config.path).ok_or_else(|| {
            format!(
                "{runtime} needs {name}, which is not on this machine's PATH; install it, or use the microvm driver"
            )
        })
    }

    fn spawn(&self, sandbox: SandboxId, folder: &Path) -> io::Result<(Process, UnixStream)> {
        let (host, guest) = std::os::unix::net::UnixStream::pair()?;
        host.set_nonblocking(true)?;
        let mut command = Command::new(&self.config.guest);
        command
            .arg0(format!("coracle-{sandbox}"))
            .arg("process")
            .args(self.config.host_network.then_some("--host-network"))
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(guest)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .process_group(0);
        let process = Process {
            child: command.spawn()?,
            folder: folder.to_owned(),
            storages: self.storages_folder(),
        };
        Ok((process, UnixStream::from_std(host)?))
    }

    fn start(&self, sandbox: SandboxId, agent: &AgentSpec, folder: &Path) -> Result<StartAgent, String> {
        let task = folder.join("task").display().to_string();
        let program = code_of(agent)?;
        let interpreter = self.interpreter(program.runtime)?.display().to_string();
        let home = folder.join("home").display().to_string();
        let mut environment = launch::environment(&agent.environment, &task, &home);
        if !agent.environment.contains_key("PATH") {
            environment.insert("PATH".to_owned(), format!("{task}/bin:{}", self.config.path));
        }
        Ok(StartAgent {
            root: None,
            hostname: sandbox.to_string(),
            entropy_hex: None,
            command: launch::command(program, &interpreter),
            environment,
            working_directory: task,
            user: None,
            snapshot: None,
            network: None,
            storage: None,
            folders: Vec::new(),
        })
    }
}

#[async_trait]
impl Driver for ProcessDriver {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError> {
        let program = code_of(agent).map_err(PrepareError::Refused)?;
        self.interpreter(program.runtime).map_err(PrepareError::Refused)?;
        let (code, digest) = (self.config.code.clone(), program.code.digest.clone());
        let made = tokio::task::spawn_blocking(move || code.directory(&digest)).await;
        made.map_err(|error| PrepareError::Failed(error.into()))?
            .map_err(|error| PrepareError::Failed(error.into()))?;
        Ok(())
    }

    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        let begun = Instant::now();
        let folder = self.sandboxes().join(sandbox.to_string());
        let failed =
            |phase| move |source: Box<dyn std::error::Error + Send + Sync>| BootError { phase, source };
        let start = self
            .start(sandbox, agent, &folder)
            .map_err(|text| failed(BootPhase::Disks)(text.into()))?;
        let program = code_of(agent).map_err(|text| failed(BootPhase::Disks)(text.into()))?;
        let (code, digest, target) = (
            self.config.code.clone(),
            program.code.digest.clone(),
            folder.clone(),
        );
        let copied = tokio::task::spawn_blocking(move || {
            let furnished = furnish(&code, &digest, &target);
            if furnished.is_err() {
                fs::remove_dir_all(&target).ok();
            }
            furnished
        });
        copied
            .await
            .unwrap_or_else(|error| Err(error.into()))
            .map_err(failed(BootPhase::Disks))?;
        let disks = begun.elapsed();
        let (process, channel) = self.spawn(sandbox, &folder).map_err(|error| {
            // What cannot be removed now is removed by the next sweep.
            fs::remove_dir_all(&folder).ok();
            failed(BootPhase::Machine)(error.into())
        })?;
        let timing = vec![
            (BootPhase::Disks, disks),
            (BootPhase::Machine, begun.elapsed() - disks),
        ];
        Ok(Booted {
            channel: Box::new(channel),
            start: Start::Agent(Box::new(start)),
            origin: Origin::Booted,
            machine: Box::new(process),
            notices: None,
            timing,
        })
    }

    async fn sweep(&self, _keep: &[SandboxId]) -> Result<Swept, io::Error> {
        let (sandboxes, storages) = (self.sandboxes(), self.storages_folder());
        tokio::task::spawn_blocking(move || {
            let mut swept = coracle_vmm::sweep(&sandboxes, &[])?;
            swept.removed += storages.sweep()?;
            Ok(swept)
        })
        .await?
    }

    async fn storages(&self) -> Result<Vec<StorageId>, io::Error> {
        self.storages_folder().all_async().await
    }

    async fn remove_storage(&self, storage: StorageId) {
        self.storages_folder().remove_async(storage).await;
    }

    async fn storage_use(&self) -> Result<StorageUse, io::Error> {
        self.storages_folder().used_async().await
    }
}

/// The code of an agent; a child process has no file system of its own to put an image into, or to mount folders in.
fn code_of(agent: &AgentSpec) -> Result<&CodeProgram, String> {
    if let Some(FolderMount { name, .. }) = agent.folders.first() {
        return Err(format!(
            "The process driver mounts nothing, and the agent needs {name}; use the microvm driver (coracle serve --driver \
             microvm)"
        ));
    }
    match &agent.program {
        Program::Code(program) => Ok(program),
        Program::Image(_) => Err(
            "The process driver runs no container images; use the microvm driver (coracle serve --driver microvm), \
             or deploy the agent as code"
                .to_owned(),
        ),
    }
}

/// A guest as a child process. Dropping it tells the guest to end.
struct Process {
    child: Child,
    folder: PathBuf,
    storages: StorageFolders,
}

impl Process {
    fn terminate(&self) {
        // Until the child has been waited for, its id cannot belong to another process.
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        // What cannot be removed here is removed by the next sweep.
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[async_trait]
impl Machine for Process {
    async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("the guest program ended with {status}"),
            Err(error) => format!("the guest program ended unseen ({error})"),
        }
    }

    async fn destroy(&mut self) {
        self.terminate();
        if tokio::time::timeout(END_TIMEOUT, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await.ok();
        }
        tokio::fs::remove_dir_all(&self.folder).await.ok();
    }

    async fn attach(&mut self, storage: StorageId) -> Result<StorageSource, StorageError> {
        let storages = self.storages.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let files = storages.open(storage)?.join(FILES);
            fs::create_dir_all(&files)?;
            Ok::<_, io::Error>(files)
        });
        let files = opened.await.map_err(io::Error::from).flatten();
        let files = files.map_err(|error| StorageError(error.into()))?;
        Ok(StorageSource::Folder {
            path: files.display().to_string(),
        })
    }

    fn memory(&self) -> MemoryUse {
        let memory = coracle_vmm::memory_of_processes_in(&self.folder);
        MemoryUse {
            private: memory.private,
            shared: memory.shared,
        }
    }

    fn cpu_time(&self) -> Duration {
        coracle_vmm::cpu_time_of_processes_in(&self.folder)
    }
}

/// Fills a sandbox's folder: a copy of the code, and a home.
fn furnish(
    code: &CodeStore,
    digest: &str,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let code = code.directory(digest)?;
    fs::create_dir_all(folder.join("home"))?;
    copy_tree(&code, &folder.join("task"))?;
    Ok(())
}

/// Copies files, folders and links; everything becomes writable for its owner.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let mode = entry.metadata()?.permissions().mode();
            fs::set_permissions(&target, fs::Permissions::from_mode(mode | 0o600))?;
        }
    }
    Ok(())
}

fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(OsStr::new(path))
        .map(|folder| folder.join(name))
        .find(|program| {
            fs::metadata(program)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_the_path_says_and_only_if_they_can_run() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python3.99");
        fs::write(&program, "").unwrap();
        let path = format!("/nowhere:{}", folder.path().display());
        assert_eq!(find_program("python3.99", &path), None);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_program("python3.99", &path), Some(program));
    }

    #[test]
    fn a_copy_of_read_only_code_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        fs::create_dir_all(code.join("pkg")).unwrap();
        fs::write(code.join("pkg/mod.py"), "x = 1").unwrap();
        fs::set_permissions(code.join("pkg/mod.py"), fs::Permissions::from_mode(0o444)).unwrap();
        std::os::unix::fs::symlink("pkg/mod.py", code.join("link.py")).unwrap();
        let copy = folder.path().join("copy");
        copy_tree(&code, &copy).unwrap();
        assert_eq!(fs::read_to_string(copy.join("link.py")).unwrap(), "x = 1");
        let mode = fs::metadata(copy.join("pkg/mod.py"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}
