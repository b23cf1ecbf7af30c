//! Asks the program that a profile names as its `credential_process` for keys: one object of JSON on stdout, by the
//! rules of the AWS SDKs. Its stderr is the user's, and it may ask there.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

use super::Keys;

/// How long somebody may take to answer what the program asks.
const TIMEOUT: Duration = Duration::from_secs(120);
/// More than any real answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Why the program gave no keys. What it printed is a secret and never part of this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("it cannot be run")]
    Run(#[source] std::io::Error),
    #[error("it did not end within {} seconds", TIMEOUT.as_secs())]
    TooSlow,
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    #[error("what it printed is not `{{\"Version\": 1, \"AccessKeyId\": …, \"SecretAccessKey\": …}}`")]
    Malformed,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// The keys that this shell command prints.
///
/// # Errors
/// When it cannot be run, takes too long, fails, or prints something else.
pub(super) fn keys(command: &str) -> Result<Keys, ProcessError> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(ProcessError::Run)?;
    let (done, answered) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(MAX_ANSWER).read_to_end(&mut text).map(|_| text);
            // Nobody waits any more when it took too long.
            done.send(read).ok();
        });
    }
    let Ok(answer) = answered.recv_timeout(TIMEOUT) else {
        child.kill().map_err(ProcessError::Run)?;
        child.wait().map_err(ProcessError::Run)?;
        return Err(ProcessError::TooSlow);
    };
    let status = child.wait().map_err(ProcessError::Run)?;
    if !status.success() {
        return Err(ProcessError::Failed(status));
    }
    parse(&answer.map_err(ProcessError::Run)?)
}

fn parse(text: &[u8]) -> Result<Keys, ProcessError> {
    let answer: Answer = serde_json::from_slice(text).map_err(|_| ProcessError::Malformed)?;
    if answer.version != 1 {
        return Err(ProcessError::Malformed);
    }
    Ok(Keys {
        access_key: answer.access_key_id,
        secret_key: answer.secret_access_key.into(),
        session_token: answer.session_token.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_what_the_program_prints() {
        let said = |command| keys(command).map(|keys| keys.access_key);
        let printed = r#"echo '{"Version": 1, "AccessKeyId": "PROCESS", "SecretAccessKey": "hush"}'"#;
        assert_eq!(said(printed).unwrap(), "PROCESS");
        assert!(matches!(said("exit 3"), Err(ProcessError::Failed(_))));
        let other = said("echo '{\"Version\": 2, \"SecretAccessKey\": \"hush\"}'").unwrap_err();
        assert!(!format!("{other} {other:?}").contains("hush"));
    }
}
