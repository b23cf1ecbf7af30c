//! One QEMU process, from its start to its end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use coracle_types::SandboxId;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::cgroup;
use crate::config::{
    CHANNEL_ID, CHANNEL_SOCKET, CONSOLE_SOCKET, Disk, MachineConfig, NETWORK_SOCKET, QMP_SOCKET,
};
use crate::emulation::timer_error;
use crate::jail::{self, Jail, Started};
use crate::own_pages;
use crate::process::Process;
use crate::procfs::{self, MemoryMap};
use crate::qmp::{Event, Qmp, QmpError};
use crate::record::Record;
use crate::remove::{in_background, remove_tree};
use crate::run_folder::RunFolder;
use crate::snapshot::{self, MAX_STATE, SnapshotError};
use crate::tail::Tail;
use crate::turns::Turns;

/// The state of a hibernated machine's devices, in its folder.
pub const HIBERNATED_STATE: &str = "state";
/// The pages of memory that are a hibernated machine's own, in its folder.
pub const HIBERNATED_PAGES: &str = "pages";
/// How long QEMU may take until its sockets are there.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last output of an ended machine gets to arrive.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a machine that failed may take to turn out to have ended.
const END_TIMEOUT: Duration = Duration::from_millis(500);
/// How often the console is looked at while something is awaited there.
const CONSOLE_LOOK: Duration = Duration::from_millis(5);
/// Lines of the console in a report.
const REPORTED_LINES: usize = 20;

