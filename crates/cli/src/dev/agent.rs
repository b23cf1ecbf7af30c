//! The agent's process: prepared, started, probed, ended when its files change, and started again.
//!
//! One task owns it all. What it finds goes into the [`Journal`]; an agent that fails is left alone until a file
//! changes, because trying the same thing again gives the same.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use coracle_types::ServerProtocol;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

use super::environment::{Plan, Prepared};
use super::journal::{Journal, Phase};
use super::watch::Watcher;
use crate::output::Printer;
use crate::package::PackageError;
use crate::project::ProjectError;

/// How long an agent may take until `/ping` answers, as on the platform.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const PROBE_STARTING: Duration = Duration::from_millis(100);
const PROBE_READY: Duration = Duration::from_secs(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an agent may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest line of output that is kept whole, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// Why an agent cannot be run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error("neither {0} nor another version of it was found")]
    NoInterpreter(&'static str),
    #[error("tsx, which runs TypeScript, is not among the packages of `{}`", .0.display())]
    NoTsx(PathBuf),
    #[error("this machine's architecture is not supported")]
    Architecture,
    #[error("the dependencies cannot be installed")]
    Dependencies(#[from] PackageError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error("the files that move the agent's port cannot be written")]
    Launcher(#[source] std::io::Error),
    #[error("no free port was found on {host}, looking from {port} on")]
    NoPort {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
    #[error("the page cannot be served")]
    Serve(#[source] std::io::Error),
    #[error("no agent runs here")]
    NotRunning,
}

impl DevError {
    /// Advice for the user.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoInterpreter(name) => Some(format!(
                "install {name}, or change `runtimeVersion` in agentcore.json"
            )),
            Self::NoTsx(_) => Some("`npm install --save-dev tsx` in that folder adds it".to_owned()),
            Self::Dependencies(error) => error.hint(),
            Self::Project(error) => Some(error.hint()),
            Self::NoPort { .. } => Some("name another one with --port".to_owned()),
            Self::NotRunning => {
                Some("`agentcore dev` starts it, in another terminal; --port says where it is".to_owned())
            }
            Self::Architecture | Self::Launcher(_) | Self::Serve(_) => None,
        }
    }
}

/// What ended one life of the agent.
enum Ended {
    /// By itself, or it could not be started.
    Failed(String),
    /// A file changed.
    Changed,
    Stopped,
}

/// The agent of a plan.
pub(crate) struct Agent {
    plan: Plan,
    journal: Journal,
    printer: Printer,
    http: reqwest::Client,
    /// The port it really listens on; told to the relay.
    port: watch::Sender<u16>,
}

impl Agent {
    pub(crate) fn new(plan: Plan, journal: Journal, printer: Printer, http: reqwest::Client) -> Self {
        Self {
            plan,
            journal,
            printer,
            http,
            port: watch::Sender::new(0),
        }
    }

    /// The port that requests go to.
    pub(crate) fn port(&self) -> watch::Receiver<u16> {
        self.port.subscribe()
    }

    /// Runs the agent again and again, until `stop` is done.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut watcher = Watcher::new(&self.plan);
        loop {
            let ended = match self.prepare().await {
                Ok(prepared) => self.live(&prepared, &mut watcher, stop.as_mut()).await,
                Err(reason) => Ended::Failed(reason),
            };
            match ended {
                Ended::Stopped => return,
                Ended::Changed => {}
                Ended::Failed(reason) => {
                    self.journal.enter(Phase::Failed, reason);
                    tokio::select! {
                        file = watcher.changed() => self.journal.enter(Phase::Preparing, changed(&file)),
                        () = &mut stop => return,
                    }
                }
            }
        }
    }

    async fn prepare(&self) -> Result<Prepared, String> {
        let prepared = self
            .plan
            .prepare(&self.printer)
            .await
            .map_err(|error| whole(&error))?;
        if let Some(warning) = &prepared.warning {
            self.printer.info(warning);
        }
        Ok(prepared)
    }

    /// One life: from the start to the end.
    async fn live(
        &self,
        prepared: &Prepared,
        watcher: &mut Watcher,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        self.journal.enter(Phase::Starting, "");
        let mut process = match free_port().and_then(|port| self.spawn(prepared, port)) {
            Ok(process) => process,
            Err(error) => return Ended::Failed(format!("it cannot be started: {error}")),
        };
        let ended = tokio::select! {
            exit = process.child.wait() => {
                let exit = exit.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Ended::Failed(format!("it ended ({exit})"));
            }
            reason = self.probe() => Ended::Failed(reason),
            file = watcher.changed() => {
                // From now on requests wait for the next life.
                self.journal.enter(Phase::Preparing, changed(&file));
                Ended::Changed
            }
            () = stop.as_mut() => Ended::Stopped,
        };
        process.end().await;
        ended
    }

    fn spawn(&self, prepared: &Prepared, port: u16) -> std::io::Result<Process> {
        let mut command: Command = prepared.command(port);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(copy_lines(stdout, "stdout", self.journal.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(copy_lines(stderr, "stderr", self.journal.clone()));
        }
        self.port.send_replace(port);
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let guard = group.map(guard).transpose()?;
        Ok(Process {
            child,
            group,
            _guard: guard,
        })
    }

    /// Asks the agent how it is, for as long as it is well or has time to become so.
    async fn probe(&self) -> String {
        let started = Instant::now();
        let mut was_ready = false;
        loop {
            match self.ping().await {
                Ok(phase) => {
                    let detail = if was_ready {
                        self.journal.state().borrow().detail.clone()
                    } else {
                        format!("after {:.1?}", started.elapsed())
                    };
                    was_ready = true;
                    self.journal.enter(phase, detail);
                }
                Err(reason) if !was_ready && started.elapsed() > START_TIMEOUT => {
                    let (seconds, port) = (START_TIMEOUT.as_secs(), self.plan.contract_port());
                    return format!(
                        "it is not healthy after {seconds} s: {reason}; does it listen on port {port}?"
                    );
                }
                // The platform, too, goes on with an agent that has once been healthy.
                Err(reason) => self.printer.debug(&format!("GET /ping: {reason}")),
            }
            tokio::time::sleep(if was_ready { PROBE_READY } else { PROBE_STARTING }).await;
        }
    }

    /// By the platform's rules: 200 is healthy, `HealthyBusy` busy, `Unhealthy` not; an MCP server needs no `/ping`.
    async fn ping(&self) -> Result<Phase, String> {
        #[derive(Deserialize)]
        struct Ping {
            status: serde_json::Value,
        }
        let url = format!("http://127.0.0.1:{}/ping", *self.port.borrow());
        let asked = self.http.get(url).timeout(PROBE_TIMEOUT).send().await;
        let response = asked.map_err(|error| whole(&error))?;
        let status = response.status().as_u16();
        let without = self.plan.entry.protocol == ServerProtocol::Mcp && matches!(status, 404 | 405);
        if status != 200 && !without {
            return Err(format!("it answered {status}"));
        }
        let said = response.json::<Ping>().await.map(|ping| ping.status);
        match said.unwrap_or_default().as_str() {
            Some("Unhealthy") => Err("it answered Unhealthy".to_owned()),
            Some("HealthyBusy") => Ok(Phase::Busy),
            _ => Ok(Phase::Ready),
        }
    }
}

/// A running agent with all that it started; nothing of it outlives this, however this process ends.
struct Process {
    child: Child,
    group: Option<Pid>,
    _guard: Option<Child>,
}

/// A shell that waits for the end of its input, which nobody but this process holds open, and then ends the group.
/// When this process is killed it cannot do so itself.
fn guard(group: Pid) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r _; kill -s KILL -- \"-$1\"", "agentcore-dev-guard"])
        .arg(group.as_raw_pid().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is not meant for it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

impl Process {
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        // Whatever is left is killed when this is dropped.
        tokio::time::timeout(END_TIMEOUT, self.child.wait()).await.ok();
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // There may be none left.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn changed(file: &str) -> String {
    format!("{file} has changed")
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

async fn copy_lines(output: impl AsyncRead + Unpin, stream: &'static str, journal: Journal) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                if !tells_of_a_ping(&line) {
                    journal.line(stream, line.trim_end().to_owned());
                }
            }
        }
    }
}

/// Whether a line is what HTTP servers log, every other second, of our own looks at the agent's health.
fn tells_of_a_ping(line: &str) -> bool {
    let after = line.split_once("\"GET /ping HTTP/1.1\" ");
    after.is_some_and(|(_, status)| status.starts_with("200"))
}

/// An error and its causes in one line.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_log_of_healthy_pings_is_no_news() {
        for (line, is_ours) in [
            (
                "127.0.0.1 - - [21/Nov/2026 20:24:36] \"GET /ping HTTP/1.1\" 200 -",
                true,
            ),
            ("INFO:     127.0.0.1:40100 - \"GET /ping HTTP/1.1\" 200 OK", true),
            (
                "INFO:     127.0.0.1:40100 - \"GET /ping HTTP/1.1\" 500 Internal Server Error",
                false,
            ),
            (
                "INFO:     127.0.0.1:40100 - \"POST /invocations HTTP/1.1\" 200 OK",
                false,
            ),
        ] {
            assert_eq!(tells_of_a_ping(line), is_ours, "{line}");
        }
    }
}
