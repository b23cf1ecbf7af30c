//! The server that is measured: this same program as a child process on a temporary data folder. And the agent as
//! a bare process, to compare with.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use coracle_auth::{CredentialsFileError, KeyPair};
use coracle_server::config::{AcceleratorChoice, DriverKind};
use coracle_vmm::KvmVerdict;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::Execution;
use crate::commands::client::Signer;

/// How long a server may take until it listens. It may have to fetch a guest kernel.
const START_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long it may take to end all sessions.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the bare agent may take until it listens.
const AGENT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// An agent that is measured beside nine others may take longer to start than one of a caller who waits.
const CONFIG: &str = "[limits]\ninit_timeout_secs = 600\n";
/// How much of the server's log is shown when it fails.
const SHOWN_LOG_LINES: usize = 20;

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// A file or a process.
    #[error("the server under test could not be run")]
    Io(#[from] io::Error),
    /// It did not start.
    #[error("the server under test did not start; its log ends with:\n{0}")]
    NotStarted(String),
    /// Its key.
    #[error("the key of the server under test cannot be read")]
    Key(#[from] CredentialsFileError),
    /// The bare agent.
    #[error("the agent did not start as a bare process of {0}")]
    Agent(PathBuf),
}

/// How a server is run.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// How sandboxes are made.
    pub(super) driver: DriverKind,
    /// How microVMs run.
    pub(super) accelerator: Option<AcceleratorChoice>,
    /// Where kernel and base images are.
    pub(super) images_dir: PathBuf,
}

impl Setup {
    pub(super) fn driver_name(&self) -> &'static str {
        match self.driver {
            DriverKind::Microvm => "microvm",
            DriverKind::Process => "process",
            DriverKind::Simulated => "simulated",
        }
    }

    fn accelerator_name(&self) -> Option<&'static str> {
        self.accelerator.map(|accelerator| match accelerator {
            AcceleratorChoice::Auto => "auto",
            AcceleratorChoice::Kvm => "kvm",
            AcceleratorChoice::Tcg => "tcg",
        })
    }
}

/// A running server. [`Server::stop`] ends it and waits for that.
pub(super) struct Server {
    setup: Setup,
    child: Child,
    folder: TempDir,
    pub(super) address: SocketAddr,
    key: KeyPair,
}

impl Server {
    pub(super) async fn start(setup: &Setup) -> Result<Self, ServerError> {
        // Short, because paths of Unix sockets are.
        let folder = tempfile::Builder::new().prefix("coracle-bench-").tempdir()?;
        let data = folder.path().join("data");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, CONFIG)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--driver",
                setup.driver_name(),
            ])
            .arg("--data-dir")
            .arg(&data)
            .arg("--images-dir")
            .arg(&setup.images_dir)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log"))?)
            .kill_on_drop(true);
        if let Some(accelerator) = setup.accelerator_name() {
            command.args(["--accelerator", accelerator]);
        }
        let mut child = command.spawn()?;
        let deadline = Instant::now() + START_TIMEOUT;
        // Written once the port is open.
        let address = loop {
            let written = std::fs::read_to_string(data.join("address")).unwrap_or_default();
            if let Ok(address) = written.parse() {
                break address;
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(ServerError::NotStarted(log_end(folder.path())));
            }
            tokio::time::sleep(POLL).await;
        };
        let key = coracle_auth::read(&data.join("credentials"))?;
        Ok(Self {
            setup: setup.clone(),
            child,
            folder,
            address,
            key,
        })
    }

    /// Signs with its key.
    pub(super) fn signer(&self) -> Signer {
        Signer {
            key: self.key.clone(),
            address: self.address,
        }
    }

    /// Where it keeps everything.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What executes the agents.
    pub(super) fn execution(&self) -> Execution {
        if self.setup.driver == DriverKind::Process {
            return Execution::Processes;
        }
        let verdict = std::fs::read(self.data_dir().join("kvm.json"));
        let verdict = verdict.ok().and_then(|text| serde_json::from_slice(&text).ok());
        match self.setup.accelerator {
            Some(AcceleratorChoice::Kvm) => Execution::Kvm,
            None | Some(AcceleratorChoice::Auto) if verdict == Some(KvmVerdict::Works) => Execution::Kvm,
            _ => Execution::Emulation,
        }
    }

    /// The last lines of the server's log.
    pub(super) fn log_end(&self) -> String {
        log_end(self.folder.path())
    }

    /// The most memory it has had since the last [`Server::forget_peak`], in bytes.
    pub(super) fn peak_memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        peak(&status).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Sets the peak to what it has now. See `clear_refs` in proc(5).
    pub(super) fn forget_peak(&self) -> io::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()?), "5")
    }

    fn pid(&self) -> io::Result<u32> {
        self.child
            .id()
            .ok_or_else(|| io::Error::other("the server has ended"))
    }

    /// Has it end its sessions and itself.
    pub(super) async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        if ended.is_err() {
            self.child.kill().await.ok();
        }
    }
}

fn log_end(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n")
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The agent as a process of the host, with nothing around it. Ends when dropped.
pub(super) struct BareAgent {
    _child: Child,
    _folder: TempDir,
    pub(super) address: SocketAddr,
}

impl BareAgent {
    pub(super) async fn start(interpreter: &Path, source: &str) -> Result<Self, ServerError> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("agent.py");
        std::fs::write(&file, source)?;
        let mut child = Command::new(interpreter)
            .arg(&file)
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let not_started = || ServerError::Agent(interpreter.to_owned());
        let output = child.stdout.take().ok_or_else(not_started)?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let read = tokio::time::timeout(AGENT_TIMEOUT, output.read_line(&mut line)).await;
        read.map_err(|_| not_started())??;
        let port: u16 = line.trim().parse().map_err(|_| not_started())?;
        Ok(Self {
            _child: child,
            _folder: folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_process_is_read() {
        let status = "Name:\tcoracle\nVmPeak:\t  900000 kB\nVmHWM:\t   22040 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak(status), Some(22040 * 1024));
        assert_eq!(peak("Name:\tcoracle\n"), None);
    }
}
