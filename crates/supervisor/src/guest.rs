//! The host's view of one guest: its channel, requests to it, and what it reports.
//!
//! One task reads the control stream and ends with it. The guest is hostile: it can refuse, stall or lie about
//! its own agent, so every wait has an end and every text from it is cut.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_guest_proto::command::RunCommand;
use coracle_guest_proto::frame::{self, FrameError};
use coracle_guest_proto::message::{
    AgentExit, Event, GoOn, Request, Response, Resume, Resumed, StartAgent, Storage, ToGuest, ToHost,
};
use coracle_guest_proto::shell::AttachShell;
use coracle_guest_proto::{Channel, ChannelStream, HostEnd, MuxError, SHELLS_SINCE, StreamHeader};
use coracle_types::ShellId;
use tokio::io::WriteHalf;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::clock;
use crate::connection::{AgentConnection, ConnectError, DIAL_TIMEOUT};
use crate::shell::{AttachedShell, ShellError};

/// How long the guest may take to prepare its file system and start the agent's process.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the guest may take to answer what costs it nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long setting the guest's clock may take.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the guest may take to resume the agent: longer than its processes have to renew their random numbers. Where
/// the host is so short of processors that this takes long, booting another one takes longer.
const RESUME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the guest may take to catch up after its machine stood still.
const GO_ON_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections being made at once; the guest's queue of new streams is longer.
const MAX_DIALS: usize = 32;
/// How much of a text from the guest is kept, in bytes.
const MAX_TEXT: usize = 1024;

/// Why the guest did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// It said no.
    #[error("the guest refused: {0}")]
    Refused(String),
    /// It did not answer.
    #[error("the guest did not answer within {0:?}")]
    Silent(Duration),
    /// Processes of the agent still hold what every session restored from the same template does.
    #[error("{silent} of the agent's {told} Python processes did not renew their random numbers in time")]
    NotRenewed {
        /// Processes that were to renew theirs.
        told: u32,
        /// Those that did not.
        silent: u32,
    },
    /// It answered something else.
    #[error("the guest gave an answer that belongs to another request")]
    WrongAnswer,
    /// The control stream is closed.
    #[error("the guest is gone")]
    Gone,
    /// The request could not be sent.
    #[error("the request to the guest failed")]
    Send(#[source] FrameError),
}

/// A connected guest.
pub(crate) struct Guest {
    end: HostEnd,
    control: tokio::sync::Mutex<Control>,
    pending: Arc<Pending>,
    exit: watch::Receiver<Option<AgentExit>>,
    dials: Arc<Semaphore>,
}

struct Control {
    next_id: u64,
    write: WriteHalf<ChannelStream>,
}

/// Requests without an answer yet; `None` once there will be no more answers.
type Pending = Mutex<Option<HashMap<u64, oneshot::Sender<Result<Response, String>>>>>;

impl Guest {
    /// Shakes hands and opens the control stream.
    pub(crate) async fn connect(channel: impl Channel) -> Result<Self, MuxError> {
        let end = HostEnd::connect(channel, rand::random()).await?;
        let (mut read, write) = tokio::io::split(end.open(&StreamHeader::Control).await?);
        let pending: Arc<Pending> = Arc::new(Mutex::new(Some(HashMap::new())));
        let (exited, exit) = watch::channel(None);
        let answers = Arc::clone(&pending);
        tokio::spawn(async move {
            while let Ok(message) = frame::read::<ToHost>(&mut read).await {
                match message {
                    ToHost::Response { id, result } => {
                        let waiting = lock(&answers).as_mut().and_then(|pending| pending.remove(&id));
                        if let Some(waiting) = waiting {
                            // Whoever asked may have stopped waiting.
                            waiting.send(result).ok();
                        }
                    }
                    ToHost::Event {
                        event: Event::AgentExited(exit),
                    } => {
                        // The exit is repeated on each new stream; the first report stands.
                        exited.send_if_modified(|known| {
                            let news = known.is_none();
                            known.get_or_insert(exit);
                            news
                        });
                    }
                }
            }
            *lock(&answers) = None;
        });
        let control = tokio::sync::Mutex::new(Control { next_id: 1, write });
        Ok(Self {
            end,
            control,
            pending,
            exit,
            dials: Arc::new(Semaphore::new(MAX_DIALS)),
        })
    }

    /// Opens the stream of the agent's output.
    pub(crate) async fn logs(&self) -> Result<ChannelStream, MuxError> {
        self.end.open(&StreamHeader::Logs).await
    }

    /// Asks the guest and waits for the answer.
    pub(crate) async fn request(&self, request: Request, timeout: Duration) -> Result<Response, GuestError> {
        tokio::time::timeout(timeout, self.ask(request))
            .await
            .map_err(|_| GuestError::Silent(timeout))?
    }

    /// Sets the guest's wall clock to the host's, where it has one of its own. What it was set to is off by no more
    /// than [`clock::TOLERANCE`], or, on a host that is too busy for it, by as little as could be had.
    pub(crate) async fn set_clock(&self) -> Result<(), GuestError> {
        tokio::time::timeout(CLOCK_TIMEOUT, async {
            let mut step = 0;
            for _ in 0..clock::MAX_READINGS {
                let reading = self.read_clock(step).await?;
                step = match reading.judge() {
                    clock::Verdict::Right => return Ok(()),
                    clock::Verdict::Wrong { by } => by.saturating_neg(),
                    clock::Verdict::Unclear => 0,
                };
            }
            tracing::warn!("the clock of a sandbox could not be read well enough to set it precisely: this machine is overloaded");
            Ok(())
        })
        .await
        .unwrap_or(Err(GuestError::Silent(CLOCK_TIMEOUT)))
    }

