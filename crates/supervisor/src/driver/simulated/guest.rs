//! The guest program of a simulated sandbox: the protocol's other end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_guest_proto::command::{self, CommandEnd, CommandEvent, RunCommand};
use coracle_guest_proto::frame;
use coracle_guest_proto::log::{self, LogRecord, Output};
use coracle_guest_proto::message::{
    AgentExit, Dialed, Event, Request, Response, StartAgent, StartTiming, ToGuest, ToHost, Usage,
};
use coracle_guest_proto::shell::{Attached, FromShell, ToShell};
use coracle_guest_proto::{ChannelStream, GuestEnd, StreamHeader};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::agent::Agent;
use super::cable::Cable;
use super::{slowness, start_wish};
use crate::driver::Identity;

/// Pieces of output waiting for the host.
const LOG_QUEUE: usize = 64;
/// The agent's pretended process id.
const AGENT_PID: u32 = 2;

/// What the agent's process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Process {
    /// Not started, or not listening yet.
    NotListening,
    /// Accepting connections.
    Listening,
    /// Over.
    Exited(AgentExit),
}

/// The simulated machine, as its agent sees it.
pub(super) struct World {
    process: watch::Sender<Process>,
    output: Mutex<Option<mpsc::Sender<LogRecord>>>,
    power: CancellationToken,
    /// Processor time the agent says it has used, in milliseconds.
    pub(super) burned: AtomicU64,
    /// Being told to shut down does not end it.
    pub(super) lingers: AtomicBool,
    /// What its session acts as.
    pub(super) identity: Mutex<Option<Arc<dyn Identity>>>,
}

impl World {
    /// Writes a line to the agent's standard output; waits while the host reads slowly.
    pub(super) async fn print(&self, text: &str) {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(output) = output else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        for piece in format!("{text}\n").into_bytes().chunks(log::MAX_PIECE) {
            let bytes = bytes::Bytes::copy_from_slice(piece);
            // Without a reader the output goes nowhere.
            output
                .send(LogRecord {
                    output: Output::Stdout,
                    unix_millis,
                    bytes,
                })
                .await
                .ok();
        }
    }

    /// The agent's process accepts connections from now on, unless it has ended.
    fn listen(&self) {
        self.process.send_if_modified(|process| {
            let starting = *process == Process::NotListening;
            if starting {
                *process = Process::Listening;
            }
            starting
        });
    }

    /// Ends the agent's process. Its output ends with it.
    pub(super) fn exit(&self, code: Option<i32>, signal: Option<i32>) {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.process.send_if_modified(|process| {
            let running = !matches!(process, Process::Exited(_));
            if running {
                *process = Process::Exited(AgentExit {
                    code,
                    signal,
                    out_of_memory: false,
                });
            }
            running
        });
    }

    /// Ends the sandbox.
    pub(super) fn power_off(&self) {
        self.power.cancel();
    }

    /// Waits until the sandbox has ended.
    pub(super) fn powered_off(&self) -> WaitForCancellationFutureOwned {
        self.power.clone().cancelled_owned()
    }

