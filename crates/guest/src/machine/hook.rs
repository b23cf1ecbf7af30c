//! Tells processes of the agent that they have been restored, so that they renew what lives in their memory.
//!
//! ```text
//!  process ── connects ──▶ guest        while the template is made
//!  process ◀── one byte ── guest        after a restore: renew what must differ between sessions
//!  process ── one byte ──▶ guest        done; only then is the restore
//! ```
//!
//! A process that does not answer in time still has what every session restored from the template has, so the host
//! uses no sandbox with such a process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coracle_guest_proto::message::{Resumed, SnapshotHook};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::failure::{Doing as _, Failure};

/// Most processes that are told. More are as if they did not answer.
const MAX_LISTENERS: usize = 256;
/// How long all of them together may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The processes that want to hear of a restore.
#[derive(Debug)]
pub(super) struct Listeners {
    socket: PathBuf,
    connected: Arc<Mutex<Connected>>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct Connected {
    processes: Vec<UnixStream>,
    /// How many could not be taken.
    turned_away: u32,
}

impl Listeners {
    /// Puts the hook's files in place and begins to listen.
    pub(super) fn open(hook: &SnapshotHook) -> Result<Self, Failure> {
        for (path, text) in &hook.files {
            write(Path::new(path), text).doing(|| format!("writing {path}"))?;
        }
        let listening = || format!("listening on {}", hook.socket);
        let socket = PathBuf::from(&hook.socket);
        if let Some(folder) = socket.parent() {
            fs::create_dir_all(folder).doing(listening)?;
        }
        let listener = UnixListener::bind(&socket).doing(listening)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).doing(listening)?;
        let connected = Arc::<Mutex<Connected>>::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&connected))).abort_handle();
        Ok(Self {
            socket,
            connected,
            accepting,
        })
    }

    /// Tells every process. Nobody can connect afterwards.
    pub(super) async fn tell(self) -> Told {
        self.accepting.abort();
        // What remains of it if this fails is a socket that refuses connections.
        fs::remove_file(&self.socket).ok();
        let connected = std::mem::take(&mut *self.connected.lock().unwrap_or_else(PoisonError::into_inner));
        let mut processes = Vec::new();
        for mut process in connected.processes {
            // One that has ended meanwhile is not told. A byte finds room in any socket's empty queue.
            if process.write_all(b"R").await.is_ok() {
                processes.push(process);
            }
        }
        Told {
            processes,
            turned_away: connected.turned_away,
        }
    }
}

/// Processes that have been told and owe an answer.
#[derive(Debug)]
pub(super) struct Told {
    processes: Vec<UnixStream>,
    turned_away: u32,
}

impl Told {
    /// Waits for the answers.
    pub(super) async fn answers(self) -> Resumed {
        let mut answers: JoinSet<bool> = self
            .processes
            .into_iter()
            .map(|mut process| async move { process.read_u8().await.is_ok() })
            .collect();
        let mut resumed = Resumed::default();
        let mut expected = answers.len();
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.join_next()).await {
            expected -= 1;
            resumed.told += u32::from(answer.unwrap_or_default());
        }
        let unanswered = u32::try_from(expected).unwrap_or(u32::MAX);
        resumed.silent = unanswered.saturating_add(self.turned_away);
        resumed.told = resumed.told.saturating_add(resumed.silent);
        resumed
    }
}

async fn accept(listener: UnixListener, connected: Arc<Mutex<Connected>>) {
    while let Ok((process, _)) = listener.accept().await {
        let mut connected = connected.lock().unwrap_or_else(PoisonError::into_inner);
        // Processes that have ended make room.
        connected.processes.retain(|process| !has_ended(process));
        if connected.processes.len() < MAX_LISTENERS {
            connected.processes.push(process);
        } else {
            connected.turned_away = connected.turned_away.saturating_add(1);
        }
    }
}

fn has_ended(process: &UnixStream) -> bool {
    matches!(process.try_read(&mut [0]), Ok(0))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(folder: &Path) -> SnapshotHook {
        SnapshotHook {
            socket: folder.join("run/resume").display().to_string(),
            files: [(
                folder.join("lib/hook.py").display().to_string(),
                "pass\n".to_owned(),
            )]
            .into(),
        }
    }

    #[tokio::test]
    async fn each_process_is_told_once_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let hook = hook(folder.path());
        let listeners = Listeners::open(&hook).unwrap();
        assert_eq!(fs::read(folder.path().join("lib/hook.py")).unwrap(), b"pass\n");
        let answering = UnixStream::connect(&hook.socket).await.unwrap();
        let ended = UnixStream::connect(&hook.socket).await.unwrap();
        drop(ended);
        tokio::spawn(async move {
            let mut answering = answering;
            assert_eq!(answering.read_u8().await.unwrap(), b'R');
            answering.write_all(b".").await.unwrap();
        });
        while listeners.connected.lock().unwrap().processes.is_empty() {
            tokio::task::yield_now().await;
        }
        let resumed = listeners.tell().await.answers().await;
        assert_eq!((resumed.told, resumed.silent), (1, 0));
        assert!(UnixStream::connect(&hook.socket).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stays_silent_is_not_waited_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let hook = hook(folder.path());
        let listeners = Listeners::open(&hook).unwrap();
        let _silent = UnixStream::connect(&hook.socket).await.unwrap();
        while listeners.connected.lock().unwrap().processes.is_empty() {
            tokio::task::yield_now().await;
        }
        let resumed = listeners.tell().await.answers().await;
        assert_eq!((resumed.told, resumed.silent), (1, 1));
    }

    #[tokio::test]
    async fn processes_that_are_too_many_are_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let hook = hook(folder.path());
        let listeners = Listeners::open(&hook).unwrap();
        let mut ended = Vec::new();
        for _ in 0..MAX_LISTENERS {
            ended.push(UnixStream::connect(&hook.socket).await.unwrap());
        }
        let _one_more = UnixStream::connect(&hook.socket).await.unwrap();
        while listeners.connected.lock().unwrap().turned_away == 0 {
            tokio::task::yield_now().await;
        }
        drop(ended);
        let resumed = listeners.tell().await.answers().await;
        assert_eq!((resumed.told, resumed.silent), (1, 1));
    }
}
