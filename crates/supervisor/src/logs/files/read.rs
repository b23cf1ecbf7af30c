//! Reading log files back: the newest lines that match a query, and following them as they grow.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_types::{EndpointName, RuntimeId, SessionId, SessionKey};
use futures::Stream;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::Serialize;

use super::{Inner, LogFiles, LogLine, Stored, day_of, day_of_folder, entries, file_name, folders};

/// Most lines one query returns.
const MAX_LIMIT: usize = 10_000;
/// Longest line of a file, in bytes: a line of output with every byte escaped, and its frame.
const MAX_STORED_LINE: u64 = 1024 * 1024;
/// How often a follower looks for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// How much of one file a follower reads at a time, in bytes.
const FOLLOW_CHUNK: u64 = 4 * 1024 * 1024;

/// Which lines to read.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Of this runtime.
    pub runtime: RuntimeId,
    /// Of this endpoint, or of all.
    pub endpoint: Option<EndpointName>,
    /// Of this session, or of all.
    pub session: Option<SessionId>,
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// The newest of them, at most this many (and never more than 10 000).
    pub limit: usize,
}

/// A line and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// The session that wrote it.
    #[serde(flatten)]
    pub session: SessionKey,
    /// What it wrote.
    #[serde(flatten)]
    pub line: LogLine,
}

impl LogFiles {
    /// The newest lines that match, oldest first.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn read(&self, query: LogQuery) -> io::Result<Vec<LogEntry>> {
        let inner = Arc::clone(&self.inner);
        blocking(move || Ok(inner.newest(&query)?.0)).await
    }

    /// The newest lines that match, and then every further one as it is written, until the stream is dropped.
    /// Ends after an error.
    pub fn follow(&self, query: LogQuery) -> impl Stream<Item = io::Result<LogEntry>> + Send + use<> {
        let start = Follower {
            inner: Arc::clone(&self.inner),
            query,
            offsets: None,
            ready: VecDeque::new(),
        };
        futures::stream::try_unfold(start, |mut follower| async move {
            loop {
                if let Some(entry) = follower.ready.pop_front() {
                    return Ok(Some((entry, follower)));
                }
                if follower.offsets.is_some() {
                    tokio::time::sleep(FOLLOW_INTERVAL).await;
                }
                follower = blocking(move || follower.look()).await?;
            }
        })
    }
}

/// Where a follower is.
struct Follower {
    inner: Arc<Inner>,
    query: LogQuery,
    /// How much of each file has been read; none before the first look.
    offsets: Option<HashMap<PathBuf, u64>>,
    ready: VecDeque<LogEntry>,
}

impl Follower {
    fn look(mut self) -> io::Result<Self> {
        let Some(mut offsets) = self.offsets.take() else {
            let (entries, offsets) = self.inner.newest(&self.query)?;
            self.ready = entries.into();
            self.offsets = Some(offsets);
            return Ok(self);
        };
        let mut news = Vec::new();
        let files = self
            .inner
            .files(&self.query, Some(Timestamp::now() - Span::new().hours(24)))?;
        offsets.retain(|path, _| files.iter().any(|file| file.path == *path));
        for file in files {
            let offset = offsets.entry(file.path.clone()).or_insert(0);
            *offset += read_new(&file, *offset, &self.query, &mut news)?;
        }
        news.sort_by_key(|entry| entry.line.time);
        self.ready = news.into();
        self.offsets = Some(offsets);
        Ok(self)
    }
}

/// A file that may hold lines of a query.
struct LogFile {
    endpoint: EndpointName,
    day: Date,
    path: PathBuf,
}

impl Inner {
    /// The newest lines of a query, and how far each of its files has been dealt with.
    fn newest(&self, query: &LogQuery) -> io::Result<(Vec<LogEntry>, HashMap<PathBuf, u64>)> {
        let mut newest = Newest::new(query.limit.min(MAX_LIMIT));
        let mut offsets = HashMap::new();
        let mut files = self.files(query, query.since)?;
        files.sort_by_key(|file| Reverse(file.day));
        for day in files.chunk_by(|a, b| a.day == b.day) {
            // No line of an earlier day is newer than these.
            let enough = newest.is_full();
            for file in day {
                let Some(opened) = open(&file.path)? else { continue };
                let end = if enough {
                    opened.metadata()?.len()
                } else {
                    each_line(opened, |stored| newest.offer(matching(stored, file, query)))?
                };
                offsets.insert(file.path.clone(), end);
            }
        }
        Ok((newest.into_entries(), offsets))
    }

