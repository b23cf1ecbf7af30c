//! The guest's side of the protocol: one agent, any number of hosts one after another.
//!
//! ```text
//!  not started ──Start──▶ running ──main process ends──▶ exited
//! ```
//!
//! The agent knows nothing of hosts coming and going. A control or log stream replaces the one before it. A
//! frame that breaks the protocol ends its stream, nothing else. A start that fails is answered with the
//! reason and leaves the guest as it is: the host ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use coracle_guest_proto::frame::{self, FrameError};
use coracle_guest_proto::message::{
    AgentExit, Event, Request, Response, Resume, Resumed, StartAgent, StreamHeader, ToGuest, ToHost,
};
use coracle_guest_proto::{Channel, ChannelStream, GuestEnd, MuxError};
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::beside::Beside;
use crate::console::chain;
use crate::failure::{Doing as _, Failure};
use crate::output::OutputBuffer;
use crate::place::{Place, micros};
use crate::shells::Shells;
use crate::{agent, commands, relay};

/// How long a stream may take to say what it is for.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last output gets to be collected once the agent is dead.
const COLLECT_LIMIT: Duration = Duration::from_secs(2);
/// How long the answer to a shutdown gets to reach the host.
const FAREWELL: Duration = Duration::from_millis(200);

/// The guest of one sandbox.
#[derive(Debug)]
pub(crate) struct Guest {
    place: Place,
    output: Arc<OutputBuffer>,
    agent: watch::Sender<AgentState>,
    beside: Beside,
    shells: Shells,
    control: Replaceable,
    logs: Replaceable,
    /// Whether the host has asked for the end.
    over: watch::Sender<bool>,
    /// Whether the host has said that it leaves for a snapshot.
    snapshot_announced: AtomicBool,
}

#[derive(Debug, Clone)]
enum AgentState {
    NotStarted,
    Running(Pid),
    Exited(AgentExit),
}

/// A task of which there is one at a time.
#[derive(Debug, Default)]
struct Replaceable(Mutex<Option<AbortHandle>>);

impl Replaceable {
    fn replace(&self, task: AbortHandle) {
        let former = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(task);
        if let Some(former) = former {
            former.abort();
        }
    }
}

