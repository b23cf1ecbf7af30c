//! What has happened: the agent's output, its states, and the traces of requests. Bounded, and told to whoever
//! listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{broadcast, watch};

use super::otlp::Span;

const KEPT_LINES: usize = 2000;
const KEPT_TRACES: usize = 200;
/// Steps of one trace; what comes later is only counted.
const KEPT_STEPS: usize = 1000;
/// How much of one step's text is kept, and of all of a trace together, in bytes.
const KEPT_TEXT: usize = 16 * 1024;
const KEPT_OF_TRACE: usize = 512 * 1024;
/// Spans of one trace that the agent itself tells of.
const KEPT_SPANS: usize = 500;
/// Events that a slow listener may be behind before it misses some.
const BACKLOG: usize = 1024;

/// Where the agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Phase {
    /// Its dependencies are being installed.
    Preparing,
    /// It runs, and has not answered `/ping` yet.
    Starting,
    Ready,
    /// It is ready, and says that it works without a request.
    Busy,
    /// It ended, or could not be started; a change of its files starts it again.
    Failed,
}

/// The agent's state, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) detail: String,
    /// How many times it has been started.
    pub(crate) starts: u32,
}

/// A line that the agent printed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) time: Timestamp,
    pub(crate) stream: &'static str,
    pub(crate) line: String,
    /// The line as people read it.
    pub(crate) text: String,
}

/// Something that happened while a request was served.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    /// Milliseconds since the request arrived.
    pub(crate) at: u64,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// A span, and when it was in milliseconds since the request arrived.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timed {
    pub(crate) from: f64,
    pub(crate) to: f64,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// One request and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trace {
    pub(crate) id: u64,
    pub(crate) session: String,
    pub(crate) request: String,
    pub(crate) started: Timestamp,
    pub(crate) status: Option<u16>,
    /// Milliseconds until the last byte; `None` while it goes on.
    pub(crate) took: Option<u64>,
    pub(crate) steps: Vec<Step>,
    /// What the agent says it did meanwhile.
    pub(crate) spans: Vec<Timed>,
    /// Steps that were too many to keep.
    pub(crate) more: usize,
    #[serde(skip)]
    began: Instant,
    /// The trace id that the agent was given, in hexadecimal.
    #[serde(skip)]
    known_as: String,
    /// How much more text is kept, in bytes.
    #[serde(skip)]
    room: usize,
}

/// What listeners are told.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum Event {
    State(State),
    Line(Line),
    /// A request that has begun or ended, whole.
    Trace(Trace),
    /// One more step of a request that goes on.
    Step {
        trace: u64,
        step: Step,
    },
    /// One more span; the request may have ended before the agent told of it.
    Span {
        trace: u64,
        span: Timed,
    },
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    traces: VecDeque<Trace>,
    next_trace: u64,
    /// When the agent was last started.
    started: Option<Timestamp>,
}

