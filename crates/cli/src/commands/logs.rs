//! `agentcore logs`: what the agent wrote to stdout and stderr, from Coracle's operator API.

mod level;

use std::collections::BTreeMap;

use coracle_types::RuntimeId;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

pub(crate) use self::level::Level;
use super::{Context, endpoint_name, session_id};
use crate::args::Logs;
use crate::aws::ClientError;
use crate::aws::operator::LogQuery;
use crate::failure::Failure;
use crate::output::Printer;

/// Longest log line that is read, in bytes.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// How much of a session's id is shown beside a line.
const SHOWN_ID: usize = 8;

/// A line as the operator API sends it.
#[derive(Debug, Deserialize)]
struct LogLine {
    time: Timestamp,
    #[serde(alias = "output")]
    stream: String,
    session: String,
    line: String,
}

pub(super) async fn run(context: &Context<'_>, arguments: &Logs) -> Result<(), Failure> {
    let endpoint = endpoint_name(&arguments.endpoint)?;
    let since = match &arguments.since {
        Some(text) => Some(since(text, Timestamp::now())?),
        None => None,
    };
    let session = arguments.session_id.as_deref().map(session_id).transpose()?;
    let runtime = context.runtime_id().await?;
    if context.client.settings.endpoints.value.is_aws {
        return Err(elsewhere(&runtime, endpoint.as_str()));
    }
    let query = LogQuery {
        runtime: &runtime,
        endpoint: &endpoint,
        session: session.as_ref(),
        since,
        limit: arguments.limit,
        follow: arguments.follow,
    };
    let mut response = context.client.logs(&query).await?;
    let mut lines = Lines {
        least: arguments.level,
        levels: BTreeMap::new(),
    };
    let mut rest = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Broken)? {
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            lines.print(&line, context.printer)?;
        }
        if rest.len() > MAX_LINE {
            return Err(ClientError::TooLarge.into());
        }
    }
    lines.print(&rest, context.printer)
}

fn elsewhere(runtime: &RuntimeId, endpoint: &str) -> Failure {
    let hint = format!("`aws logs tail /aws/bedrock-agentcore/runtimes/{runtime}-{endpoint}` reads them");
    Failure::usage(
        "AWS keeps logs in CloudWatch, which this command does not read",
        hint,
    )
}

/// Prints lines, and leaves out those below the level that is asked for.
struct Lines {
    least: Option<Level>,
    /// The level of the last line of each session that named one: what follows belongs to it.
    levels: BTreeMap<String, Level>,
}

impl Lines {
    fn print(&mut self, line: &[u8], printer: &Printer) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        let line: LogLine = serde_json::from_str(text).map_err(ClientError::Malformed)?;
        if !self.is_wanted(&line) {
            return Ok(());
        }
        if printer.json {
            return printer.line(text);
        }
        let id: String = line.session.chars().take(SHOWN_ID).collect();
        let mark = if line.stream == "stderr" { "!" } else { " " };
        printer.piece(&format!("{:.3} {id} {mark} {}\n", line.time, line.line))
    }

    fn is_wanted(&mut self, line: &LogLine) -> bool {
        let Some(least) = self.least else {
            return true;
        };
        let level = match Level::of(&line.line) {
            Some(level) => {
                self.levels.insert(line.session.clone(), level);
                level
            }
            None => self.levels.get(&line.session).copied().unwrap_or(Level::Info),
        };
        level >= least
    }
}

/// A moment from its age or its RFC 3339 form.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let malformed = || {
        let hint = "use an age such as 30s, 10m, 2h or 1d, or a time such as 2026-11-21T09:00:00Z";
        Failure::usage(format!("`{text}` is no time"), hint)
    };
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let unit = text
        .chars()
        .last()
        .filter(char::is_ascii_alphabetic)
        .ok_or_else(malformed)?;
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| malformed())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(malformed()),
    };
    now.checked_sub(SignedDuration::from_secs(i64::from(number) * seconds))
        .map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ages_or_moments() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let at = |text| since(text, now).unwrap().to_string();
        assert_eq!(at("30s"), "2026-11-21T11:59:30Z");
        assert_eq!(at("10m"), "2026-11-21T11:50:00Z");
        assert_eq!(at("1d"), "2026-11-20T12:00:00Z");
        assert_eq!(at("2026-11-21T09:00:00+01:00"), "2026-11-21T08:00:00Z");
        for bad in ["", "m", "10", "10x", "-5m", "yesterday", "4294967295d", "1é"] {
            assert!(since(bad, now).is_err(), "{bad}");
        }
    }
}
