//! Sessions on a host that runs short of memory.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const RESERVE: u64 = 1000;
/// What the host of the one test below has left.
static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);

#[tokio::test(start_paused = true)]
async fn a_host_that_is_short_of_memory_refuses_new_sessions_and_keeps_the_others() {
    let world = World::with(SupervisorConfig {
        memory_reserve: RESERVE,
        available_memory: || Some(LEFT.load(Ordering::SeqCst)),
        ..SupervisorConfig::default()
    });
    world.invoke("one", json!(1)).await;
    LEFT.store(RESERVE - 1, Ordering::SeqCst);
    let refused = world.acquire("two", &spec(&[])).await;
    assert!(matches!(refused, Err(AcquireError::OutOfMemory { available }) if available == RESERVE - 1));
    assert_eq!(world.supervisor.refused_for_memory(), 1);
    assert_eq!(world.invoke("one", json!("still")).await, json!("still"));
    LEFT.store(RESERVE, Ordering::SeqCst);
    assert_eq!(world.invoke("two", json!("now")).await, json!("now"));
    world.finish().await;
}