/// The journal; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    kept: Arc<Mutex<Kept>>,
    state: watch::Sender<State>,
    events: broadcast::Sender<Event>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let state = State {
            phase: Phase::Preparing,
            detail: String::new(),
            starts: 0,
        };
        Self {
            kept: Arc::default(),
            state: watch::Sender::new(state),
            events: broadcast::Sender::new(BACKLOG),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        self.events.send(event).ok();
    }

    /// Events from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The agent's state, and what becomes of it.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.with(|kept| kept.lines.iter().cloned().collect())
    }

    pub(crate) fn traces(&self) -> Vec<Trace> {
        self.with(|kept| kept.traces.iter().cloned().collect())
    }

    /// The last lines of output since the agent was started.
    pub(crate) fn last_lines(&self, number: usize) -> String {
        self.with(|kept| {
            let of_this_life = kept.lines.iter().filter(|line| Some(line.time) >= kept.started);
            let skipped = of_this_life.clone().count().saturating_sub(number);
            let lines: Vec<_> = of_this_life
                .skip(skipped)
                .map(|line| line.text.as_str())
                .collect();
            lines.join("\n")
        })
    }

    /// The agent has come into a state.
    pub(super) fn enter(&self, phase: Phase, detail: impl Into<String>) {
        let mut state = self.state.borrow().clone();
        if phase == Phase::Starting {
            state.starts += 1;
            self.with(|kept| kept.started = Some(Timestamp::now()));
        }
        state.phase = phase;
        state.detail = detail.into();
        if *self.state.borrow() != state {
            self.state.send_replace(state.clone());
            self.tell(Event::State(state));
        }
    }

    /// The agent printed a line; it belongs to every request that is being served.
    pub(super) fn line(&self, stream: &'static str, line: String) {
        let line = Line {
            time: Timestamp::now(),
            stream,
            text: readable(&line),
            line,
        };
        let touched = self.with(|kept| {
            push(&mut kept.lines, line.clone(), KEPT_LINES);
            let open = kept.traces.iter_mut().filter(|trace| trace.took.is_none());
            open.filter_map(|trace| trace.step("output", &line.text))
                .collect::<Vec<_>>()
        });
        self.tell(Event::Line(line));
        touched.into_iter().for_each(|step| self.tell(step));
    }

    /// A request has arrived.
    pub(super) fn begin(&self, session: &str, request: String, known_as: String, body: &[u8]) -> u64 {
        let trace = self.with(|kept| {
            kept.next_trace += 1;
            let mut trace = Trace {
                id: kept.next_trace,
                session: session.to_owned(),
                request,
                started: Timestamp::now(),
                status: None,
                took: None,
                steps: Vec::new(),
                spans: Vec::new(),
                more: 0,
                began: Instant::now(),
                known_as,
                room: KEPT_OF_TRACE,
            };
            trace.step(
                "request",
                &String::from_utf8_lossy(&body[..body.len().min(KEPT_TEXT)]),
            );
            push(&mut kept.traces, trace.clone(), KEPT_TRACES);
            trace
        });
        let id = trace.id;
        self.tell(Event::Trace(trace));
        id
    }

    /// Something happened while a request was served.
    pub(super) fn step(&self, trace: u64, kind: &'static str, text: &str) {
        self.change(trace, |trace| trace.step(kind, text));
    }

    /// The agent's answer has begun.
    pub(super) fn answered(&self, trace: u64, status: u16, what: &str) {
        self.change(trace, |trace| {
            trace.status = Some(status);
            trace.step("answer", &format!("{status} {what}"))
        });
    }

    /// The agent says that it did something. It belongs to the request whose trace id it names; agents that begin
    /// traces of their own, to the last request that had arrived by then.
    pub(super) fn span(&self, span: Span) {
        let told = self.with(|kept| {
            let start = i128::from(span.start);
            let named = kept.traces.iter().rposition(|trace| trace.known_as == span.trace);
            let meanwhile = || {
                kept.traces
                    .iter()
                    .rposition(|trace| trace.started.as_nanosecond() <= start)
            };
            let place = named.or_else(meanwhile)?;
            kept.traces.get_mut(place)?.span(span)
        });
        if let Some(event) = told {
            self.tell(event);
        }
    }

    /// The answer is complete, or was broken off.
    pub(super) fn end(&self, trace: u64, how: &str) {
        self.change(trace, |trace| {
            if trace.took.is_some() {
                return None;
            }
            trace.step("end", how);
            trace.took = Some(trace.elapsed());
            Some(Event::Trace(trace.clone()))
        });
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Trace) -> Option<Event>) {
        let told = self.with(|kept| change(kept.traces.iter_mut().rev().find(|trace| trace.id == id)?));
        if let Some(event) = told {
            self.tell(event);
        }
    }
}

impl Trace {
    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds a span, if there is room for it.
    fn span(&mut self, span: Span) -> Option<Event> {
        if self.spans.len() >= KEPT_SPANS {
            self.more += 1;
            return None;
        }
        let [from, to] = [span.start, span.end].map(|time| milliseconds(self.started, time));
        let span = Timed { from, to, span };
        self.spans.push(span.clone());
        Some(Event::Span { trace: self.id, span })
    }

    /// Adds a step, if there is room for it.
    fn step(&mut self, kind: &'static str, text: &str) -> Option<Event> {
        if self.steps.len() >= KEPT_STEPS || self.room == 0 {
            self.more += 1;
            return None;
        }
        let text = beginning(text, KEPT_TEXT.min(self.room)).to_owned();
        self.room -= text.len();
        let at = self.elapsed();
        let step = Step { at, kind, text };
        self.steps.push(step.clone());
        Some(Event::Step { trace: self.id, step })
    }
}

/// From one time to another, which is in nanoseconds since 1970; clocks may differ a little.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn milliseconds(from: Timestamp, to: u64) -> f64 {
    let nanoseconds = i128::from(to) - from.as_nanosecond();
    (nanoseconds.max(0) as f64) / 1e6
}