    /// Waits until the agent's process is over.
    pub(super) async fn exited(&self) -> AgentExit {
        let mut process = self.process.subscribe();
        loop {
            if let Process::Exited(exit) = &*process.borrow_and_update() {
                return exit.clone();
            }
            if process.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// What stays when hosts come and go.
pub(super) struct Sandbox {
    world: Arc<World>,
    agent: Arc<Agent>,
    port: u16,
    records: Arc<tokio::sync::Mutex<mpsc::Receiver<LogRecord>>>,
}

impl Sandbox {
    pub(super) fn new(port: u16, power: CancellationToken) -> Self {
        let (output, records) = mpsc::channel(LOG_QUEUE);
        let world = Arc::new(World {
            process: watch::Sender::new(Process::NotListening),
            output: Mutex::new(Some(output)),
            power,
            burned: AtomicU64::new(0),
            lingers: AtomicBool::new(false),
            identity: Mutex::default(),
        });
        Self {
            agent: Arc::new(Agent::new(Arc::clone(&world))),
            world,
            port,
            records: Arc::new(tokio::sync::Mutex::new(records)),
        }
    }

    /// It has a session that acts as this.
    pub(super) fn is_now(&self, identity: Arc<dyn Identity>) {
        *self.world.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    /// Processor time the agent says it has used.
    pub(super) fn cpu_time(&self) -> Duration {
        Duration::from_millis(self.world.burned.load(Ordering::SeqCst))
    }

    /// The agent says from now on that it is busy.
    pub(super) fn becomes_busy(&self) {
        self.agent.answer_pings_with(200, "HealthyBusy");
    }
}

/// Runs until the channel closes.
pub(super) async fn run(cable: Cable, sandbox: &Sandbox) {
    let Ok(mut end) = GuestEnd::accept(cable).await else {
        return;
    };
    let Sandbox {
        world,
        agent,
        port,
        records,
    } = sandbox;
    let mut streams = JoinSet::new();
    loop {
        let mut stream = tokio::select! {
            stream = end.next() => match stream {
                Some(stream) => stream,
                // Its streams have gone with it.
                None => return,
            },
            Some(_) = streams.join_next() => continue,
        };
        let (world, agent) = (Arc::clone(world), Arc::clone(agent));
        let Ok(header) = frame::read(&mut stream).await else {
            continue;
        };
        match header {
            StreamHeader::Control => streams.spawn(serve_control(stream, world, agent)),
            StreamHeader::Logs => streams.spawn(serve_logs(stream, Arc::clone(records))),
            StreamHeader::Agent { port: wanted } => {
                streams.spawn(serve_agent(stream, wanted == *port, world, agent))
            }
            StreamHeader::Command(wanted) => streams.spawn(serve_command(stream, wanted)),
            StreamHeader::Shell(_) => streams.spawn(serve_shell(stream)),
        };
    }
}

/// Runs no code: the command's text is its output, and it succeeds.
async fn serve_command(mut stream: ChannelStream, wanted: RunCommand) {
    let text = bytes::Bytes::from(wanted.command);
    let mut events: Vec<_> = (0..text.len())
        .step_by(command::MAX_PIECE)
        .map(|start| text.slice(start..text.len().min(start + command::MAX_PIECE)))
        .map(CommandEvent::Stdout)
        .collect();
    events.push(CommandEvent::Ended(CommandEnd::Exited { code: 0 }));
    for event in events {
        if command::write(&mut stream, &event).await.is_err() {
            return;
        }
    }
    // The host may be gone already.
    stream.shutdown().await.ok();
}

/// Runs no code: what is typed is what is seen, and so are sizes, until it is hung up.
async fn serve_shell(mut stream: ChannelStream) {
    let mut event = FromShell::Attached(Attached::default());
    while event.write(&mut stream).await.is_ok() {
        event = match ToShell::read(&mut stream).await {
            Ok(ToShell::Input(keys)) => FromShell::Output(keys),
            Ok(ToShell::Resize(size)) => {
                FromShell::Output(format!("{} x {}\n", size.columns, size.rows).into())
            }
            Ok(ToShell::HangUp) => FromShell::Ended(CommandEnd::Killed { signal: 1 }),
            Err(_) => return,
        };
    }
}

async fn serve_control(stream: ChannelStream, world: Arc<World>, agent: Arc<Agent>) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut reported = false;
    let (requests, mut received) = mpsc::channel(1);
    let reading = async move {
        while let Ok(request) = frame::read::<ToGuest>(&mut read).await {
            if requests.send(request).await.is_err() {
                return;
            }
        }
    };
    let answering = async move {
        loop {
            let message = tokio::select! {
                Some(ToGuest { id, request }) = received.recv() => {
                    let result = obey(request, &world, &agent).await;
                    ToHost::Response { id, result }
                }
                exit = world.exited(), if !reported => {
                    reported = true;
                    ToHost::Event { event: Event::AgentExited(exit) }
                }
                else => return,
            };
            if frame::write(&mut write, &message).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, answering);
}

async fn obey(request: Request, world: &Arc<World>, agent: &Arc<Agent>) -> Result<Response, String> {
    match request {
        Request::Clock { .. } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let unix_nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
            Ok(Response::Clock { unix_nanos })
        }
        Request::Start(start) => {
            start_agent(*start, world, agent).await?;
            Ok(Response::Started {
                pid: AGENT_PID,
                timing: StartTiming::default(),
            })
        }
        Request::Signal { signal } => {
            world.exit(None, Some(signal));
            Ok(Response::Done)
        }
        Request::Shutdown { .. } if world.lingers.load(Ordering::SeqCst) => Ok(Response::Done),
        Request::Shutdown { .. } => {
            world.exit(None, Some(15));
            let world = Arc::clone(world);
            // The answer and the exit must get through before the power goes.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                world.power_off();
            });
            Ok(Response::Done)
        }
        Request::Resume(_) => Err("a simulated sandbox is never restored".to_owned()),
        Request::Snapshot | Request::GoOn(_) => Ok(Response::Done),
        Request::Usage => Ok(Response::Usage(Usage::default())),
    }
}

async fn start_agent(start: StartAgent, world: &Arc<World>, agent: &Arc<Agent>) -> Result<(), String> {
    let wish = start_wish(&start.environment);
    if wish == "refuse" {
        return Err("the simulation was asked to refuse".to_owned());
    }
    if let Some(line) = start.environment.get("SIMULATED_PRINT") {
        world.print(line).await;
    }
    if let Some(code) = wish.strip_prefix("exit:") {
        world.exit(code.parse().ok(), None);
        return Ok(());
    }
    match wish {
        "never-healthy" => agent.answer_pings_with(503, "Unhealthy"),
        "silent" => agent.ignore_pings(),
        _ => {}
    }
    let slowness = slowness(wish).unwrap_or_default();
    let world = Arc::clone(world);
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(slowness) => world.listen(),
            () = world.power.cancelled() => {}
        }
    });
    Ok(())
}

async fn serve_logs(mut stream: ChannelStream, records: Arc<tokio::sync::Mutex<mpsc::Receiver<LogRecord>>>) {
    let mut records = records.lock().await;
    while let Some(record) = records.recv().await {
        if log::write(&mut stream, &record).await.is_err() {
            return;
        }
    }
    // The host sees the end of the output; if it is gone there is nobody to tell.
    stream.shutdown().await.ok();
}

async fn serve_agent(mut stream: ChannelStream, right_port: bool, world: Arc<World>, agent: Arc<Agent>) {
    if !right_port || *world.process.borrow() != Process::Listening {
        let refused = Dialed::Refused {
            reason: "connection refused".to_owned(),
        };
        // A host that has gone needs no answer.
        frame::write(&mut stream, &refused).await.ok();
        return;
    }
    if frame::write(&mut stream, &Dialed::Connected).await.is_ok() {
        tokio::select! {
            () = agent.serve(stream) => {}
            _ = world.exited() => {}
        }
    }
}
