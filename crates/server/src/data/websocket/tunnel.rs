//! The two directions of an open connection, until it is closed.
//!
//! Frames pass whole, as fast as their receiver takes them: whoever does not read makes the other side wait, and
//! no more than one frame and what the sockets hold is in memory. What goes wrong ends both directions, each at the
//! end of a frame, and both parties are told in a close frame of our own:
//!
//! | What | The client is told | The agent is told |
//! |---|---|---|
//! | a close frame passes | the agent's answer, or after [`CLOSE_TIMEOUT`] its own code | as it came |
//! | the client's frame is too long, invalid, one too many | 1009, 1002, 1008 | 1001 |
//! | the agent's frame is too long, invalid | 1009, 1011 | 1009, 1002 |
//! | the client goes away, or takes nothing for too long | – | 1001 |
//! | the agent takes nothing for too long | 1011 | – |
//! | the agent goes away, or its session ends by itself | 1011 | – |
//! | the session is stopped, idle, too old | 1001 | 1001 |
//! | the connection is open for too long | 1008 | 1001 |

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tungstenite::protocol::frame::coding::CloseCode;

use super::frame::{Closing, FrameError, Frames, Party};
use crate::gateway::rate::Allowance;

/// How long the answer to a close frame may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the frame that is passing may take when everything is to end.
const LAST_FRAME: Duration = Duration::from_secs(5);
/// How long a party may take to read its close frame and go.
const FAREWELL: Duration = Duration::from_secs(5);
const IGNORED_AT_ONCE: usize = 4096;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct WebSocketLimits {
    /// Longest payload of a frame, in bytes.
    pub max_frame: u64,
    /// Frames a client may send, per second.
    pub frames_per_second: NonZeroU32,
    /// How long a connection may be open.
    pub duration: Duration,
    /// How long a client may take for one frame.
    pub client_stall: Duration,
    /// How long an agent may take for one frame.
    pub agent_stall: Duration,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// A party closed it, in its own words.
    Closed,
    /// The client went away without a word.
    ClientGone,
    /// This server closed it.
    Ended(Closing),
}

/// What has passed.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) from_client: Passings,
    pub(super) from_agent: Passings,
}

/// What has passed in one direction.
#[derive(Debug, Default)]
pub(super) struct Passings {
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Passings {
    fn count(&self, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What the tunnel asks of the session.
pub(super) trait Session: Sync {
    /// A frame passed.
    fn used(&self);
    /// Waits for the session's end.
    fn ended(&self) -> impl Future<Output = Closing> + Send;
    /// The agent closed its connection: why.
    fn why_gone(&self) -> impl Future<Output = Closing> + Send;
}

/// How a direction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Passed {
    /// With a close frame, which was passed on.
    Closed,
    /// Its sender went away.
    Gone,
    /// Its sender broke a rule.
    Broken(Closing),
    /// Its receiver went away, perhaps with a frame half written.
    Refused,
    /// Its receiver takes nothing, with a frame half written.
    Stalled,
    /// It was asked to, at the end of a frame.
    Stopped,
}

/// Why everything ends.
#[derive(Debug)]
enum Cause {
    /// The direction from this party ended.
    From(Party, Passed),
    /// It has to, for this reason.
    Over(Closing),
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    ending: Ending,
    client: Option<Closing>,
    agent: Option<Closing>,
}

/// One party's connection.
struct Side<S> {
    frames: Frames<ReadHalf<S>>,
    write: WriteHalf<S>,
    party: Party,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    fn new(stream: S, party: Party, limits: &WebSocketLimits) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            frames: Frames::new(read, party, limits.max_frame),
            write,
            party,
        }
    }

    /// Says the last word to a party that can take it, and waits for it to go: what it still sends would destroy
    /// the close frame on its way. `to_it` is how the direction to it ended.
    async fn farewell(self, to_it: &Passed, last_word: Option<Closing>) {
        if matches!(to_it, Passed::Refused | Passed::Stalled) {
            return;
        }
        let last_word = last_word.filter(|_| *to_it != Passed::Closed);
        let Self {
            frames,
            mut write,
            party,
        } = self;
        let mut read = frames.into_inner();
        let leaving = async {
            if let Some(closing) = last_word {
                write.write_all(&closing.frame_for(party)).await?;
            }
            write.shutdown().await?;
            let mut ignored = vec![0; IGNORED_AT_ONCE];
            while read.read(&mut ignored).await? > 0 {}
            std::io::Result::Ok(())
        };
        // Whoever is gone or does not go needs no goodbye.
        tokio::time::timeout(FAREWELL, leaving).await.ok();
    }
}