/// Why a machine did not come up.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// The program could not be started.
    #[error("{} could not be started", program.display())]
    Spawn {
        /// The QEMU program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The machine's folder could not be used.
    #[error("the machine's folder could not be used")]
    Folder(#[source] io::Error),
    /// A socket of QEMU could not be connected to.
    #[error("QEMU's socket {socket} could not be connected to")]
    Connect {
        /// The socket's name.
        socket: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The monitor failed.
    #[error("QEMU's monitor failed")]
    Monitor(#[from] QmpError),
    /// The machine could not be saved or restored.
    #[error("the machine's snapshot failed")]
    Snapshot(#[from] SnapshotError),
    /// The machine's own pages of memory could not be read or written.
    #[error("the machine's memory could not be saved or loaded")]
    Memory(#[source] io::Error),
    /// The machine ended while it was being started.
    #[error("the machine ended early: {0}")]
    Ended(String),
    /// The guest did not write on its console what it should have.
    #[error("the guest did not say {awaited:?} within {limit:?}; its console: {console}")]
    Silent {
        /// What it should have written.
        awaited: String,
        /// The time it had.
        limit: Duration,
        /// The last lines of its console.
        console: String,
    },
    /// The guest did not come up in time.
    #[error(
        "the guest did not open its channel within {limit:?}; its machine has used {used:?} of processor time; \
         its console: {console}"
    )]
    Timeout {
        /// The time it had.
        limit: Duration,
        /// The processor time of its machine: little, if the host was too busy for it or it waited for something.
        used: Duration,
        /// The last lines of its console.
        console: String,
    },
    /// The emulated guest's kernel misjudged its timer, for the processor was taken from it meanwhile. Another one may
    /// do better.
    #[error("the guest's kernel misjudged the rate of its timer by {:.0} %", error * 100.0)]
    Timer {
        /// A part of the rate: late timers are above zero, early ones or none at all below.
        error: f64,
    },
}

/// A running machine. Dropping it kills it and removes its folder, unless it is [left](Vm::leave).
#[derive(Debug)]
pub struct Vm {
    process: Process,
    pid: u32,
    folder: PathBuf,
    /// The file that its own pages of memory lie over, if it was restored.
    original: Option<PathBuf>,
    sockets: RunFolder,
    /// Its control groups.
    groups: Vec<PathBuf>,
    /// Whether it goes first when processors are short.
    turns: Turns,
    /// What the guest writes to its serial console.
    console: Tail,
    /// What QEMU itself has to say.
    complaints: Tail,
    readers: Vec<JoinHandle<()>>,
    end: Option<String>,
    /// Whether nothing is left of it. Its folder may then be another machine's.
    is_removed: bool,
}

impl Vm {
    /// Starts a machine in its folder, which belongs to it from now on.
    ///
    /// # Errors
    /// When QEMU does not start; nothing is left of it then.
    pub async fn spawn(config: &MachineConfig, jail: &Jail, folder: &Path) -> Result<Self, VmError> {
        let prepared = {
            let (jail, config, folder) = (jail.clone(), config.clone(), folder.to_owned());
            tokio::task::spawn_blocking(move || jail.prepare(&config.start(), &folder)).await
        };
        let prepared = prepared
            .map_err(io::Error::from)
            .flatten()
            .map_err(VmError::Folder)?;
        let sockets = RunFolder::open(folder).map_err(VmError::Folder)?;
        let started = prepared.spawn().await.map_err(|source| VmError::Spawn {
            program: config.qemu.clone(),
            source,
        })?;
        let Started { mut process, groups } = started;
        let complaints = Tail::default();
        let readers = process
            .stderr()
            .map(|stderr| complaints.collect(stderr))
            .into_iter()
            .collect();
        let pid = process.id().unwrap_or_default();
        let (console, folder) = (Tail::default(), folder.to_owned());
        let groups = groups.keep();
        let mut vm = Self {
            process,
            pid,
            folder,
            original: config.memory.original().map(Path::to_owned),
            sockets,
            turns: Turns::of(pid, &groups),
            groups,
            console,
            complaints,
            readers,
            end: None,
            is_removed: false,
        };
        let begun = async {
            vm.keep_record(config.sandbox).await.map_err(VmError::Folder)?;
            vm.listen().await
        };
        let begun = begun.await;
        vm.once_up(begun).await
    }

    /// Takes over the machine that an earlier server left running in this folder. It goes on even if it was stopped.
    ///
    /// # Errors
    /// When it has ended or does not answer; nothing is left of it then.
    pub async fn adopt(folder: &Path) -> Result<Self, VmError> {
        let gone = || VmError::Ended("nothing is known of how: an earlier server had started it".to_owned());
        let record = Record::read(folder).ok_or_else(gone)?;
        let process = Process::adopt(&record).map_err(VmError::Folder)?;
        let process = process.ok_or_else(gone)?;
        let sockets = RunFolder::open(folder).map_err(VmError::Folder)?;
        let mut vm = Self {
            process,
            pid: record.pid,
            folder: folder.to_owned(),
            original: record.original.filter(|original| original.exists()),
            sockets,
            turns: Turns::of(record.pid, &record.groups),
            groups: record.groups,
            console: Tail::default(),
            complaints: Tail::default(),
            readers: Vec::new(),
            end: None,
            is_removed: false,
        };
        let resumed = async {
            vm.listen().await?;
            vm.go_on().await
        };
        let resumed = resumed.await;
        vm.once_up(resumed).await
    }

    /// This machine, if it came up. Else nothing is left of it.
    async fn once_up(mut self, came_up: Result<(), VmError>) -> Result<Self, VmError> {
        if came_up.is_err() {
            self.destroy().await;
        }
        came_up.map(|()| self)
    }

    /// Notes in its folder what later servers must know of it.
    async fn keep_record(&self, sandbox: SandboxId) -> io::Result<()> {
        let record = Record {
            original: self.original.clone(),
            groups: self.groups.clone(),
            ..Record::of(sandbox, self.pid)?
        };
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || record.write(&folder)).await;
        written.map_err(io::Error::from).flatten()
    }

    /// Reads its console from now on.
    async fn listen(&mut self) -> Result<(), VmError> {
        let console = self.connect(CONSOLE_SOCKET).await?;
        self.readers.push(self.console.collect(console));
        Ok(())
    }

    /// Has the machine outlive this server, for a later one to [adopt](Vm::adopt).
    pub fn leave(&mut self) {
        self.process.leave(true);
    }

    /// Waits until the guest has opened the channel and returns the host's end of it.
    ///
    /// # Errors
    /// When the machine ends first, or the guest takes longer than `limit`.
    pub async fn channel(&mut self, limit: Duration) -> Result<UnixStream, VmError> {
        let channel = self.connect(CHANNEL_SOCKET).await?;
        let mut monitor = self.monitor().await?;
        let opened = tokio::select! {
            opened = tokio::time::timeout(limit, channel_opened(&mut monitor)) => opened,
            // A machine that ends closes its monitor first, so this side may lose the race.
            _ = self.process.wait() => return Err(VmError::Ended(self.ended().await)),
        };
        match opened {
            Ok(Ok(())) => {
                // QEMU has made all its sockets, also that for the state it was restored from.
                self.sockets.seal().map_err(VmError::Folder)?;
                Ok(channel)
            }
            Ok(Err(QmpError::Closed | QmpError::Io(_))) => Err(VmError::Ended(self.ended().await)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(VmError::Timeout {
                limit,
                used: self.cpu_time(),
                console: self.console.lines(REPORTED_LINES).join(" | "),
            }),
        }
    }

    /// As [`Vm::channel`], for a guest that boots.
    ///
    /// # Errors
    /// Also when its kernel misjudges its timer by more than this part of its rate, and then at once.
    pub async fn booted(&mut self, limit: Duration, tolerance: f64) -> Result<UnixStream, VmError> {
        let console = self.console.clone();
        let judged = async {
            loop {
                if let Some(error) = misjudged(&console, tolerance) {
                    return error;
                }
                tokio::time::sleep(CONSOLE_LOOK).await;
            }
        };
        let opened = tokio::select! {
            opened = self.channel(limit) => opened?,
            error = judged => return Err(error),
        };
        // On a busy host it may be read only now.
        misjudged(&console, tolerance).map_or(Ok(opened), Err)
    }

    /// Plugs into the network card's cable: each frame follows its length in four big-endian bytes. A later connection
    /// can take the place of one that is closed.
    ///
    /// # Errors
    /// When the machine ends first, or has no card.
    pub async fn network(&mut self) -> Result<UnixStream, VmError> {
        let mut monitor = self.monitor().await?;
        let cable = self.connect(NETWORK_SOCKET).await?;
        match tokio::time::timeout(SOCKET_TIMEOUT, plugged_in(&mut monitor)).await {
            Ok(Ok(())) => Ok(cable),
            Ok(Err(error)) => Err(self.why(error.into()).await),
            Err(_) => Err(VmError::Connect {
                socket: NETWORK_SOCKET,
                source: io::ErrorKind::TimedOut.into(),
            }),
        }
    }

    /// Connects to the monitor, which serves one connection at a time.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub async fn monitor(&mut self) -> Result<Qmp<UnixStream>, VmError> {
        let socket = self.connect(QMP_SOCKET).await?;
        match Qmp::connect(socket).await {
            Ok(monitor) => Ok(monitor),
            Err(error) => Err(self.why(error.into()).await),
        }
    }

    /// Stops the machine for good and returns the state of its devices. With that, the file of its memory and
    /// its disks as they are now, others can go on from here.
    ///
    /// # Errors
    /// When QEMU fails; the machine is then to be destroyed.
    pub async fn save(&mut self) -> Result<Vec<u8>, VmError> {
        let mut monitor = self.monitor().await?;
        match snapshot::save(&mut monitor, &self.sockets).await {
            Ok(state) => Ok(state),
            Err(error) => Err(self.why(error.into()).await),
        }
    }

    /// Has a machine with restored memory go on from this state of its devices.
    ///
    /// # Errors
    /// When QEMU does not accept the state; the machine is then to be destroyed.
    pub async fn restore(&mut self, state: &[u8]) -> Result<(), VmError> {
        let monitor = self.monitor().await?;
        self.take_in(monitor, state).await
    }

    async fn take_in(&mut self, mut monitor: Qmp<UnixStream>, state: &[u8]) -> Result<(), VmError> {
        match snapshot::restore(&mut monitor, &self.sockets, state).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.why(error.into()).await),
        }
    }

    /// What is behind a failure: a machine that ends closes its sockets first, so that is what is noticed first.
    async fn why(&mut self, noticed: VmError) -> VmError {
        match tokio::time::timeout(END_TIMEOUT, self.process.wait()).await {
            Ok(_) => VmError::Ended(self.ended().await),
            Err(_) => noticed,
        }
    }

    /// Stops the machine's processors where they are.
    ///
    /// # Errors
    /// When QEMU does not obey.
    pub async fn pause(&mut self) -> Result<(), VmError> {
        self.execute("stop").await
    }

    /// Lets the processors of a paused machine go on.
    ///
    /// # Errors
    /// When QEMU does not obey.
    pub async fn go_on(&mut self) -> Result<(), VmError> {
        self.execute("cont").await
    }

    async fn execute(&mut self, command: &str) -> Result<(), VmError> {
        let mut monitor = self.monitor().await?;
        monitor.execute(command, json!({})).await?;
        Ok(())
    }

    /// Puts this image in the place of another of the same size that the machine has under the same serial number, and
    /// that nobody in the guest uses. Once for each machine.
    ///
    /// # Errors
    /// When QEMU refuses it, also because another machine has it; the machine is then to be destroyed.
    pub async fn replace_disk(&mut self, image: &Disk) -> Result<(), VmError> {
        let (machine, path) = (self.folder.clone(), image.path.clone());
        let shown = tokio::task::spawn_blocking(move || jail::show(&path, &machine)).await;
        let image = Disk {
            path: shown
                .map_err(io::Error::from)
                .flatten()
                .map_err(VmError::Folder)?,
            ..image.clone()
        };
        let mut monitor = self.monitor().await?;
        for (command, arguments) in image.replacement() {
            monitor.execute(command, arguments).await?;
        }
        Ok(())
    }

    /// Stops a restored machine for good. In its folder are then [`HIBERNATED_STATE`] and [`HIBERNATED_PAGES`]; with
    /// them, its disks and the file it was restored from, another can go on from here.
    ///
    /// # Errors
    /// When QEMU or the disk fails, or the machine was not restored; it is then to be destroyed.
    pub async fn hibernate(&mut self) -> Result<(), VmError> {
        let no_original = || VmError::Memory(io::Error::other("the machine was not restored"));
        let original = self.original.clone().ok_or_else(no_original)?;
        let mut monitor = self.monitor().await?;
        monitor.execute("stop", json!({})).await?;
        self.sockets.offer(HIBERNATED_STATE).map_err(VmError::Folder)?;
        // Named after those it was made for. Unlike a migration it leaves memory out, of which all is private here.
        let arguments = json!({"filename": HIBERNATED_STATE, "live": false});
        monitor.execute("xen-save-devices-state", arguments).await?;
        let (pid, folder) = (self.pid, self.folder.clone());
        memory_work(move || {
            let state = RunFolder::open(&folder)?.read(HIBERNATED_STATE, MAX_STATE)?;
            std::fs::write(folder.join(HIBERNATED_STATE), state)?;
            own_pages::save(pid, &original, &File::create(folder.join(HIBERNATED_PAGES))?)
        })
        .await
    }

    /// Has a machine with [`Memory::Woken`](crate::Memory::Woken) go on from what [`Vm::hibernate`] left.
    ///
    /// # Errors
    /// When QEMU does not accept it, or it is damaged; the machine is then to be destroyed.
    pub async fn wake(&mut self, state: &[u8], pages: PathBuf) -> Result<(), VmError> {
        let no_original = || VmError::Memory(io::Error::other("the machine was not made to be woken"));
        let original = self.original.clone().ok_or_else(no_original)?;
        // A QEMU that answers has mapped its memory.
        let monitor = self.monitor().await?;
        let pid = self.pid;
        memory_work(move || own_pages::load(pid, &original, &File::open(pages)?)).await?;
        self.take_in(monitor, state).await
    }

    /// Waits until the machine has ended and says how, with the last lines of its console.
    pub async fn ended(&mut self) -> String {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let status = self.process.wait().await;
        for reader in &mut self.readers {
            tokio::time::timeout(OUTPUT_TIMEOUT, reader).await.ok();
        }
        self.readers.clear();
        let end = report(
            &status,
            &self.complaints.lines(REPORTED_LINES),
            &self.console.lines(REPORTED_LINES),
        );
        self.end.insert(end).clone()
    }

    /// Whether the guest has written this on its console, not too long ago.
    pub fn console_says(&self, text: &str) -> bool {
        self.console
            .lines(usize::MAX)
            .iter()
            .any(|line| line.contains(text))
    }

    /// Waits until the guest has written this on its console.
    ///
    /// # Errors
    /// When it has not within `limit`, or the machine ends first.
    pub async fn console_said(&mut self, text: &str, limit: Duration) -> Result<(), VmError> {
        let deadline = Instant::now() + limit;
        while !self.console_says(text) {
            tokio::select! {
                () = tokio::time::sleep(CONSOLE_LOOK) => {}
                _ = self.process.wait() => return Err(VmError::Ended(self.ended().await)),
            }
            if Instant::now() > deadline {
                return Err(VmError::Silent {
                    awaited: text.to_owned(),
                    limit,
                    console: self.console.lines(REPORTED_LINES).join(" | "),
                });
            }
        }
        Ok(())
    }

    /// Ends the machine now and waits until nothing is left of it. What cannot be removed is removed by the next sweep.
    pub async fn destroy(&mut self) {
        if self.is_removed {
            return;
        }
        self.turns.end();
        // It may have ended by itself.
        self.process.leave(false);
        self.process.kill();
        self.process.wait().await.ok();
        remove_all(self.folder.clone(), self.groups.clone()).await;
        self.is_removed = true;
    }

    /// What the machine has of the host's memory; nothing once it has ended.
    pub fn memory(&self) -> MemoryMap {
        procfs::memory(self.pid).unwrap_or_default()
    }

    /// Processor time the machine has used, its own devices included; zero once it has ended.
    pub fn cpu_time(&self) -> Duration {
        procfs::cpu_time(self.pid).unwrap_or_default()
    }

    async fn connect(&mut self, socket: &'static str) -> Result<UnixStream, VmError> {
        let connected = tokio::select! {
            connected = tokio::time::timeout(SOCKET_TIMEOUT, self.sockets.connect(socket)) => connected,
            _ = self.process.wait() => return Err(VmError::Ended(self.ended().await)),
        };
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| VmError::Connect { socket, source })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if self.process.is_left() || self.is_removed {
            return;
        }
        in_background(remove_all(self.folder.clone(), std::mem::take(&mut self.groups)));
    }
}

