//! Runs the host's tools: found or explained, with a deadline, with bounded output and visible progress.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::progress::Progress;

/// How often somebody who waits hears that work goes on.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How many of a tool's last lines are kept for its error message.
const KEPT_LINES: usize = 12;
/// Longest line taken from a tool; the rest of it is taken as the next line.
const MAX_LINE: u64 = 1024;
/// Most that [`output`] returns.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;

/// A tool of the host that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed.
    #[error("{tool} is missing; it is needed {purpose}. Install it with: apt-get install {package}")]
    Missing {
        /// Its name.
        tool: &'static str,
        /// What it is needed for.
        purpose: &'static str,
        /// The package of Debian and Ubuntu that has it.
        package: &'static str,
    },
    /// It could not be started or watched.
    #[error("{tool} could not be run")]
    Run {
        /// Its name.
        tool: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It reported failure.
    #[error("{tool} failed with {status}. It said last:\n{said}")]
    Failed {
        /// Its name.
        tool: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        said: String,
    },
    /// It took too long and was ended.
    #[error("{tool} was ended after {} seconds. It said last:\n{said}", deadline.as_secs())]
    TooSlow {
        /// Its name.
        tool: &'static str,
        /// How long it was given.
        deadline: Duration,
        /// Its last lines.
        said: String,
    },
}

/// A tool of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    pub(crate) package: &'static str,
}

impl Tool {
    /// Where it is. Also looks where tools are that are not on an ordinary user's path.
    pub(crate) fn find(&self) -> Result<PathBuf, CommandError> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|folder| folder.join(self.name))
            .find(|candidate| candidate.is_file())
            .ok_or(CommandError::Missing {
                tool: self.name,
                purpose: self.purpose,
                package: self.package,
            })
    }

    /// A call of it with these arguments.
    pub(crate) fn call<A: Into<OsString>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Command, CommandError> {
        let mut command = Command::new(self.find()?);
        command
            .args(arguments.into_iter().map(Into::into))
            .stdin(Stdio::null())
            .env("LC_ALL", "C");
        Ok(command)
    }

    /// Runs `command` to its end. What it says on standard error is passed on as progress under the heading
    /// `doing`; standard output goes where the caller directed it.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        deadline: Duration,
        doing: &str,
        progress: &dyn Progress,
    ) -> Result<(), CommandError> {
        let cannot = |source| CommandError::Run {
            tool: self.name,
            source,
        };
        let started = Instant::now();
        progress.step(doing, None);
        let mut child = command
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let lines = child
            .stderr
            .take()
            .map(read_lines)
            .ok_or_else(|| cannot(io::ErrorKind::BrokenPipe.into()))?;
        let mut said = VecDeque::new();
        loop {
            match lines.recv_timeout(HEARTBEAT) {
                Ok(line) => {
                    progress.step(&format!("{doing}: {line}"), None);
                    said.push_back(line);
                    if said.len() > KEPT_LINES {
                        said.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    progress.step(&format!("{doing} ({} s)", started.elapsed().as_secs()), None);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if started.elapsed() > deadline {
                end(&mut child);
                return Err(CommandError::TooSlow {
                    tool: self.name,
                    deadline,
                    said: joined(&said),
                });
            }
        }
        // Standard error is closed: nothing is left that could write to it, and the tool is at its end.
        let status = child.wait().map_err(cannot)?;
        if status.success() {
            return Ok(());
        }
        Err(CommandError::Failed {
            tool: self.name,
            status,
            said: joined(&said),
        })
    }

    /// Runs `command`, which is known to be quick, and returns what it printed.
    pub(crate) fn output(&self, command: &mut Command) -> Result<String, CommandError> {
        let cannot = |source| CommandError::Run {
            tool: self.name,
            source,
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout
                .take(MAX_OUTPUT)
                .read_to_end(&mut printed)
                .map_err(cannot)?;
        }
        let status = child.wait().map_err(cannot)?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        if status.success() {
            return Ok(printed);
        }
        Err(CommandError::Failed {
            tool: self.name,
            status,
            said: printed,
        })
    }
}

/// Reads lines on a thread of their own until the other side closes.
fn read_lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            if !text.is_empty() && sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

fn end(child: &mut Child) {
    // The tool leads its own process group, so that its helpers end with it.
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::warn!(%error, "a tool could not be ended");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "a tool could not be waited for");
    }
}

fn joined(lines: &VecDeque<String>) -> String {
    lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// `option=path`, for tools that want it so.
pub(crate) fn assign(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push("=");
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const SHELL: Tool = Tool {
        name: "sh",
        purpose: "for this test",
        package: "dash",
    };

    #[test]
    fn a_failing_tool_is_quoted() {
        let mut command = SHELL
            .call(["-c", "echo first >&2; echo the reason >&2; exit 3"])
            .unwrap();
        let error = SHELL
            .run(&mut command, Duration::from_secs(10), "trying", &())
            .unwrap_err()
            .to_string();
        assert!(error.contains("the reason") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_hanging_tool_is_ended_with_its_children_and_is_not_silent_meanwhile() {
        let heard = Mutex::new(Vec::new());
        let progress = |text: &str, _: Option<f32>| heard.lock().unwrap().push(text.to_owned());
        let mut command = SHELL.call(["-c", "sleep 600 & sleep 600"]).unwrap();
        let started = Instant::now();
        let outcome = SHELL.run(&mut command, Duration::from_millis(1500), "waiting", &progress);
        assert!(
            matches!(outcome, Err(CommandError::TooSlow { .. })),
            "{outcome:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(heard.lock().unwrap().len() >= 2);
    }

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let tool = Tool {
            name: "no-such-tool",
            purpose: "to test this",
            package: "no-such-package",
        };
        let error = tool.find().unwrap_err().to_string();
        assert!(error.contains("apt-get install no-such-package"), "{error}");
    }
}