impl Guest {
    pub(crate) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self {
            place,
            output: OutputBuffer::new(),
            agent: watch::Sender::new(AgentState::NotStarted),
            beside: Beside::default(),
            shells: Shells::default(),
            control: Replaceable::default(),
            logs: Replaceable::default(),
            over: watch::Sender::new(false),
            snapshot_announced: AtomicBool::new(false),
        })
    }

    /// Serves one host until it goes away or asks for the end; says whether it did ask.
    pub(crate) async fn serve(self: &Arc<Self>, channel: impl Channel) -> Result<bool, MuxError> {
        let mut host = GuestEnd::accept(channel).await?;
        let mut over = self.over.subscribe();
        loop {
            tokio::select! {
                stream = host.next() => match stream {
                    Some(stream) => _ = tokio::spawn(Arc::clone(self).stream(stream)),
                    None => return Ok(*self.over.borrow()),
                },
                _ = over.wait_for(|over| *over) => {
                    // The host closes the channel when it has read the answer.
                    tokio::time::timeout(FAREWELL, host.next()).await.ok();
                    return Ok(true);
                }
            }
        }
    }

    /// Whether the host that has left said that it leaves for a snapshot. Says so once.
    pub(crate) fn take_snapshot_announced(&self) -> bool {
        self.snapshot_announced.swap(false, Ordering::Relaxed)
    }

    /// Ends the agent and everything it started, at once.
    pub(crate) async fn end(&self) {
        self.place.end_all_processes().await;
    }

    async fn stream(self: Arc<Self>, mut stream: ChannelStream) {
        let header = tokio::time::timeout(HEADER_TIMEOUT, frame::read(&mut stream)).await;
        let guest = Arc::clone(&self);
        match header {
            Ok(Ok(StreamHeader::Agent { port })) => relay::serve(stream, port).await,
            Ok(Ok(StreamHeader::Control)) => {
                let task = tokio::spawn(async move { guest.control(stream).await });
                self.control.replace(task.abort_handle());
            }
            Ok(Ok(StreamHeader::Logs)) => {
                let task = tokio::spawn(async move { guest.output.deliver(&mut stream).await });
                self.logs.replace(task.abort_handle());
            }
            Ok(Ok(StreamHeader::Command(wanted))) => {
                let confinement = self.place.confinement_beside(false);
                // A stream that fails has nobody to be told.
                commands::run(stream, &wanted, &self.beside, confinement)
                    .await
                    .ok();
            }
            Ok(Ok(StreamHeader::Shell(wanted))) => {
                let confinement = self.place.confinement_beside(true);
                let attached = self.shells.attach(stream, wanted, &self.beside, confinement);
                // The shell goes on without its host.
                attached.await.ok();
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Answers requests one after another, and tells of the agent's end whenever it comes.
    async fn control(self: Arc<Self>, stream: ChannelStream) -> Result<(), FrameError> {
        let (mut read, mut write) = tokio::io::split(stream);
        let (to_host, mut outgoing) = mpsc::channel(1);
        let answering = async {
            loop {
                let ToGuest { id, request } = frame::read(&mut read).await?;
                let last = matches!(request, Request::Shutdown { .. });
                let result = self.handle(request).await.map_err(|failure| chain(&failure));
                to_host.send((ToHost::Response { id, result }, last)).await.ok();
            }
        };
        let telling = async {
            let exit = self.exited().await;
            to_host
                .send((
                    ToHost::Event {
                        event: Event::AgentExited(exit),
                    },
                    false,
                ))
                .await
                .ok();
            std::future::pending::<Result<(), FrameError>>().await
        };
        let writing = async {
            while let Some((message, last)) = outgoing.recv().await {
                frame::write(&mut write, &message).await?;
                if last {
                    self.over.send_replace(true);
                }
            }
            Ok(())
        };
        tokio::select! {
            result = answering => result,
            result = telling => result,
            result = writing => result,
        }
    }

    async fn handle(self: &Arc<Self>, request: Request) -> Result<Response, Failure> {
        match request {
            Request::Clock { step_nanos } => {
                let unix_nanos = self.place.clock(step_nanos)?;
                Ok(Response::Clock { unix_nanos })
            }
            Request::Start(start) => self.start(&start),
            Request::Snapshot => {
                self.place.sync().await;
                self.snapshot_announced.store(true, Ordering::Relaxed);
                Ok(Response::Done)
            }
            Request::Resume(resume) => self.resume(&resume).await.map(Response::Resumed),
            Request::GoOn(go_on) => self.place.go_on(&go_on).map(|()| Response::Done),
            Request::Usage => Ok(Response::Usage(self.place.usage())),
            Request::Signal { signal } => self.signal(signal),
            Request::Shutdown { grace_millis } => {
                self.shut_down(Duration::from_millis(grace_millis)).await;
                Ok(Response::Done)
            }
        }
    }

    fn start(self: &Arc<Self>, start: &StartAgent) -> Result<Response, Failure> {
        if !matches!(*self.agent.borrow(), AgentState::NotStarted) {
            return Err(Failure::new("starting the agent", "it has been started before"));
        }
        let children = signal(SignalKind::child()).doing(|| "watching child processes".to_owned())?;
        let mut timing = self.place.prepare(start)?;
        let begun = Instant::now();
        let spawned = agent::spawn(start, self.place.confinement(start)?)?;
        self.beside.surround(start);
        let pid = spawned.pid;
        self.agent.send_replace(AgentState::Running(pid));
        tokio::spawn(Arc::clone(self).watch_agent(pid, children));
        for (output, pipe) in spawned.pipes {
            self.output
                .collect(output, pipe)
                .doing(|| "reading the agent's output".to_owned())?;
        }
        timing.spawn_micros = micros(begun.elapsed());
        Ok(Response::Started {
            pid: pid.as_raw_nonzero().get().unsigned_abs(),
            timing,
        })
    }

    /// Becomes a sandbox of its own after a restore.
    async fn resume(&self, resume: &Resume) -> Result<Resumed, Failure> {
        if !matches!(*self.agent.borrow(), AgentState::Running(_)) {
            return Err(Failure::new("resuming the agent", "it is not running"));
        }
        self.place.resume(resume).await
    }

    async fn watch_agent(self: Arc<Self>, pid: Pid, mut children: tokio::signal::unix::Signal) {
        let others = |pid, status| self.beside.reaped(pid, status);
        let status = agent::main_process_end(pid, &mut children, others).await;
        self.place.end_all_processes().await;
        self.output.collected(COLLECT_LIMIT).await;
        self.place.sync().await;
        self.agent
            .send_replace(AgentState::Exited(self.place.exit(status)));
    }

    async fn exited(&self) -> AgentExit {
        let mut agent = self.agent.subscribe();
        loop {
            if let AgentState::Exited(exit) = &*agent.borrow_and_update() {
                return exit.clone();
            }
            if agent.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn signal(&self, number: i32) -> Result<Response, Failure> {
        let doing = || format!("sending signal {number} to the agent");
        let AgentState::Running(pid) = *self.agent.borrow() else {
            return Err(Failure::new(doing(), "it is not running"));
        };
        let signal =
            Signal::from_named_raw(number).ok_or_else(|| Failure::new(doing(), "there is no such signal"))?;
        rustix::process::kill_process_group(pid, signal).doing(doing)?;
        Ok(Response::Done)
    }

    async fn shut_down(&self, grace: Duration) {
        if let AgentState::Running(pid) = *self.agent.borrow() {
            // It may have ended in this moment.
            rustix::process::kill_process_group(pid, Signal::TERM).ok();
        }
        if matches!(*self.agent.borrow(), AgentState::Running(_)) {
            tokio::time::timeout(grace, self.exited()).await.ok();
        }
        if matches!(*self.agent.borrow(), AgentState::Running(_)) {
            self.place.end_all_processes().await;
            tokio::time::timeout(COLLECT_LIMIT * 2, self.exited()).await.ok();
        }
        // Commands and shells may have outlived the agent.
        self.place.sync().await;
    }
}
