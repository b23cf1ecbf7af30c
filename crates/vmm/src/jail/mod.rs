//! The jail around a machine's process: what is left to whoever breaks out of the guest into QEMU.
//!
//! ```text
//!  server ─ a thread that makes a namespace of processes ─▶ `coracle jail CELL qemu …` ─ [`launcher`] ─▶ QEMU, the same process
//! ```
//!
//! A process of one thread gives up everything and then becomes QEMU: so all is in place before QEMU's first instruction,
//! nothing of the server's changes, and QEMU's id is that of the server's child. As root, each machine has a user of its
//! own, which its [run folder](crate::run_folder) names: also to a later server. What a server may do is found out by
//! doing it: QEMU is asked for its version in each kind of jail, the strongest first.

mod cell;
mod launcher;

use std::fs::{self, Permissions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use coracle_types::SandboxId;
use rustix::thread::UnshareFlags;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::cell::{Cell, CellFile, Identity, Strength};
pub(crate) use self::cell::{FileUse, Usage};
pub use self::launcher::{LaunchError, become_jailed};
use crate::cgroup::{self, ControlGroups, Limits};
use crate::config::DiskRate;
use crate::process::Process;
use crate::remove::in_background;
use crate::run_folder::{CLAIMED, RUN_FOLDER, is_claimed};

/// An empty folder of a machine's, where its view of the files is put together.
const ROOT_FOLDER: &str = "root";
/// What QEMU and its libraries are loaded from on any distribution. What is not there is left out.
const SYSTEM: [&str; 7] = [
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ld.so.cache",
    "/nix/store",
    "/gnu/store",
];
/// Most bytes that are read of why QEMU does not run.
const LONGEST_COMPLAINT: u64 = 64 * 1024;
/// How long QEMU may take to say its version.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Taken while a user is chosen, so that no two machines get the same.
static CHOOSING: Mutex<()> = Mutex::new(());

/// Whether machines' processes are jailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JailMode {
    /// As strongly as this server may.
    #[default]
    Auto,
    /// As root does it, or not at all.
    Required,
    /// Not.
    Off,
}

/// How machines' processes are to be jailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailSettings {
    /// Whether they are.
    pub mode: JailMode,
    /// The numbers of their users, which nobody else has. The first is that of the group of all of them.
    pub users: Range<u32>,
    /// What QEMU is loaded from, beside the system's own folders.
    pub programs: Vec<PathBuf>,
    /// The program whose subcommand `jail` is [`become_jailed`].
    pub launcher: PathBuf,
}

/// Why machines cannot run.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The configuration wants a complete jail.
    #[error(
        "[jail] is required, and microVMs cannot be jailed completely: {0}; run the server as root, or set mode to auto"
    )]
    Incomplete(String),
    /// Not even the least of jails works.
    #[error("QEMU does not run in a jail: {0}; set [jail] mode to off to run it without")]
    Unusable(String),
    /// Trying failed.
    #[error("a jail could not be tried")]
    Files(#[from] io::Error),
}

/// The jail of this server's machines.
#[derive(Debug, Clone)]
pub struct Jail {
    settings: JailSettings,
    /// None: there is no jail.
    strength: Option<Strength>,
    groups: Option<ControlGroups>,
    /// What was tried and is missing, with the reasons.
    missing: Vec<String>,
}

/// A machine's process, to be started.
pub(crate) struct Prepared {
    command: Command,
    in_own_pids: bool,
    groups: NewGroups,
}

/// A machine's process that nobody has taken over yet. Dropped, nothing is left of it.
pub(crate) struct Started {
    /// The process.
    pub(crate) process: Process,
    /// The control groups that are its own.
    pub(crate) groups: NewGroups,
}

/// Control groups of a machine that is being started. Dropped, they are removed.
pub(crate) struct NewGroups(Vec<PathBuf>);

/// What is to be started for a machine.
pub(crate) struct Start<'a> {
    pub(crate) sandbox: SandboxId,
    pub(crate) program: &'a Path,
    pub(crate) arguments: Vec<String>,
    pub(crate) files: Vec<FileUse<'a>>,
    pub(crate) kvm: bool,
    pub(crate) limits: Limits,
    /// The guest's memory in bytes.
    pub(crate) memory: u64,
}

impl Jail {
    /// Finds the strongest jail that this server can make. Machines' folders are below `sandboxes`.
    ///
    /// # Errors
    /// When there is none as the settings want it.
    pub async fn find(settings: JailSettings, qemu: &Path, sandboxes: &Path) -> Result<Self, JailError> {
        let mut jail = Self::unjailed(settings);
        if jail.settings.mode == JailMode::Off {
            return Ok(jail);
        }
        for strength in [Strength::Full, Strength::UserNamespace, Strength::Bare] {
            jail.strength = Some(strength);
            match jail.with_groups(qemu, sandboxes).await? {
                Ok(()) if jail.settings.mode == JailMode::Required && !jail.missing.is_empty() => break,
                Ok(()) => return Ok(jail),
                Err(reason) => jail.missing.push(format!("{} ({reason})", strength.gives())),
            }
        }
        let missing = jail.missing.join("; ");
        Err(match jail.settings.mode {
            JailMode::Required => JailError::Incomplete(missing),
            _ => JailError::Unusable(missing),
        })
    }