/// Passes frames until the connection has ended.
pub(super) async fn run<C, A, S>(
    client: C,
    agent: A,
    limits: &WebSocketLimits,
    session: &S,
    traffic: &Traffic,
) -> Ending
where
    C: AsyncRead + AsyncWrite + Unpin,
    A: AsyncRead + AsyncWrite + Unpin,
    S: Session,
{
    let mut client = Side::new(client, Party::Client, limits);
    let mut agent = Side::new(agent, Party::Agent, limits);
    let stop = CancellationToken::new();
    let (cause, inward, outward) = {
        let mut inward = Direction::new(
            Passage {
                from: &mut client.frames,
                to: &mut agent.write,
                per_second: Some(limits.frames_per_second),
                stall: limits.agent_stall,
            }
            .run(session, &traffic.from_client, &stop),
        );
        let mut outward = Direction::new(
            Passage {
                from: &mut agent.frames,
                to: &mut client.write,
                per_second: None,
                stall: limits.client_stall,
            }
            .run(session, &traffic.from_agent, &stop),
        );
        let cause = tokio::select! {
            passed = inward.ended() => Cause::From(Party::Client, passed),
            passed = outward.ended() => Cause::From(Party::Agent, passed),
            closing = session.ended() => Cause::Over(closing),
            () = tokio::time::sleep(limits.duration) => Cause::Over(Closing::new(
                CloseCode::Policy,
                format!("a connection may be open for {} seconds", limits.duration.as_secs()),
            )),
        };
        if let Cause::From(_, Passed::Closed) = cause {
            let answered = async { tokio::join!(inward.ended(), outward.ended()) };
            tokio::time::timeout(CLOSE_TIMEOUT, answered).await.ok();
        }
        stop.cancel();
        let finished = async { tokio::join!(inward.ended(), outward.ended()) };
        tokio::time::timeout(LAST_FRAME, finished).await.ok();
        (cause, inward.passed(), outward.passed())
    };
    let verdict = match cause {
        Cause::From(Party::Agent, Passed::Gone) | Cause::From(Party::Client, Passed::Refused) => {
            Verdict::over(session.why_gone().await)
        }
        Cause::From(from, passed) => Verdict::of(from, passed),
        Cause::Over(closing) => Verdict::over(closing),
    };
    tokio::join!(
        client.farewell(&outward, verdict.client),
        agent.farewell(&inward, verdict.agent),
    );
    verdict.ending
}

impl Verdict {
    fn over(closing: Closing) -> Self {
        Self {
            agent: Some(Closing::new(CloseCode::Away, closing.reason.clone())),
            client: Some(closing.clone()),
            ending: Ending::Ended(closing),
        }
    }

    /// What to do when the direction from `from` was the first to end. A close frame that was not answered is
    /// answered here.
    fn of(from: Party, passed: Passed) -> Self {
        let away = |what: &str| Some(Closing::new(CloseCode::Away, what));
        match (from, passed) {
            (_, Passed::Closed | Passed::Stopped) => {
                let done = Some(Closing::new(CloseCode::Normal, ""));
                Self {
                    ending: Ending::Closed,
                    client: done.clone(),
                    agent: done,
                }
            }
            (Party::Client, Passed::Gone | Passed::Refused) | (Party::Agent, Passed::Refused) => Self {
                ending: Ending::ClientGone,
                client: None,
                agent: away("the client went away"),
            },
            (Party::Agent, Passed::Stalled) => Self {
                ending: Ending::ClientGone,
                client: None,
                agent: away("the client takes nothing"),
            },
            (Party::Client, Passed::Stalled) => {
                Self::over(Closing::new(CloseCode::Error, "the agent takes nothing"))
            }
            (Party::Client, Passed::Broken(closing)) => Self::over(closing),
            (Party::Agent, Passed::Broken(closing)) => {
                let code = match closing.code {
                    CloseCode::Size => CloseCode::Size,
                    _ => CloseCode::Error,
                };
                let told = Closing::new(code, format!("from the agent: {}", closing.reason));
                Self {
                    ending: Ending::Ended(told.clone()),
                    client: Some(told),
                    agent: Some(closing),
                }
            }
            (Party::Agent, Passed::Gone) => Self::over(Closing::new(CloseCode::Error, "the agent went away")),
        }
    }
}

/// The way from one party to the other.
struct Passage<'a, R, W> {
    from: &'a mut Frames<R>,
    to: &'a mut W,
    per_second: Option<NonZeroU32>,
    stall: Duration,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Passage<'_, R, W> {
    /// Passes frames until one end is reached.
    async fn run(self, session: &impl Session, passed: &Passings, stop: &CancellationToken) -> Passed {
        let mut allowance = Allowance::unused(Instant::now().into_std());
        loop {
            let Some(next) = stop.run_until_cancelled(self.from.next()).await else {
                return Passed::Stopped;
            };
            let frame = match next {
                Ok(frame) => frame,
                Err(FrameError::Gone(_)) => return Passed::Gone,
                Err(FrameError::Broken(closing)) => return Passed::Broken(closing),
            };
            if let Some(per_second) = self.per_second
                && allowance.take(per_second, Instant::now().into_std()).is_err()
            {
                let reason = format!("more than {per_second} frames per second");
                return Passed::Broken(Closing::new(CloseCode::Policy, reason));
            }
            passed.count(frame.bytes.len());
            session.used();
            let has_more = self.from.has_more();
            let written = async {
                self.to.write_all(&frame.bytes).await?;
                if has_more { Ok(()) } else { self.to.flush().await }
            };
            match tokio::time::timeout(self.stall, written).await {
                Ok(Ok(())) if frame.is_close => return Passed::Closed,
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Passed::Refused,
                Err(_) => return Passed::Stalled,
            }
        }
    }
}

/// A direction under way, and how it ended once it has.
struct Direction<F> {
    running: Pin<Box<F>>,
    passed: Option<Passed>,
}

impl<F: Future<Output = Passed>> Direction<F> {
    fn new(running: F) -> Self {
        Self {
            running: Box::pin(running),
            passed: None,
        }
    }

    /// Waits for the end, if it has not come yet.
    async fn ended(&mut self) -> Passed {
        if let Some(passed) = &self.passed {
            return passed.clone();
        }
        let passed = self.running.as_mut().await;
        self.passed.insert(passed).clone()
    }

    /// How it ended; one that is given up is stuck in the middle of a frame.
    fn passed(self) -> Passed {
        self.passed.unwrap_or(Passed::Stalled)
    }
}

#[cfg(test)]
mod tests;
