//! One shell: its process, its terminal, and the host that is attached to it.

use std::process::Stdio;
use std::time::Duration;

use coracle_guest_proto::ChannelStream;
use coracle_guest_proto::command::CommandEnd;
use coracle_guest_proto::frame::FrameError;
use coracle_guest_proto::shell::{Attached, FromShell, ToShell};
use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{oneshot, watch};

use super::backlog::Backlog;
use super::terminal::Terminal;
use crate::beside::{self, Beside, Started};
use crate::confine::Confinement;
use crate::failure::{Doing as _, Failure};

/// What programs are told about the terminal at the other end: nearly all understand this much.
const TERMINAL_KIND: &str = "xterm-256color";
/// How long a shell waits for somebody to attach before it is ended.
const ABANDONED: Duration = Duration::from_secs(15 * 60);
/// How long a shell may take to end once it was hung up.
const HANG_UP_LIMIT: Duration = Duration::from_secs(2);
/// How long the terminal may stay open once the shell has ended: what it left running may hold it.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// How long the host before may take to be told that it was replaced.
const REPLACEMENT_LIMIT: Duration = Duration::from_secs(1);

/// A shell that may be attached to.
#[derive(Debug)]
pub(super) struct Shell {
    terminal: Terminal,
    pid: Pid,
    backlog: Backlog,
    end: watch::Sender<Option<CommandEnd>>,
    hung_up: watch::Sender<bool>,
    /// The number of the host that attached last.
    newest: watch::Sender<u64>,
    /// Held by the host that is attached.
    seat: tokio::sync::Mutex<()>,
}

/// Tells the backlog when nobody listens any more.
struct Listener<'a>(&'a Backlog);

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.detach();
    }
}

impl Shell {
    /// Starts a shell; [`Shell::live`] wants the news of its end.
    pub(super) fn begin(
        beside: &Beside,
        confinement: Confinement,
    ) -> Result<(Self, oneshot::Receiver<WaitStatus>), Failure> {
        let starting = || "opening a shell".to_owned();
        let (terminal, programs) = Terminal::open().doing(starting)?;
        let another = || programs.try_clone().doing(starting);
        let mut command = beside.interpreter(starting)?;
        command
            .env("TERM", TERMINAL_KIND)
            .stdin(Stdio::from(another()?))
            .stdout(Stdio::from(another()?))
            .stderr(Stdio::from(another()?));
        confinement.apply_to(&mut command);
        let Started { pid, ended, .. } = beside.spawn(&mut command).doing(starting)?;
        let shell = Self {
            terminal,
            pid,
            backlog: Backlog::new(),
            end: watch::Sender::new(None),
            hung_up: watch::Sender::new(false),
            newest: watch::Sender::new(0),
            seat: tokio::sync::Mutex::default(),
        };
        Ok((shell, ended))
    }

    /// Collects what is written until the shell has ended, by itself or because it has to.
    pub(super) async fn live(&self, ended: oneshot::Receiver<WaitStatus>) -> CommandEnd {
        let ending = self.ending(ended);
        tokio::pin!(ending);
        let end = tokio::select! {
            end = &mut ending => end,
            () = self.collect() => ending.await,
        };
        tokio::time::timeout(LAST_OUTPUT, self.collect()).await.ok();
        end
    }

    /// Tells whoever is attached of the end.
    pub(super) fn finish(&self, end: CommandEnd) {
        self.end.send_replace(Some(end));
        self.backlog.finish();
    }

    async fn collect(&self) {
        loop {
            self.backlog.room().await;
            let Some(output) = self.terminal.read().await else {
                return;
            };
            self.backlog.push(&output);
        }
    }

    async fn ending(&self, mut ended: oneshot::Receiver<WaitStatus>) -> CommandEnd {
        let mut hung_up = self.hung_up.subscribe();
        tokio::select! {
            status = &mut ended => return beside::end(status.ok()),
            _ = hung_up.wait_for(|hung_up| *hung_up) => {}
            () = self.abandoned() => {}
        }
        // A stopped shell hears of nothing else.
        self.signal(Signal::HUP);
        self.signal(Signal::CONT);
        if let Ok(status) = tokio::time::timeout(HANG_UP_LIMIT, &mut ended).await {
            return beside::end(status.ok());
        }
        self.signal(Signal::KILL);
        beside::end(ended.await.ok())
    }

    /// Waits until nobody has been attached for too long.
    async fn abandoned(&self) {
        loop {
            self.backlog.listening(false).await;
            let somebody = self.backlog.listening(true);
            if tokio::time::timeout(ABANDONED, somebody).await.is_err() {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // There may be nobody left in its group.
        rustix::process::kill_process_group(self.pid, signal).ok();
    }

    /// Attaches a host until it leaves, another one comes, or the shell ends.
    pub(super) async fn serve(&self, stream: ChannelStream, reconnected: bool) -> Result<(), FrameError> {
        let (read, mut write) = tokio::io::split(stream);
        let mut mine = 0;
        self.newest.send_modify(|newest| {
            *newest += 1;
            mine = *newest;
        });
        let _seat = self.seat.lock().await;
        let bytes_dropped = self.backlog.attach();
        let _listener = Listener(&self.backlog);
        let attached = Attached {
            reconnected,
            bytes_dropped,
        };
        FromShell::Attached(attached).write(&mut write).await?;
        tokio::select! {
            delivered = self.deliver(&mut write, mine) => delivered,
            received = self.receive(read) => received,
        }
    }

    async fn deliver(&self, write: &mut WriteHalf<ChannelStream>, mine: u64) -> Result<(), FrameError> {
        loop {
            let output = tokio::select! {
                biased;
                () = self.replaced(mine) => {
                    let telling = last(write, &FromShell::Replaced);
                    return tokio::time::timeout(REPLACEMENT_LIMIT, telling).await.unwrap_or(Ok(()));
                }
                output = self.backlog.next() => output,
            };
            let Some(output) = output else {
                let end = self.end.borrow().clone();
                return last(write, &FromShell::Ended(end.unwrap_or_else(|| beside::end(None)))).await;
            };
            let length = output.len();
            let event = FromShell::Output(output);
            let replaced_long_ago = async {
                self.replaced(mine).await;
                tokio::time::sleep(REPLACEMENT_LIMIT).await;
            };
            tokio::select! {
                written = event.write(write) => written?,
                // It does not read, so it cannot be told either.
                () = replaced_long_ago => return Ok(()),
            }
            self.backlog.delivered(length);
        }
    }

    async fn receive(&self, mut read: ReadHalf<ChannelStream>) -> Result<(), FrameError> {
        loop {
            match ToShell::read(&mut read).await {
                // A terminal that is closed belongs to a shell that has ended, of which the host will hear.
                Ok(ToShell::Input(keys)) => _ = self.terminal.write(&keys).await,
                Ok(ToShell::Resize(size)) => _ = self.terminal.resize(size),
                Ok(ToShell::HangUp) => _ = self.hung_up.send_replace(true),
                Err(FrameError::Ended) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until another host has attached.
    async fn replaced(&self, mine: u64) {
        let mut newest = self.newest.subscribe();
        if newest.wait_for(|newest| *newest != mine).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn last(write: &mut WriteHalf<ChannelStream>, event: &FromShell) -> Result<(), FrameError> {
    event.write(write).await?;
    write.shutdown().await.map_err(FrameError::Io)
}