    fn unjailed(settings: JailSettings) -> Self {
        Self {
            settings,
            strength: None,
            groups: None,
            missing: Vec::new(),
        }
    }

    /// Tries this strength, with control groups if there are any.
    async fn with_groups(&mut self, qemu: &Path, sandboxes: &Path) -> io::Result<Result<(), String>> {
        if self.strength != Some(Strength::Full) {
            return self.try_out(qemu, sandboxes).await;
        }
        let mut found = ControlGroups::find(sandboxes).map_err(|error| error.to_string());
        let reason = loop {
            let groups = match found {
                Ok(groups) => groups,
                Err(reason) => break reason,
            };
            self.groups = Some(groups.clone());
            found = match self.try_out(qemu, sandboxes).await? {
                Ok(()) => return Ok(Ok(())),
                Err(reason) if groups.no_disk().is_none() => Ok(groups.without_disk(reason)),
                Err(reason) => Err(reason),
            };
        };
        self.groups = None;
        let without = self.try_out(qemu, sandboxes).await?;
        if without.is_ok() {
            self.missing.push(format!("limits by control groups ({reason})"));
        }
        Ok(without)
    }

    /// Runs QEMU for its version. Returns why it does not run.
    async fn try_out(&self, qemu: &Path, sandboxes: &Path) -> io::Result<Result<(), String>> {
        let sandbox = SandboxId::new();
        let folder = sandboxes.join(sandbox.to_string());
        fs::create_dir_all(&folder)?;
        let start = Start {
            sandbox,
            program: qemu,
            arguments: vec!["--version".to_owned()],
            files: Vec::new(),
            kvm: false,
            limits: Limits {
                memory: 1 << 30,
                tasks: 64,
                processors: 1,
                disk: DiskRate {
                    bytes: NonZeroU64::new(1 << 30),
                    operations: NonZeroU64::new(1 << 20),
                },
            },
            memory: 0,
        };
        let tried = self.try_start(&start, &folder).await;
        if let Some(groups) = &self.groups {
            cgroup::remove(&groups.groups_of(sandbox)).await;
        }
        fs::remove_dir_all(&folder)?;
        Ok(tried.unwrap_or_else(|error| Err(error.to_string())))
    }

    async fn try_start(&self, start: &Start<'_>, folder: &Path) -> io::Result<Result<(), String>> {
        let Started {
            mut process,
            groups: _groups,
        } = self.prepare(start, folder)?.spawn().await?;
        let mut said = Vec::new();
        let stderr = process.stderr();
        let running = async {
            if let Some(stderr) = stderr {
                stderr.take(LONGEST_COMPLAINT).read_to_end(&mut said).await?;
            }
            process.wait().await
        };
        let Ok(ended) = tokio::time::timeout(TRIAL_TIMEOUT, running).await else {
            return Ok(Err("QEMU hangs in it".to_owned()));
        };
        let status = ended?.unwrap_or_default();
        if status.success() {
            return Ok(Ok(()));
        }
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().last().unwrap_or_default();
        Ok(Err(format!("{last} ({status})")))
    }

    /// Whether nothing of it is missing.
    pub fn is_complete(&self) -> bool {
        self.strength.is_some() && self.missing.is_empty()
    }

    /// What is on and what is missing, in a line for the operator.
    pub fn describe(&self) -> String {
        let Some(strength) = self.strength else {
            return "the processes of microVMs are not jailed, because [jail] mode is off".to_owned();
        };
        let mut text = format!("the process of each microVM has {}", strength.gives());
        match self.groups.as_ref().map(ControlGroups::no_disk) {
            None => {}
            Some(None) => {
                text.push_str(", and control groups limit its memory, processes, processor time and disk rate");
            }
            Some(Some(reason)) => text.push_str(&format!(
                ", and control groups limit its memory, processes and processor time; its disk rate is limited by QEMU alone \
                 ({reason})"
            )),
        }
        if !self.missing.is_empty() {
            text.push_str("; missing: ");
            text.push_str(&self.missing.join("; "));
        }
        text
    }

