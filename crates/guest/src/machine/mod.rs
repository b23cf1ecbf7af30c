//! The guest as the first process of a microVM.
//!
//! ```text
//!  kernel ─▶ mounts, modules ─▶ channel ─▶ clock ─▶ Start: seed, disks, network, storage, folders ─▶ agent ─▶ power off
//! ```
//!
//! A guest that cannot go on says why in one line on the console and powers off; the host reads that line. The
//! channel comes first, so that everything later that fails is answered there.

mod cgroup;
mod folders;
mod hook;
mod identity;
mod port;
mod root;
mod seed;
mod storage;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_guest_proto::message::{GoOn, Resume, Resumed, StartAgent, Storage, StorageSource, Usage, User};
use coracle_guest_proto::{PORT_NAME, PROBE_ANSWER, PROBE_ARGUMENT, SNAPSHOT_READY};
use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal};
use rustix::system::RebootCommand;
use rustix::time::ClockId;

use crate::console::{chain, say};
use crate::failure::{Doing as _, Failure};
use crate::network;
use crate::place::{Place, micros};
use crate::serve::Guest;
use cgroup::Cgroup;
use hook::Listeners;

/// Where the initramfs holds the kernel modules to load, in the order of their names.
const MODULES: &str = "/modules";
/// How long the channel's port may take to appear after its module has been loaded.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the machine until its end and powers it off.
pub(crate) fn main() {
    if let Err(failure) = run() {
        say(&format!("cannot go on: {}", chain(&failure)));
    }
    rustix::fs::sync();
    if rustix::system::reboot(RebootCommand::PowerOff).is_err() {
        // Without a way to power off, a restart ends the machine as well: its monitor does not restart it.
        rustix::system::reboot(RebootCommand::Restart).ok();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Failure> {
    let kernel_micros = micros_since_boot();
    mount_kernel_file_systems()?;
    if fs::read_to_string("/proc/cmdline")
        .doing(|| "reading the kernel's arguments".to_owned())?
        .split_whitespace()
        .any(|argument| argument == PROBE_ARGUMENT)
    {
        let mut console = std::io::stdout();
        return std::io::Write::write_all(&mut console, format!("{PROBE_ANSWER}\n").as_bytes())
            .doing(|| "answering the probe".to_owned());
    }
    load_modules()?;
    let port = port::open(&find_port().await?)?;
    // A kernel without control groups still runs agents, with less protection against themselves.
    let cgroup = Cgroup::new().inspect_err(|failure| say(&chain(failure))).ok();
    fs::write("/proc/self/oom_score_adj", "-1000")
        .doing(|| "protecting the guest from memory shortage".to_owned())?;
    let guest = Guest::new(Place::Machine(Machine {
        kernel_micros,
        cgroup,
        scratch: Mutex::default(),
        agent_user: Mutex::default(),
        storage: Mutex::default(),
        folders: Mutex::default(),
        listeners: Mutex::default(),
    }));
    loop {
        let connection = port.connection().await?;
        // A host that goes away, or never was one, is followed by another.
        if let Ok(true) = guest.serve(connection).await {
            return Ok(());
        }
        if guest.take_snapshot_announced() {
            port.left().await;
            say(SNAPSHOT_READY);
        }
    }
}

/// What the guest holds of its machine.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel_micros: u64,
    cgroup: Option<Cgroup>,
    /// The mounted private layer.
    scratch: Mutex<Option<OwnedFd>>,
    /// Who the agent runs as.
    agent_user: Mutex<Option<User>>,
    /// The mounted file system that the session finds again.
    storage: Mutex<Option<Arc<OwnedFd>>>,
    /// The mounted folders of the host's.
    folders: Mutex<Vec<Arc<OwnedFd>>>,
    /// Processes of the agent that want to hear of a restore, in a machine that will be snapshotted.
    listeners: Mutex<Option<Listeners>>,
}

impl Machine {
    /// From power-on to the guest program, in microseconds.
    pub(crate) fn kernel_micros(&self) -> u64 {
        self.kernel_micros
    }

    /// Makes the machine what the host asks for: its name, its random numbers, its file system.
    pub(crate) fn prepare(&self, start: &StartAgent) -> Result<(), Failure> {
        if let Some(entropy) = &start.entropy_hex {
            seed::add_entropy(entropy)?;
        }
        network::loopback_up()?;
        if let Some(network) = &start.network {
            // While the kernel's settings can be written.
            network::card_up(network)?;
        }
        if let Some(root) = &start.root {
            let scratch = root::switch_to(root)?;
            *lock(&self.scratch) = Some(scratch);
        }
        identity::mount(start.network.as_ref())?;
        identity::renew(&start.hostname)?;
        lock(&self.agent_user).clone_from(&start.user);
        self.mount(start.storage.as_ref())?;
        *lock(&self.folders) = folders::mount(&start.folders)?;
        if let Some(wanted) = &start.snapshot {
            let listeners = Listeners::open(wanted)?;
            *lock(&self.listeners) = Some(listeners);
        }
        Ok(())
    }

    /// Mounts what the session finds again, if it has any.
    fn mount(&self, storage: Option<&Storage>) -> Result<(), Failure> {
        let Some(Storage { source, mount_path }) = storage else {
            return Ok(());
        };
        let StorageSource::Disk { serial } = source else {
            return Err(Failure::new("mounting the session's storage", "it is no disk"));
        };
        let top = storage::mount(serial, mount_path, lock(&self.agent_user).as_ref())?;
        *lock(&self.storage) = Some(Arc::new(top));
        Ok(())
    }

    /// Writes through what is to be there after this machine.
    pub(crate) async fn sync(&self) {
        let storage = lock(&self.storage).clone();
        let folders = lock(&self.folders).clone();
        let tops: Vec<_> = storage.into_iter().chain(folders).collect();
        if tops.is_empty() {
            return;
        }
        // Others are served meanwhile.
        let syncing = tokio::task::spawn_blocking(move || {
            let failures = tops.iter().filter_map(|top| storage::sync(top).err());
            failures.for_each(|failure| say(&chain(&failure)));
        });
        // One that panicked has said so.
        syncing.await.ok();
    }

    /// Makes a restored machine one of its own. Random numbers come first, because the rest is made of them. The agent's
    /// processes renew theirs while the machine gets its name.
    pub(crate) async fn resume(&self, resume: &Resume) -> Result<Resumed, Failure> {
        let begun = std::time::Instant::now();
        seed::add_entropy(&resume.entropy_hex)?;
        seed::reseed()?;
        self.mount(resume.storage.as_ref())?;
        let listeners = lock(&self.listeners).take();
        let told = match listeners {
            Some(listeners) => Some(listeners.tell().await),
            None => None,
        };
        identity::renew(&resume.hostname)?;
        let mut resumed = match told {
            Some(told) => told.answers().await,
            None => Resumed::default(),
        };
        resumed.took_micros = micros(begun.elapsed());
        Ok(resumed)
    }

    /// Catches up with the world after the machine stood still. Who it is has not changed.
    pub(crate) fn go_on(&self, go_on: &GoOn) -> Result<(), Failure> {
        seed::add_entropy(&go_on.entropy_hex)?;
        seed::reseed()?;
        self.mount(go_on.storage.as_ref())
    }

    /// The door to the agent's control group.
    pub(crate) fn agent_cgroup(&self) -> Result<Option<OwnedFd>, Failure> {
        self.cgroup.as_ref().map(Cgroup::door).transpose()
    }

    /// Kills every process but this one.
    pub(crate) fn kill_all() {
        // The group of process 1 stands for all processes; there may be none.
        rustix::process::kill_process_group(Pid::INIT, Signal::KILL).ok();
    }

    /// Whether the kernel has killed for lack of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory)
    }

    /// What has been used so far.
    pub(crate) fn usage(&self) -> Usage {
        let scratch = lock(&self.scratch);
        let disk = scratch
            .as_ref()
            .and_then(|scratch| rustix::fs::fstatvfs(scratch).ok());
        let disk_bytes = disk.map_or(0, |disk| (disk.f_blocks - disk.f_bfree) * disk.f_frsize);
        let (cpu_micros, memory_bytes) = self.cgroup.as_ref().map_or((0, 0), Cgroup::usage);
        Usage {
            cpu_micros,
            memory_bytes,
            disk_bytes,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros_since_boot() -> u64 {
    let since = rustix::time::clock_gettime(ClockId::Boottime);
    u64::try_from(since.tv_sec * 1_000_000 + since.tv_nsec / 1000).unwrap_or_default()
}

fn mount_kernel_file_systems() -> Result<(), Failure> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (kind, at) in [(c"devtmpfs", "/dev"), (c"proc", "/proc"), (c"sysfs", "/sys")] {
        fs::create_dir_all(at).doing(|| format!("making {at}"))?;
        rustix::mount::mount(kind, at, kind, flags, None).doing(|| format!("mounting {at}"))?;
    }
    Ok(())
}

fn load_modules() -> Result<(), Failure> {
    let mut modules: Vec<PathBuf> = fs::read_dir(MODULES)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .doing(|| format!("listing {MODULES}"))?;
    modules.sort();
    for module in modules {
        let loading = || format!("loading {}", module.display());
        let file = fs::File::open(&module).doing(loading)?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).doing(loading),
        }
    }
    Ok(())
}

/// Waits for the port that carries the channel and returns its device.
async fn find_port() -> Result<PathBuf, Failure> {
    let search = async {
        loop {
            if let Some(device) = named_port(Path::new("/sys/class/virtio-ports")) {
                return device;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PORT_TIMEOUT, search)
        .await
        .map_err(|_| Failure::new("looking for the channel", format!("no port is named {PORT_NAME}")))
}

fn named_port(ports: &Path) -> Option<PathBuf> {
    fs::read_dir(ports).ok()?.flatten().find_map(|port| {
        let name = fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim_end() == PORT_NAME).then(|| Path::new("/dev").join(port.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_by_its_name() {
        let ports = tempfile::tempdir().unwrap();
        for (device, name) in [("vport0p1", "other\n"), ("vport0p2", "coracle.channel\n")] {
            fs::create_dir(ports.path().join(device)).unwrap();
            fs::write(ports.path().join(device).join("name"), name).unwrap();
        }
        assert_eq!(named_port(ports.path()), Some(PathBuf::from("/dev/vport0p2")));
        assert_eq!(named_port(&ports.path().join("vport0p1")), None);
    }
}
