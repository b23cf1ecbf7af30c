//! Keeping a running machine as files, and making a running machine of them.
//!
//! ```text
//!  save     stop ─▶ migrate to a socket of ours ─▶ device state; memory is in its file already
//!  restore  -incoming defer ─▶ migrate-incoming ─▶ send the device state ─▶ status leaves inmigrate ─▶ cont
//! ```
//!
//! The capability `x-ignore-shared` keeps memory out of the state. The state is a few dozen kilobytes and passes
//! through a socket in the machine's folder, because the sandboxed QEMU can start no program to write a file. A
//! machine whose save or restore has failed is of no further use.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::qmp::{Qmp, QmpError};
use crate::run_folder::RunFolder;

/// The socket in the machine's folder through which the device state passes.
const SOCKET: &str = "migration";
/// Largest device state accepted, in bytes: hundreds of times what a machine has.
pub(crate) const MAX_STATE: u64 = 64 * 1024 * 1024;
/// How long the whole of a save or a restore may take. It takes milliseconds unless the host is overloaded.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often QEMU is asked how far it is.
const LOOK: Duration = Duration::from_millis(2);

/// Why a machine could not be saved or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The monitor failed or refused.
    #[error("QEMU's monitor failed")]
    Monitor(#[from] QmpError),
    /// The device state did not pass.
    #[error("the device state could not be passed")]
    Transfer(#[source] std::io::Error),
    /// The device state is too long.
    #[error("the device state is longer than {MAX_STATE} bytes")]
    TooLong,
    /// QEMU gave up.
    #[error("QEMU reports: {0}")]
    Failed(String),
    /// It took too long.
    #[error("it took over {TIMEOUT:?}")]
    Timeout,
}

/// Stops the machine and returns its device state.
pub(crate) async fn save<S>(monitor: &mut Qmp<S>, sockets: &RunFolder) -> Result<Vec<u8>, SnapshotError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(async {
        ignore_shared_memory(monitor).await?;
        monitor.execute("stop", json!({})).await?;
        let listener = sockets.listen(SOCKET).map_err(SnapshotError::Transfer)?;
        monitor.execute("migrate", json!({"uri": uri()})).await?;
        let (stream, _) = listener.accept().await.map_err(SnapshotError::Transfer)?;
        let mut state = Vec::new();
        let received = stream.take(MAX_STATE + 1).read_to_end(&mut state).await;
        if received.map_err(SnapshotError::Transfer)? as u64 > MAX_STATE {
            return Err(SnapshotError::TooLong);
        }
        settled(monitor, "query-migrate", |status| status == "completed").await?;
        Ok(state)
    })
    .await
}

/// Gives a machine that waits for it its device state, and lets it run.
pub(crate) async fn restore<S>(
    monitor: &mut Qmp<S>,
    sockets: &RunFolder,
    state: &[u8],
) -> Result<(), SnapshotError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(async {
        ignore_shared_memory(monitor).await?;
        monitor.execute("migrate-incoming", json!({"uri": uri()})).await?;
        let mut stream = sockets.connect(SOCKET).await.map_err(SnapshotError::Transfer)?;
        stream.write_all(state).await.map_err(SnapshotError::Transfer)?;
        stream.shutdown().await.map_err(SnapshotError::Transfer)?;
        // A `cont` that comes earlier is lost.
        settled(monitor, "query-status", |status| status != "inmigrate").await?;
        monitor.execute("cont", json!({})).await?;
        settled(monitor, "query-status", |status| status == "running").await
    })
    .await
}

fn uri() -> String {
    // The path is relative to QEMU's working directory, which is the machine's folder.
    format!("unix:{SOCKET}")
}

async fn ignore_shared_memory<S>(monitor: &mut Qmp<S>) -> Result<Value, QmpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let capabilities = json!([{"capability": "x-ignore-shared", "state": true}]);
    monitor
        .execute("migrate-set-capabilities", json!({"capabilities": capabilities}))
        .await
}