    /// What mends what is missing, if anything is.
    pub fn remedy(&self) -> Option<&'static str> {
        match self.strength {
            None => Some("set mode = \"auto\" in [jail] of the configuration"),
            Some(_) if self.is_complete() => None,
            Some(Strength::Full) => Some("make the control groups in /sys/fs/cgroup writable for the server"),
            Some(_) => Some(
                "run the server as root (in a container: privileged), with [jail] first_user within its user namespace",
            ),
        }
    }

    /// Makes everything ready for a machine's process in the machine's folder. Blocks.
    pub(crate) fn prepare(&self, start: &Start<'_>, folder: &Path) -> io::Result<Prepared> {
        let run = folder.join(RUN_FOLDER);
        fs::create_dir_all(&run)?;
        fs::create_dir_all(folder.join(ROOT_FOLDER))?;
        let Some(strength) = self.strength else {
            let mut command = Command::new(start.program);
            command.args(&start.arguments);
            return Ok(Prepared::new(command, &run, false, NewGroups(Vec::new())));
        };
        let identity = (strength == Strength::Full)
            .then(|| self.claim(folder))
            .transpose()?;
        for file in &start.files {
            grant(file, identity)?;
        }
        let mut command = Command::new(&self.settings.launcher);
        let cell = self.cell(start, strength, identity, folder)?;
        let cell = serde_json::to_string(&cell).map_err(io::Error::from)?;
        command
            .arg("jail")
            .arg(cell)
            .arg(start.program)
            .args(&start.arguments);
        // Last, so that nothing fails once they are there.
        let groups = match &self.groups {
            Some(groups) => groups.make(start.sandbox, start.limits)?,
            None => Vec::new(),
        };
        let in_own_pids = strength == Strength::Full;
        Ok(Prepared::new(command, &run, in_own_pids, NewGroups(groups)))
    }

    fn cell(
        &self,
        start: &Start<'_>,
        strength: Strength,
        identity: Option<Identity>,
        folder: &Path,
    ) -> io::Result<Cell> {
        let mut longest_file = start.memory;
        for file in start.files.iter().filter(|file| file.usage == Usage::Owns) {
            longest_file = longest_file.max(fs::metadata(file.path)?.len());
        }
        let files = start.files.iter().map(|file| CellFile {
            path: file.path.to_owned(),
            writable: file.usage != Usage::Reads,
        });
        let system = SYSTEM.iter().map(PathBuf::from);
        Ok(Cell {
            strength,
            identity,
            root: folder.join(ROOT_FOLDER),
            folder: folder.join(RUN_FOLDER),
            programs: system.chain(self.settings.programs.iter().cloned()).collect(),
            files: files.collect(),
            kvm: start.kvm,
            groups: self
                .groups
                .as_ref()
                .map(|groups| groups.groups_of(start.sandbox))
                .unwrap_or_default(),
            longest_file,
        })
    }

    /// Gives a machine's folder to a user of its own.
    fn claim(&self, folder: &Path) -> io::Result<Identity> {
        let _choosing = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for sibling in folder.parent().into_iter().flat_map(fs::read_dir).flatten() {
            // One that has just been removed has no user any more.
            taken.extend(fs::metadata(sibling?.path().join(RUN_FOLDER)).map(|run| run.gid()));
        }
        let user = free_user(&self.settings.users, &taken, random()?)
            .ok_or_else(|| io::Error::other("every user of [jail] is taken"))?;
        let run = folder.join(RUN_FOLDER);
        std::os::unix::fs::chown(&run, None, Some(user))?;
        fs::set_permissions(&run, Permissions::from_mode(CLAIMED))?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        Ok(Identity {
            user,
            machines: self.settings.users.start,
        })
    }
}

impl Strength {
    fn gives(self) -> &'static str {
        match self {
            Self::Full => {
                "a user, root folder, network and namespaces of its own, no capabilities, and a filter of system calls"
            }
            Self::UserNamespace => {
                "a root folder, network and namespaces of its own, no capabilities outside them, and a filter of system \
                 calls"
            }
            Self::Bare => "no way to more privileges, and a filter of system calls",
        }
    }
}

impl Prepared {
    fn new(mut command: Command, run: &Path, in_own_pids: bool, groups: NewGroups) -> Self {
        command
            .env_clear()
            .current_dir(run)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        Self {
            command,
            in_own_pids,
            groups,
        }
    }

    /// Starts it. Nothing is left when that fails.
    pub(crate) async fn spawn(self) -> io::Result<Started> {
        let spawned = if self.in_own_pids {
            spawn_in_own_pids(self.command).await
        } else {
            spawn_here(self.command)
        };
        match spawned {
            Ok(process) => Ok(Started {
                process,
                groups: self.groups,
            }),
            Err(error) => {
                cgroup::remove(&self.groups.keep()).await;
                Err(error)
            }
        }
    }
}

