//! The registry that images are pulled from: one that is there already, or Debian's own, which ends with the run.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::Cause;
use coracle_server::drivers::program_on_path;

/// What the program is called: by Debian, and by those who make it.
const PROGRAMS: [&str; 2] = ["docker-registry", "registry"];
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A registry that speaks HTTP without TLS. One that was started here ends when this is dropped.
pub(super) struct Registry {
    /// `HOST:PORT`.
    pub(super) host: String,
    _started: Option<(Child, TempDir)>,
}

impl Registry {
    /// The one at this `HOST:PORT`.
    pub(super) fn at(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            _started: None,
        }
    }

    /// Starts one on a free port, with a folder of its own.
    ///
    /// # Errors
    /// When the program is missing or does not start.
    pub(super) async fn start() -> Result<Self, Cause> {
        let program = PROGRAMS.iter().find_map(|name| program_on_path(name)).ok_or(
            "docker-registry is not on PATH; install it (Debian: apt-get install docker-registry), or name a registry \
             that speaks plain HTTP with --registry HOST:PORT",
        )?;
        let folder = tempfile::Builder::new()
            .prefix("coracle-bench-registry-")
            .tempdir()?;
        let config = json!({
            "version": 0.1,
            "log": { "level": "info", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("data") } },
            "http": { "addr": "127.0.0.1:0" },
        });
        let config_file = folder.path().join("config.yml");
        std::fs::write(&config_file, config.to_string())?;
        let log = folder.path().join("log");
        let output = std::fs::File::create(&log)?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&config_file)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let said = read(&log);
            if let Some(host) = listening_on(&said) {
                return Ok(Self {
                    host: host.to_owned(),
                    _started: Some((child, folder)),
                });
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(format!("docker-registry did not start; its log:\n{said}").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// It says in its log which port it has taken.
fn listening_on(log: &str) -> Option<&str> {
    let (_, rest) = log.split_once("listening on ")?;
    let end =
        rest.find(|character: char| character == '"' || character == ',' || character.is_whitespace())?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_once_its_line_is_whole() {
        let line = "time=\"2026\" level=info msg=\"listening on 127.0.0.1:40617\" go.version=go1.19\n";
        assert_eq!(listening_on(line), Some("127.0.0.1:40617"));
        assert_eq!(listening_on("msg=\"listening on 127.0.0.1:406"), None);
        assert_eq!(listening_on("level=info msg=\"using inmemory\"\n"), None);
    }
}