/// What a line says: of a structured one its level, its message and its stack trace, of any other all of it.
fn readable(line: &str) -> String {
    let parsed = serde_json::from_str::<Value>(line).ok();
    let member = |name: &str| parsed.as_ref()?.get(name)?.as_str();
    let Some(message) = member("message").or_else(|| member("msg")) else {
        return line.to_owned();
    };
    let mut text = match member("level").or_else(|| member("severity")) {
        Some(level) => format!("{} {message}", level.to_uppercase()),
        None => message.to_owned(),
    };
    let trace = parsed.as_ref().and_then(|object| object.get("stackTrace"));
    let entries = trace.and_then(Value::as_array).into_iter().flatten();
    for entry in entries.filter_map(Value::as_str) {
        text.push('\n');
        text.push_str(entry.trim_end());
    }
    text
}

/// The beginning of a text, at most so many bytes, cut at a character's end.
fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_its_steps_and_the_output_meanwhile() {
        let journal = Journal::new();
        let (one, other) = (
            journal.begin("s", "POST /".to_owned(), "aa".to_owned(), b"{}"),
            journal.begin("t", "POST /".to_owned(), "bb".to_owned(), b""),
        );
        journal.end(other, "complete");
        journal.answered(one, 200, "text/event-stream");
        journal.line("stdout", "thinking".to_owned());
        journal.step(one, "event", &"é".repeat(KEPT_TEXT));
        journal.end(one, "complete");
        journal.end(one, "again");
        let traces = journal.traces();
        let kinds = |trace: &Trace| trace.steps.iter().map(|step| step.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&traces[0]), ["request", "answer", "output", "event", "end"]);
        assert_eq!(traces[0].steps[3].text.len(), KEPT_TEXT);
        assert_eq!(kinds(&traces[1]), ["request", "end"]);
        assert_eq!(traces[0].status, Some(200));
    }

    #[test]
    fn spans_belong_to_the_request_they_name_or_to_the_last_before_them() {
        let journal = Journal::new();
        journal.begin("s", "first".to_owned(), "aa".to_owned(), b"");
        journal.begin("s", "second".to_owned(), "bb".to_owned(), b"");
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
        let span = |trace: &str, start| Span {
            trace: trace.to_owned(),
            id: "1".to_owned(),
            parent: String::new(),
            name: trace.to_owned(),
            start,
            end: start + 2_500_000,
            failed: false,
            attributes: Vec::new(),
        };
        journal.span(span("aa", now));
        journal.span(span("of its own", now));
        journal.span(span("before everything", 5));
        let traces = journal.traces();
        let names = |trace: &Trace| {
            trace
                .spans
                .iter()
                .map(|it| it.span.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&traces[0]), ["aa"]);
        assert_eq!(names(&traces[1]), ["of its own"]);
        let timed = &traces[0].spans[0];
        assert!((timed.to - timed.from - 2.5).abs() < 0.01, "{timed:?}");
        (0..KEPT_SPANS + 5).for_each(|_| journal.span(span("aa", now)));
        assert_eq!(journal.traces()[0].spans.len(), KEPT_SPANS);
    }

    #[test]
    fn structured_lines_are_made_readable() {
        let line = r#"{"timestamp": "t", "level": "error", "message": "no", "stackTrace": ["a\n", "b"], "requestId": "r"}"#;
        assert_eq!(readable(line), "ERROR no\na\nb");
        assert_eq!(readable(r#"{"answer": 42}"#), r#"{"answer": 42}"#);
        assert_eq!(readable("plain"), "plain");
    }

    #[test]
    fn the_journal_forgets() {
        let journal = Journal::new();
        for number in 0..KEPT_LINES + 5 {
            journal.line("stdout", number.to_string());
        }
        assert_eq!(journal.lines().len(), KEPT_LINES);
        assert_eq!(journal.last_lines(2), "2003\n2004");
        journal.enter(Phase::Starting, "");
        journal.line("stdout", "anew".to_owned());
        assert_eq!(journal.last_lines(2), "anew");
        let trace = journal.begin("s", String::new(), String::new(), b"");
        (0..KEPT_STEPS + 5).for_each(|_| journal.step(trace, "event", "x"));
        assert_eq!(
            (journal.traces()[0].steps.len(), journal.traces()[0].more),
            (KEPT_STEPS, 6)
        );
    }
}