async fn spawn_in_own_pids(command: Command) -> io::Result<Process> {
    let runtime = Handle::current();
    let (tell, told) = oneshot::channel();
    // The children of a thread that has done this are in that namespace, and nothing else changes. It ends at once.
    std::thread::Builder::new()
        .name("jail".to_owned())
        .spawn(move || {
            let _runtime = runtime.enter();
            let spawned = unshare(UnshareFlags::NEWPID).and_then(|()| spawn_here(command));
            // Where nobody waits any more, or stops to before it has it, it ends with what brings it.
            tell.send(spawned).ok();
        })?;
    told.await.map_err(io::Error::other)?
}

fn spawn_here(mut command: Command) -> io::Result<Process> {
    Ok(Process::own(command.spawn()?))
}

impl NewGroups {
    /// They stay.
    pub(crate) fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for NewGroups {
    fn drop(&mut self) {
        let groups = std::mem::take(&mut self.0);
        if !groups.is_empty() {
            in_background(async move { cgroup::remove(&groups).await });
        }
    }
}

/// Lets a machine that runs use a file that is in its folder. Returns the path under which it sees it. Blocks.
pub(crate) fn show(file: &Path, machine: &Path) -> io::Result<PathBuf> {
    let run = machine.join(RUN_FOLDER);
    let found = fs::metadata(&run)?;
    if is_claimed(found.mode()) {
        std::os::unix::fs::chown(file, Some(found.gid()), Some(found.gid()))?;
    }
    // Its own folder is all that can be added to what it sees. It cannot have put anything in this place: then it fails.
    let shown = run.join(file.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    fs::hard_link(file, &shown)?;
    Ok(shown)
}

/// Gives the calling thread namespaces of its own.
#[expect(unsafe_code, reason = "the library's safe form is deprecated")]
fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    let namespaces = namespaces.difference(UnshareFlags::FILES);
    // SAFETY: it would be unsafe to end the sharing of file descriptors, which this does not ask for.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }?;
    Ok(())
}

/// Lets a machine's user use a file as it is to.
fn grant(file: &FileUse<'_>, identity: Option<Identity>) -> io::Result<()> {
    if file.usage == Usage::Owns {
        // A machine's memory does not exist yet.
        fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(file.path)?;
    }
    let Some(identity) = identity else {
        return Ok(());
    };
    let found = fs::metadata(file.path)?;
    let (owner, group, mode) = match file.usage {
        Usage::Reads if found.mode() & 0o004 != 0 => return Ok(()),
        Usage::Reads => (found.uid(), identity.machines, found.mode() | 0o040),
        Usage::Owns => (identity.user, identity.user, 0o600),
        Usage::Maps => (0, identity.machines, 0o660),
    };
    if (found.uid(), found.gid()) != (owner, group) {
        std::os::unix::fs::chown(file.path, Some(owner), Some(group))?;
    }
    if found.mode() & 0o7777 != mode & 0o7777 {
        fs::set_permissions(file.path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A number of the range, but for the first, that is not taken: one picked by chance, or the next after it.
fn free_user(users: &Range<u32>, taken: &[u32], chance: u32) -> Option<u32> {
    let first = users.start.checked_add(1)?;
    let count = users.end.checked_sub(first).filter(|count| *count > 0)?;
    let candidates = (0..count).map(|step| first + (chance % count + step) % count);
    candidates
        .take(taken.len() + 1)
        .find(|candidate| !taken.contains(candidate))
}

fn random() -> io::Result<u32> {
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(random))
}

#[cfg(test)]
impl Jail {
    /// Machines' processes as children like any other.
    pub(crate) fn none() -> Self {
        Self::unjailed(JailSettings {
            mode: JailMode::Off,
            users: 0..0,
            programs: Vec::new(),
            launcher: PathBuf::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_picked_by_chance_and_never_twice() {
        let users = 100..104;
        let mut taken = Vec::new();
        for chance in [7, 7, 7] {
            taken.extend(free_user(&users, &taken, chance));
        }
        assert_eq!(taken, [102, 103, 101]);
        assert_eq!(free_user(&users, &taken, 0), None, "100 is everybody's group");
        assert_eq!(free_user(&(5..6), &[], 0), None);
        assert_eq!(free_user(&(0..u32::MAX), &[], u32::MAX), Some(2));
    }

    proptest::proptest! {
        #[test]
        fn a_user_is_of_the_range_and_free(
            start in 0..u32::MAX, size in 0..9u32, taken in proptest::collection::vec(0..12u32, 0..9), chance: u32,
        ) {
            let users = start..start.saturating_add(size);
            let taken: Vec<u32> = taken.iter().map(|offset| start.saturating_add(*offset)).collect();
            match free_user(&users, &taken, chance) {
                Some(user) => {
                    proptest::prop_assert!(users.contains(&user) && user != start && !taken.contains(&user));
                }
                None => {
                    proptest::prop_assert!(users.clone().skip(1).all(|user| taken.contains(&user)));
                }
            }
        }
    }
}
