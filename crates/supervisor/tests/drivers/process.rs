//! The process driver with the real guest program. Skipped, saying why, where it or an interpreter is missing.

use std::path::Path;

use crate::sandbox::{Connection, agent, guest_program, patiently};
use coracle_guest_proto::message::Request;
use coracle_supervisor::driver::process::{ProcessConfig, ProcessDriver};
use coracle_supervisor::driver::{AgentSpec, Driver, Machine, PrepareError};
use coracle_types::{RuntimeKind, SandboxId};

struct Bench {
    folder: tempfile::TempDir,
    driver: ProcessDriver,
    agent: AgentSpec,
}

impl Bench {
    fn new(path: Option<&str>) -> Option<Self> {
        let guest = guest_program()
            .inspect_err(|reason| println!("skipped: {reason}"))
            .ok()?;
        let folder = tempfile::tempdir().unwrap();
        let (code, agent) = agent(folder.path(), RuntimeKind::Python311);
        // Any Python of the machine serves as the runtime's: the driver is what is tested.
        let found = std::process::Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let Ok(found) = found else {
            println!("skipped: there is no python3 on this machine");
            return None;
        };
        let interpreter = String::from_utf8(found.stdout).unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(interpreter.trim(), bin.join("python3.11")).unwrap();
        let driver = ProcessDriver::new(ProcessConfig {
            data_dir: folder.path().to_owned(),
            code,
            guest,
            host_network: false,
            path: path.map_or_else(|| format!("{}:/usr/bin:/bin", bin.display()), str::to_owned),
        });
        Some(Self {
            folder,
            driver,
            agent,
        })
    }

    async fn started(&self) -> (Box<dyn Machine>, Connection) {
        self.driver.prepare(&self.agent).await.unwrap();
        let booted = self.driver.boot(SandboxId::new(), &self.agent).await.unwrap();
        let mut connection = Connection::new(booted.channel).await;
        connection.start(booted.start).await;
        (booted.machine, connection)
    }

    /// What is left of all sandboxes: files and processes.
    fn left(&self) -> Vec<String> {
        let processes = self.folder.path().join("processes");
        let folders = std::fs::read_dir(&processes).unwrap().flatten();
        let mut left: Vec<String> = folders.map(|entry| entry.path().display().to_string()).collect();
        left.extend(workers_in(&processes));
        left
    }
}

/// What the kernel says of the processes that work in the folder or below.
fn workers_in(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let working = processes.filter(|process| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|at| at.starts_with(folder))
    });
    working
        .map(|process| std::fs::read_to_string(process.path().join("stat")).unwrap_or_default())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_use_the_same_port_and_leave_nothing() {
    let Some(bench) = Bench::new(None) else { return };
    let (mut one, first) = bench.started().await;
    let (mut other, second) = bench.started().await;
    assert_eq!(first.get("/visits").await.unwrap(), "1");
    assert_eq!(first.get("/visits").await.unwrap(), "2");
    assert_eq!(second.get("/visits").await.unwrap(), "1");
    let body = vec![b'x'; 5_000_000];
    assert!(second.echo(&body).await == body);
    first.logs_until(&["started", "complaint"]).await;
    assert!(one.memory().private > 0);
    one.destroy().await;
    other.destroy().await;
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_agent_is_reported() {
    let Some(bench) = Bench::new(None) else { return };
    let (mut machine, mut connection) = bench.started().await;
    assert_eq!(connection.get("/exit").await, None);
    assert_eq!(connection.exited().await.code, Some(7));
    connection
        .request(Request::Shutdown { grace_millis: 100 })
        .await
        .unwrap();
    let end = patiently("the end", machine.ended()).await;
    assert!(end.contains("exit status: 0"), "{end}");
    machine.destroy().await;
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_interpreter_is_named() {
    let Some(bench) = Bench::new(Some("/nowhere")) else {
        return;
    };
    let refused = bench.driver.prepare(&bench.agent).await.unwrap_err();
    assert!(
        matches!(&refused, PrepareError::Refused(text) if text.contains("python3.11")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_is_swept_away() {
    let Some(bench) = Bench::new(None) else { return };
    let (machine, connection) = bench.started().await;
    connection.get("/visits").await.unwrap();
    #[expect(clippy::mem_forget, reason = "a server that is killed runs no destructors")]
    std::mem::forget(machine);
    assert_eq!(bench.driver.sweep(&[]).await.unwrap().removed, 1);
    patiently("the agent's end", async {
        while !bench.left().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    drop(connection);
}