/// Removes what a machine has left. Its folder comes last, by which a sweep finds the rest.
async fn remove_all(folder: PathBuf, groups: Vec<PathBuf>) {
    cgroup::remove(&groups).await;
    // What cannot be removed is removed by the next sweep.
    tokio::task::spawn_blocking(move || remove_tree(&folder))
        .await
        .ok();
}

fn misjudged(console: &Tail, tolerance: f64) -> Option<VmError> {
    let lines = console.lines(usize::MAX);
    let error = lines.iter().find_map(|line| timer_error(line))?;
    (error.abs() > tolerance).then_some(VmError::Timer { error })
}

async fn memory_work(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), VmError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(VmError::Memory)
}

/// Waits until the guest's program has opened the channel's port.
async fn channel_opened(monitor: &mut Qmp<UnixStream>) -> Result<(), QmpError> {
    // It may have been opened before this connection could hear of it.
    let chardevs = monitor.execute("query-chardev", json!({})).await?;
    let open = chardevs.as_array().is_some_and(|all| {
        all.iter()
            .any(|one| one["label"] == CHANNEL_ID && one["frontend-open"] == true)
    });
    if open {
        return Ok(());
    }
    loop {
        let Event { name, data } = monitor.event().await?;
        if name == "VSERPORT_CHANGE" && data["id"] == CHANNEL_ID && data["open"] == true {
            return Ok(());
        }
    }
}

/// Waits until QEMU has taken the cable's connection, which it does when it comes to it. A machine restored before that
/// announces itself to a connection that is not there yet, which QEMU 7.2 does not survive.
async fn plugged_in(monitor: &mut Qmp<UnixStream>) -> Result<(), QmpError> {
    while monitor.event().await?.name != "NETDEV_STREAM_CONNECTED" {}
    Ok(())
}

fn report(status: &io::Result<Option<ExitStatus>>, complaints: &[String], console: &[String]) -> String {
    let mut report = match status {
        Ok(Some(status)) => format!("QEMU ended with {status}"),
        Ok(None) => "QEMU ended (it was started by an earlier server, so how is unknown)".to_owned(),
        Err(error) => format!("QEMU ended unseen ({error})"),
    };
    for (what, lines) in [("it said", complaints), ("the console said", console)] {
        if !lines.is_empty() {
            report.push_str(&format!("; {what}: {}", lines.join(" | ")));
        }
    }
    report
}
