//! Logs in files: a folder for each endpoint, in it one for each day, in it a file for each session.
//!
//! ```text
//! <folder>/<runtime id>-<endpoint>/<YYYY-MM-DD>/<digest of the session id>.jsonl
//! ```
//!
//! A file is only ever appended to, in whole lines of JSON, and stops growing at its limit. A line torn by a
//! crash is skipped when read. Files are opened for each batch, so nothing is held for an idle session and a
//! day can be removed at any time. Days past the retention are removed when the first line of a new day is
//! written.

mod read;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use coracle_guest_proto::log::Output;
use coracle_types::{EndpointName, RuntimeId, SessionId, SessionKey};
use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use read::{LogEntry, LogQuery};

use super::{LogLine, LogSink};

/// Where log files live and how much of them is kept.
#[derive(Debug, Clone)]
pub struct LogFilesConfig {
    /// The folder; made when it is missing.
    pub folder: PathBuf,
    /// How many days are kept besides today.
    pub retention_days: u16,
    /// Largest file, in bytes: one session's output of one day. Exceeded by at most one batch.
    pub max_file_bytes: u64,
}

/// Log files, written as a [`LogSink`] and read by the operator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogFiles {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: LogFilesConfig,
    cleaned_on: Mutex<Option<Date>>,
}

/// One line of a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    session: SessionId,
    #[serde(flatten)]
    line: LogLine,
}

impl LogFiles {
    /// Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(config: LogFilesConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.folder)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                cleaned_on: Mutex::new(None),
            }),
        })
    }
}

#[async_trait]
impl LogSink for LogFiles {
    async fn write(&self, session: &SessionKey, lines: Vec<LogLine>) {
        let (inner, session) = (Arc::clone(&self.inner), session.clone());
        let written = tokio::task::spawn_blocking(move || inner.append(&session, lines)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "log lines could not be written");
        }
    }
}

impl Inner {
    fn append(&self, session: &SessionKey, lines: Vec<LogLine>) -> io::Result<()> {
        self.clean_once_a_day(day_of(Timestamp::now()));
        let mut lines = lines.into_iter().peekable();
        while let Some(first) = lines.next() {
            let day = day_of(first.time);
            let mut batch = vec![first];
            while let Some(line) = lines.next_if(|line| day_of(line.time) == day) {
                batch.push(line);
            }
            self.append_to_day(session, day, batch)?;
        }
        Ok(())
    }

    fn append_to_day(&self, session: &SessionKey, day: Date, lines: Vec<LogLine>) -> io::Result<()> {
        let folder = self
            .endpoint_folder(&session.runtime, &session.endpoint)
            .join(day.to_string());
        let mut file = open_for_append(&folder, &file_name(&session.session))?;
        let length = file.metadata()?.len();
        if length >= self.config.max_file_bytes {
            return Ok(());
        }
        let mut text = Vec::new();
        let last = lines.last().map(|line| line.time);
        for line in lines {
            write_line(&mut text, &session.session, line)?;
        }
        if let Some(time) = last.filter(|_| length + text.len() as u64 >= self.config.max_file_bytes) {
            let line =
                "[coracle] this log file is full; the session's output of this day ends here".to_owned();
            write_line(
                &mut text,
                &session.session,
                LogLine {
                    time,
                    output: Output::Stderr,
                    line,
                    partial: false,
                },
            )?;
        }
        file.write_all(&text)
    }

    fn endpoint_folder(&self, runtime: &RuntimeId, endpoint: &EndpointName) -> PathBuf {
        self.config.folder.join(format!("{runtime}-{endpoint}"))
    }

    /// Removes the days that are past the retention, unless that was done today.
    fn clean_once_a_day(&self, today: Date) {
        let mut cleaned_on = self.cleaned_on.lock().unwrap_or_else(PoisonError::into_inner);
        if *cleaned_on == Some(today) {
            return;
        }
        *cleaned_on = Some(today);
        if let Err(error) = self.remove_days_before(today) {
            tracing::warn!(%error, "old log files could not be removed");
        }
    }

    fn remove_days_before(&self, today: Date) -> io::Result<()> {
        let oldest = today.saturating_sub(Span::new().days(i32::from(self.config.retention_days)));
        for endpoint in folders(&self.config.folder)? {
            for day in folders(&endpoint)? {
                if day_of_folder(&day).is_some_and(|day| day < oldest) {
                    fs::remove_dir_all(&day)?;
                }
            }
        }
        Ok(())
    }
}

fn write_line(text: &mut Vec<u8>, session: &SessionId, line: LogLine) -> io::Result<()> {
    serde_json::to_writer(
        &mut *text,
        &Stored {
            session: session.clone(),
            line,
        },
    )?;
    text.push(b'\n');
    Ok(())
}

fn file_name(session: &SessionId) -> String {
    format!("{}.jsonl", session.digest())
}

fn open_for_append(folder: &Path, name: &str) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(name))
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            open()
        }
        result => result,
    }
}

/// What is inside `folder`; nothing when it does not exist or is removed meanwhile.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

/// The folders inside `folder`.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

fn day_of_folder(folder: &Path) -> Option<Date> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn day_of(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