    /// The files with lines of the query's sessions, of days not before `since`.
    fn files(&self, query: &LogQuery, since: Option<Timestamp>) -> io::Result<Vec<LogFile>> {
        let first_day = since.map_or(Date::MIN, day_of);
        let mut files = Vec::new();
        for (endpoint, folder) in self.endpoints(query)? {
            for folder in folders(&folder)? {
                let Some(day) = day_of_folder(&folder).filter(|day| *day >= first_day) else {
                    continue;
                };
                let paths = match &query.session {
                    Some(session) => vec![folder.join(file_name(session))],
                    None => entries(&folder)?.iter().map(fs::DirEntry::path).collect(),
                };
                files.extend(paths.into_iter().map(|path| LogFile {
                    endpoint: endpoint.clone(),
                    day,
                    path,
                }));
            }
        }
        Ok(files)
    }

    fn endpoints(&self, query: &LogQuery) -> io::Result<Vec<(EndpointName, PathBuf)>> {
        if let Some(endpoint) = &query.endpoint {
            return Ok(vec![(
                endpoint.clone(),
                self.endpoint_folder(&query.runtime, endpoint),
            )]);
        }
        let endpoint_of = |folder: &Path| -> Option<EndpointName> {
            let (runtime, endpoint) = folder.file_name()?.to_str()?.rsplit_once('-')?;
            (runtime == query.runtime.as_str()).then_some(())?;
            endpoint.parse().ok()
        };
        let folders = folders(&self.config.folder)?;
        Ok(folders
            .into_iter()
            .filter_map(|folder| Some((endpoint_of(&folder)?, folder)))
            .collect())
    }
}

/// The newest of the entries offered, up to a limit.
struct Newest {
    limit: usize,
    /// The oldest on top.
    heap: BinaryHeap<Reverse<Ordered>>,
    offered: u64,
}

impl Newest {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            heap: BinaryHeap::new(),
            offered: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.heap.len() >= self.limit
    }

    fn offer(&mut self, entry: Option<LogEntry>) {
        let Some(entry) = entry else { return };
        self.offered += 1;
        self.heap.push(Reverse(Ordered {
            time: entry.line.time,
            sequence: self.offered,
            entry,
        }));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    /// Oldest first; entries of one time in the order they were offered.
    fn into_entries(self) -> Vec<LogEntry> {
        let mut ordered: Vec<_> = self.heap.into_iter().map(|Reverse(ordered)| ordered).collect();
        ordered.sort();
        ordered.into_iter().map(|ordered| ordered.entry).collect()
    }
}

/// An entry in the order of time, then of reading.
struct Ordered {
    time: Timestamp,
    sequence: u64,
    entry: LogEntry,
}

impl Ordered {
    fn key(&self) -> (Timestamp, u64) {
        (self.time, self.sequence)
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Reads complete lines from `offset` on and returns how many bytes they took.
fn read_new(file: &LogFile, offset: u64, query: &LogQuery, entries: &mut Vec<LogEntry>) -> io::Result<u64> {
    let Some(mut opened) = open(&file.path)? else {
        return Ok(0);
    };
    if opened.metadata()?.len() <= offset {
        return Ok(0);
    }
    opened.seek(SeekFrom::Start(offset))?;
    each_line(opened.take(FOLLOW_CHUNK), |stored| {
        entries.extend(matching(stored, file, query));
    })
}

/// Calls `take` with each complete line that parses and returns how many bytes the complete lines took.
fn each_line(reader: impl Read, mut take: impl FnMut(Stored)) -> io::Result<u64> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut complete = 0;
    loop {
        line.clear();
        let length = (&mut reader).take(MAX_STORED_LINE).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') && (length as u64) < MAX_STORED_LINE {
            return Ok(complete);
        }
        complete += length as u64;
        if let Ok(stored) = serde_json::from_slice(&line) {
            take(stored);
        }
    }
}

fn matching(stored: Stored, file: &LogFile, query: &LogQuery) -> Option<LogEntry> {
    let Stored { session, line } = stored;
    if query.since.is_some_and(|since| line.time < since)
        || query.session.as_ref().is_some_and(|id| *id != session)
    {
        return None;
    }
    let session = SessionKey {
        runtime: query.runtime.clone(),
        endpoint: file.endpoint.clone(),
        session,
    };
    Some(LogEntry { session, line })
}

/// Opens a file that may have been removed meanwhile, or not exist yet.
fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