/// Asks until the status is a wanted one.
async fn settled<S>(
    monitor: &mut Qmp<S>,
    query: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), SnapshotError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let answer = monitor.execute(query, json!({})).await?;
        let status = answer["status"].as_str().unwrap_or_default();
        if matches!(status, "failed" | "cancelled" | "internal-error") {
            return Err(SnapshotError::Failed(answer.to_string()));
        }
        if wanted(status) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn within<T>(work: impl Future<Output = Result<T, SnapshotError>>) -> Result<T, SnapshotError> {
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or(Err(SnapshotError::Timeout))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::UnixStream;

    use super::*;
    use crate::run_folder::RUN_FOLDER;

    const STATE: &[u8] = b"what the devices were doing";

    /// A monitor that behaves as QEMU does, and what it was asked. `end` is the status after a migration.
    struct FakeQemu {
        monitor: Qmp<UnixStream>,
        sockets: Arc<RunFolder>,
        asked: Arc<Mutex<Vec<String>>>,
        received: Arc<Mutex<Vec<u8>>>,
    }

    impl FakeQemu {
        async fn new(folder: &tempfile::TempDir, end: &'static str) -> Self {
            let (client, server) = UnixStream::pair().unwrap();
            std::fs::create_dir(folder.path().join(RUN_FOLDER)).unwrap();
            let sockets = Arc::new(RunFolder::open(folder.path()).unwrap());
            let (asked, received) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
            tokio::spawn(behave(
                server,
                Arc::clone(&sockets),
                Arc::clone(&asked),
                Arc::clone(&received),
                end,
            ));
            Self {
                monitor: Qmp::connect(client).await.unwrap(),
                sockets,
                asked,
                received,
            }
        }

        fn asked(&self) -> Vec<String> {
            let mut asked = self.asked.lock().unwrap().clone();
            asked.dedup();
            asked
        }
    }

    async fn behave(
        server: UnixStream,
        sockets: Arc<RunFolder>,
        asked: Arc<Mutex<Vec<String>>>,
        received: Arc<Mutex<Vec<u8>>>,
        end: &'static str,
    ) {
        let (read, mut write) = server.into_split();
        write.write_all(b"{\"QMP\": {}}\n").await.unwrap();
        let mut lines = BufReader::new(read).lines();
        let (mut looks, mut running) = (0, false);
        while let Ok(Some(line)) = lines.next_line().await {
            let command: Value = serde_json::from_str(&line).unwrap();
            let name = command["execute"].as_str().unwrap().to_owned();
            asked.lock().unwrap().push(name.clone());
            let mut returned = json!({});
            match name.as_str() {
                "migrate" => {
                    let mut stream = sockets.connect(SOCKET).await.unwrap();
                    tokio::spawn(async move { stream.write_all(STATE).await.unwrap() });
                }
                "migrate-incoming" => {
                    let listener = sockets.listen(SOCKET).unwrap();
                    let received = Arc::clone(&received);
                    tokio::spawn(async move {
                        let (mut stream, _) = listener.accept().await.unwrap();
                        let mut state = Vec::new();
                        stream.read_to_end(&mut state).await.unwrap();
                        *received.lock().unwrap() = state;
                    });
                }
                "query-migrate" | "query-status" => {
                    looks += 1;
                    let waiting = if name == "query-migrate" {
                        "active"
                    } else {
                        "inmigrate"
                    };
                    let status = match (running, looks) {
                        (true, _) => "running",
                        (_, 1..=3) => waiting,
                        _ => end,
                    };
                    returned = json!({"status": status});
                }
                "cont" => {
                    assert!(looks > 3, "cont came while the state was still being taken in");
                    running = true;
                }
                _ => {}
            }
            let answer = json!({"return": returned, "id": command["id"]});
            write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_machine_is_stopped_before_its_state_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut qemu = FakeQemu::new(&folder, "completed").await;
        let state = save(&mut qemu.monitor, &qemu.sockets).await.unwrap();
        assert_eq!(state, STATE);
        assert_eq!(
            qemu.asked()[1..],
            ["migrate-set-capabilities", "stop", "migrate", "query-migrate"]
        );
    }

    #[tokio::test]
    async fn a_restored_machine_runs_only_once_its_state_has_been_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut qemu = FakeQemu::new(&folder, "paused").await;
        restore(&mut qemu.monitor, &qemu.sockets, STATE).await.unwrap();
        assert_eq!(*qemu.received.lock().unwrap(), STATE);
        assert_eq!(
            qemu.asked()[1..],
            [
                "migrate-set-capabilities",
                "migrate-incoming",
                "query-status",
                "cont",
                "query-status"
            ]
        );
    }

    #[tokio::test]
    async fn a_migration_that_fails_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let mut qemu = FakeQemu::new(&folder, "failed").await;
        let error = save(&mut qemu.monitor, &qemu.sockets).await.unwrap_err();
        assert!(matches!(error, SnapshotError::Failed(_)), "{error}");
    }
}
