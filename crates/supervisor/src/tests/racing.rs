//! Starts, stops and failures that meet each other, on real threads.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use coracle_types::SandboxId;
use futures::future::join_all;

use super::*;
use crate::driver::{BootError, Booted, Driver, PrepareError, Swept};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_never_runs_twice_whoever_starts_and_stops_it() {
    let world = World::new();
    let names = ["one", "two", "three"];
    let worker = async |number: usize| {
        let spec = spec(&[]);
        for step in 0..40 {
            let name = names[(number + step) % names.len()];
            if (number * 7 + step).is_multiple_of(3) {
                world.supervisor.stop(&key(name)).await.ok();
                continue;
            }
            match world.acquire(name, &spec).await {
                // The session may be stopped under the request.
                Ok(lease) => drop(tokio::time::timeout(Duration::from_secs(5), lease.connect()).await),
                Err(AcquireError::InProgress) => tokio::time::sleep(Duration::from_millis(2)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    join_all((0..8).map(worker)).await;
    let directory = Arc::clone(&world.directory);
    world.finish().await;
    let mut owners = HashMap::new();
    for record in directory.records() {
        match record {
            Record::Claimed(key, _, sandbox, generation) => {
                assert!(
                    owners.insert(key.clone(), generation).is_none(),
                    "{key} was claimed for {sandbox} twice"
                );
            }
            Record::Ready(key, generation) => assert_eq!(owners.get(&key), Some(&generation)),
            Record::Ended(key, generation, _) | Record::Hibernated(key, generation) => {
                assert_eq!(owners.remove(&key), Some(generation));
            }
        }
    }
    assert!(owners.is_empty());
}

/// Panics at its first boot.
#[derive(Default)]
struct Clumsy {
    simulated: SimulatedDriver,
    careful: AtomicBool,
}

#[async_trait]
impl Driver for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }

    async fn prepare(&self, agent: &AgentSpec) -> Result<(), PrepareError> {
        self.simulated.prepare(agent).await
    }

    async fn boot(&self, sandbox: SandboxId, agent: &AgentSpec) -> Result<Booted, BootError> {
        tokio::task::yield_now().await;
        assert!(self.careful.swap(true, Ordering::SeqCst), "clumsy");
        self.simulated.boot(sandbox, agent).await
    }

    async fn sweep(&self, keep: &[SandboxId]) -> io::Result<Swept> {
        self.simulated.sweep(keep).await
    }
}

#[tokio::test]
async fn a_panic_costs_only_its_own_start() {
    let (driver, directory) = (Arc::new(Clumsy::default()), Arc::new(MemoryDirectory::default()));
    let logs = Arc::new(MemoryLogs::default());
    let config = SupervisorConfig {
        concurrent_boots: 1,
        ..SupervisorConfig::default()
    };
    let supervisor = Supervisor::new(
        Arc::clone(&driver) as _,
        Arc::clone(&directory) as _,
        logs,
        config,
    );
    let lease = supervisor.acquire(key("one"), spec(&[])).await.unwrap();
    assert_eq!(post(&lease, json!(1)).await.unwrap().1, json!(1));
    drop(lease);
    supervisor.drain(Duration::ZERO).await;
    assert_eq!(driver.simulated.live(), 0);
    assert_eq!(directory.claimed(), 0);
}
