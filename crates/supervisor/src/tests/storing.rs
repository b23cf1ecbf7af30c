//! Sessions that find again what they kept.

use super::*;
use crate::PoolSpec;
use crate::driver::{Driver as _, Origin};
use coracle_types::StorageId;

fn keeping(version: u32, environment: &[(&str, &str)]) -> Arc<SessionSpec> {
    let mut spec = SessionSpec::clone(&spec(environment));
    spec.version = VersionNumber::new(version).unwrap();
    spec.agent.storage = Some("/mnt/data".to_owned());
    Arc::new(spec)
}

impl World {
    /// Begins a session, ends it, and returns the storage that its sandbox got.
    async fn used_by(&self, name: &str, spec: &Arc<SessionSpec>) -> StorageId {
        let storage = self.begun(name, spec).await.1;
        self.supervisor.stop(&key(name)).await.unwrap();
        self.gone(name).await;
        storage
    }

    async fn begun(&self, name: &str, spec: &Arc<SessionSpec>) -> (Origin, StorageId) {
        let lease = self.acquire(name, spec).await.unwrap();
        let attached = self.driver.attached();
        let own = attached.iter().find(|(_, sandbox)| **sandbox == lease.sandbox());
        (lease.start_phases().origin, *own.expect("a storage").0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_gets_the_storage_of_its_last_run_and_another_version_a_new_one() {
    let world = World::new();
    let first = world.used_by("one", &keeping(1, &[])).await;
    assert_ne!(world.used_by("two", &keeping(1, &[])).await, first);
    assert_eq!(world.used_by("one", &keeping(1, &[])).await, first);
    let second = world.used_by("one", &keeping(2, &[])).await;
    assert_ne!(second, first);
    assert_eq!(world.supervisor.remove_unused_storages().await, 1);
    let left = world.driver.storages().await.unwrap();
    assert!(left.len() == 2 && !left.contains(&first), "{left:?}");
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn sandboxes_that_stand_ready_get_the_storage_of_whoever_takes_them() {
    let world = World::new();
    let session = keeping(1, &[]);
    let cold = world.used_by("one", &session).await;
    world.supervisor.set_pools(vec![PoolSpec {
        runtime: key("any").runtime,
        endpoint: key("any").endpoint,
        session: Arc::clone(&session),
        size: "1".parse().unwrap(),
    }]);
    eventually("one stands ready", || world.driver.paused() == 1).await;
    assert_eq!(world.driver.attached().len(), 1, "it has nobody's storage");
    assert_eq!(world.begun("one", &session).await, (Origin::Warm, cold));
    world.finish().await;
}
