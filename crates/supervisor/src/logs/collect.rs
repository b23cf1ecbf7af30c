//! The task that takes one session's output off its guest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::log::{self, LogRecord, Output};
use coracle_types::SessionKey;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::budget::{Allowance, Kept};
use super::lines::LineAssembler;
use super::tail::Tail;
use super::{LogBudget, LogLine, LogSink};

/// Batches waiting for the sink; each comes from one record, so at most 16 × 64 KiB of text.
const QUEUE: usize = 16;
/// What a line costs beyond its text, in bytes: empty lines are not free to keep.
const LINE_OVERHEAD: u64 = 100;
/// How fast output over the budget is read, in bytes per second: what a flood may cost of a core.
const DISCARD_RATE: u64 = 32 * 1024 * 1024;
/// Output is complete when none came for this long after the agent's exit.
const QUIET: Duration = Duration::from_millis(50);
/// The longest wait for quiet.
const LONGEST_SETTLE: Duration = Duration::from_millis(500);
/// How long the sink has for the last lines once the guest is gone.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The output of one session while it runs.
pub(crate) struct SessionLog {
    collected: Arc<Mutex<Collected>>,
    records: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl SessionLog {
    /// Starts to read `stream` until it ends, and to take what this host has to say beside it.
    pub(crate) fn collect(
        session: SessionKey,
        stream: ChannelStream,
        notices: Option<mpsc::Receiver<String>>,
        sink: Arc<dyn LogSink>,
        budget: LogBudget,
    ) -> Self {
        let collected = Arc::new(Mutex::new(Collected::new(budget)));
        let (progress, records) = watch::channel(0);
        let (queue, batches) = mpsc::channel(QUEUE);
        let noting = note_down(notices, Arc::clone(&collected), queue.clone());
        let reading = read(stream, Arc::clone(&collected), progress, queue);
        let both = async move {
            tokio::select! {
                () = reading => {}
                () = noting => {}
            }
        };
        let task = tokio::spawn(async move {
            tokio::join!(both, write(session, sink, batches));
        });
        Self {
            collected,
            records,
            task,
        }
    }

    /// Waits until what the agent wrote before its end has arrived: until no more comes.
    pub(crate) async fn settle(&self) {
        let mut records = self.records.clone();
        let quiet = async {
            // An error of `changed` means that the stream has ended.
            while let Ok(Ok(())) = tokio::time::timeout(QUIET, records.changed()).await {}
        };
        // Past this, the lines that are there must do.
        tokio::time::timeout(LONGEST_SETTLE, quiet).await.ok();
    }

    /// The last lines so far, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        lock(&self.collected).last_lines()
    }

    /// Waits until everything is in the sink. The guest must be gone.
    pub(crate) async fn finish(mut self) {
        if tokio::time::timeout(FINISH_TIMEOUT, &mut self.task)
            .await
            .is_err()
        {
            tracing::warn!("the last log lines of a session could not be written in time");
            self.task.abort();
        }
    }
}

/// What is known of a session's output.
struct Collected {
    assembler: LineAssembler,
    tail: Tail,
    allowance: Allowance,
    started: Timestamp,
}

impl Collected {
    fn new(budget: LogBudget) -> Self {
        Self {
            assembler: LineAssembler::default(),
            tail: Tail::default(),
            allowance: Allowance::new(budget, Instant::now()),
            started: Timestamp::now(),
        }
    }

    /// Takes a record; returns the lines to keep and whether any was dropped.
    fn take(&mut self, record: &LogRecord) -> (Vec<LogLine>, bool) {
        let time = self.believable_time(record.unix_millis);
        let lines = self.assembler.push(record.output, time, &record.bytes);
        self.keep(lines)
    }

    /// The unfinished lines and the note about what was dropped, once the output has ended.
    fn finish(&mut self) -> Vec<LogLine> {
        let now = Timestamp::now();
        let lines = std::mem::take(&mut self.assembler).pending(now).collect();
        let (mut kept, _) = self.keep(lines);
        let dropped = self.allowance.dropped();
        if dropped > 0 {
            kept.push(note(now, dropped));
        }
        kept
    }

    fn keep(&mut self, lines: Vec<LogLine>) -> (Vec<LogLine>, bool) {
        let now = Instant::now();
        let mut kept = Vec::with_capacity(lines.len());
        let mut any_dropped = false;
        for line in lines {
            self.tail.push(&line.line);
            match self.allowance.take(now, line.line.len() as u64 + LINE_OVERHEAD) {
                Kept::No => {
                    any_dropped = true;
                    continue;
                }
                Kept::YesAfter(dropped) => kept.push(note(line.time, dropped)),
                Kept::Yes => {}
            }
            kept.push(line);
        }
        (kept, any_dropped)
    }

    fn last_lines(&self) -> Vec<String> {
        let mut tail = self.tail.clone();
        for line in self.assembler.pending(Timestamp::now()) {
            tail.push(&line.line);
        }
        tail.into_lines()
    }

    /// The guest's time, unless it lies outside the session's life: files are named by it.
    fn believable_time(&self, unix_millis: u64) -> Timestamp {
        let now = Timestamp::now();
        i64::try_from(unix_millis)
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .filter(|time| (self.started..=now).contains(time))
            .unwrap_or(now)
    }
}

fn note(time: Timestamp, dropped: u64) -> LogLine {
    let text = format!("{dropped} lines were dropped: the session is over its log budget");
    own_line(time, &text)
}

/// A line that is this server's, and says so.
fn own_line(time: Timestamp, text: &str) -> LogLine {
    LogLine {
        time,
        output: Output::Stderr,
        line: format!("[coracle] {text}"),
        partial: false,
    }
}

/// Writes down what this host has to say, for as long as it is waited for.
async fn note_down(
    notices: Option<mpsc::Receiver<String>>,
    collected: Arc<Mutex<Collected>>,
    queue: mpsc::Sender<Vec<LogLine>>,
) {
    if let Some(mut notices) = notices {
        while let Some(text) = notices.recv().await {
            let line = own_line(Timestamp::now(), &text);
            let (lines, _) = lock(&collected).keep(vec![line]);
            if queue.send(lines).await.is_err() {
                break;
            }
        }
    }
    std::future::pending::<()>().await;
}

async fn read(
    mut stream: ChannelStream,
    collected: Arc<Mutex<Collected>>,
    progress: watch::Sender<u64>,
    queue: mpsc::Sender<Vec<LogLine>>,
) {
    // Whether the stream ends or breaks makes no difference: the session's task learns why from the guest.
    while let Ok(record) = log::read(&mut stream).await {
        let (lines, dropped) = lock(&collected).take(&record);
        progress.send_modify(|records| *records += 1);
        if !lines.is_empty() && queue.send(lines).await.is_err() {
            return;
        }
        if dropped {
            let pause = record.bytes.len() as u64 * 1_000_000 / DISCARD_RATE;
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }
    let last = lock(&collected).finish();
    // The writer outlives this queue.
    queue.send(last).await.ok();
}

async fn write(session: SessionKey, sink: Arc<dyn LogSink>, mut batches: mpsc::Receiver<Vec<LogLine>>) {
    let mut waiting = Vec::with_capacity(QUEUE);
    while batches.recv_many(&mut waiting, QUEUE).await > 0 {
        let lines: Vec<_> = waiting.drain(..).flatten().collect();
        if !lines.is_empty() {
            sink.write(&session, lines).await;
        }
    }
}

fn lock(collected: &Mutex<Collected>) -> std::sync::MutexGuard<'_, Collected> {
    collected.lock().unwrap_or_else(PoisonError::into_inner)
}