    /// Moves the guest's wall clock by as many nanoseconds, and reads it.
    async fn read_clock(&self, step_nanos: i64) -> Result<clock::Reading, GuestError> {
        let asked = unix_nanos();
        let answer = self.ask(Request::Clock { step_nanos }).await?;
        let answered = unix_nanos();
        match answer {
            Response::Clock { unix_nanos: told } => Ok(clock::Reading {
                asked,
                told,
                answered,
            }),
            _ => Err(GuestError::WrongAnswer),
        }
    }

    /// Has the guest start the agent's process, at the time and with entropy of this moment.
    pub(crate) async fn start_agent(&self, mut start: StartAgent) -> Result<(), GuestError> {
        self.set_clock().await?;
        start.entropy_hex = start.entropy_hex.map(|_| entropy());
        match self
            .request(Request::Start(Box::new(start)), START_TIMEOUT)
            .await?
        {
            Response::Started { .. } => Ok(()),
            _ => Err(GuestError::WrongAnswer),
        }
    }

    /// Has the guest expect that this host leaves and that it is snapshotted then.
    pub(crate) async fn announce_snapshot(&self) -> Result<(), GuestError> {
        match self.request(Request::Snapshot, ANSWER_TIMEOUT).await? {
            Response::Done => Ok(()),
            _ => Err(GuestError::WrongAnswer),
        }
    }

    /// Has a restored guest become a sandbox of its own. One that fails is not to be used.
    pub(crate) async fn resume(
        &self,
        hostname: String,
        storage: Option<Storage>,
    ) -> Result<Resumed, GuestError> {
        self.set_clock().await?;
        let resume = Resume {
            hostname,
            entropy_hex: entropy(),
            storage,
        };
        match self.request(Request::Resume(resume), RESUME_TIMEOUT).await? {
            Response::Resumed(Resumed { told, silent, .. }) if silent > 0 => {
                Err(GuestError::NotRenewed { told, silent })
            }
            Response::Resumed(resumed) => Ok(resumed),
            _ => Err(GuestError::WrongAnswer),
        }
    }

    /// Has a guest whose machine stood still catch up, with what its session finds again if it has got that only now.
    pub(crate) async fn go_on(&self, storage: Option<Storage>) -> Result<(), GuestError> {
        let go_on = GoOn {
            entropy_hex: entropy(),
            storage,
        };
        let (clock, answer) = tokio::join!(
            self.set_clock(),
            self.request(Request::GoOn(go_on), GO_ON_TIMEOUT)
        );
        clock?;
        match answer? {
            Response::Done => Ok(()),
            _ => Err(GuestError::WrongAnswer),
        }
    }

    async fn ask(&self, request: Request) -> Result<Response, GuestError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut control = self.control.lock().await;
            let id = control.next_id;
            control.next_id += 1;
            lock(&self.pending)
                .as_mut()
                .ok_or(GuestError::Gone)?
                .insert(id, answer);
            frame::write(&mut control.write, &ToGuest { id, request })
                .await
                .map_err(GuestError::Send)?;
        }
        answered
            .await
            .map_err(|_| GuestError::Gone)?
            .map_err(|reason| GuestError::Refused(cut(reason)))
    }

    /// Begins a connection to a port of the agent.
    pub(crate) async fn dial(&self, port: u16) -> Result<AgentConnection, ConnectError> {
        tokio::time::timeout(DIAL_TIMEOUT, async {
            // The semaphore is never closed.
            let permit = Arc::clone(&self.dials).acquire_owned().await.ok();
            let stream = self.end.open(&StreamHeader::Agent { port }).await;
            Ok(AgentConnection::new(
                stream.map_err(ConnectError::Channel)?,
                permit,
            ))
        })
        .await
        .map_err(|_| ConnectError::Timeout)?
    }

    /// Has the guest run a command beside the agent.
    pub(crate) async fn run(&self, command: RunCommand) -> Result<ChannelStream, ConnectError> {
        let opened = tokio::time::timeout(DIAL_TIMEOUT, self.end.open(&StreamHeader::Command(command))).await;
        opened
            .map_err(|_| ConnectError::Timeout)?
            .map_err(ConnectError::Channel)
    }

    /// Attaches to a shell beside the agent, which is begun if need be.
    pub(crate) async fn shell(&self, id: &ShellId) -> Result<AttachedShell, ShellError> {
        if self.end.version() < SHELLS_SINCE {
            let old = "the session was started by an older server, which had no shells: stop it first";
            return Err(ShellError::Refused(old.to_owned()));
        }
        tokio::time::timeout(ANSWER_TIMEOUT, async {
            let wanted = AttachShell { id: id.to_string() };
            let stream = self.end.open(&StreamHeader::Shell(wanted)).await;
            AttachedShell::begin(stream.map_err(ConnectError::Channel)?).await
        })
        .await
        .map_err(|_| ShellError::Unreachable(ConnectError::Timeout))?
    }

    /// Waits until the agent has exited; for ever if the guest goes away without saying so.
    pub(crate) async fn exited(&self) -> AgentExit {
        let mut exit = self.exit.clone();
        let known = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        match known {
            Some(exit) => exit,
            None => std::future::pending().await,
        }
    }

    /// Resolves when the channel is closed.
    pub(crate) async fn closed(&self) {
        self.end.closed().await;
    }
}

fn unix_nanos() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn entropy() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
