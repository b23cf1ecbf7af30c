//! Sessions that outlive their server.

use coracle_types::{Consumption, Generation};

use super::*;
use crate::Orphan;
use crate::driver::{Driver, Swept};

/// Leaves everything that runs and begins again, as a server that is restarted.
async fn restarted(world: World, spec: &Arc<SessionSpec>, age: Duration) -> World {
    let sandboxes: Vec<_> = world
        .supervisor
        .sessions()
        .into_iter()
        .map(|info| (info.key, info.sandbox))
        .collect();
    world.supervisor.leave(Duration::ZERO).await;
    let ids: Vec<_> = sandboxes.iter().map(|(_, sandbox)| *sandbox).collect();
    let Swept { kept, .. } = world.driver.sweep(&ids).await.unwrap();
    let supervisor = Supervisor::new(
        Arc::clone(&world.driver) as _,
        Arc::clone(&world.directory) as _,
        Arc::clone(&world.logs) as _,
        SupervisorConfig::default(),
    );
    for (key, sandbox) in sandboxes {
        assert!(kept.contains(&sandbox));
        let generation = world.directory.generation(&key).unwrap_or(Generation(0));
        supervisor.adopt(Orphan {
            key,
            spec: Arc::clone(spec),
            sandbox,
            generation,
            began: jiff::Timestamp::now(),
            age,
            used: Consumption::default(),
        });
    }
    World { supervisor, ..world }
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_in_the_same_memory_under_the_next_server() {
    let world = World::new();
    world.invoke("one", json!({"do": "remember", "value": 7})).await;
    let before = world.supervisor.session(&key("one")).unwrap();
    let world = restarted(world, &spec(&[]), Duration::from_secs(10)).await;
    assert_eq!(
        world.invoke("one", json!({"do": "recall"})).await,
        json!({"value": 7})
    );
    let after = world.supervisor.session(&key("one")).unwrap();
    assert_eq!(after.sandbox, before.sandbox);
    assert_eq!(world.driver.boots(), 1);
    assert_eq!(world.ends(), [""; 0], "nothing has ended");
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn requests_under_way_have_time_and_then_learn_why_they_break() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    let leaving = timed(world.supervisor.leave(Duration::from_secs(20)));
    let (end, ((), took)) = tokio::join!(lease.ended(), leaving);
    assert!(matches!(end.reason, EndReason::Left));
    // And as long again as a log has to end that its caller keeps open.
    assert!((20..27).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_clocks_of_an_adopted_session_go_on() {
    let world = World::new();
    world
        .invoke("one", json!({"do": "burn", "cpu_millis": 2000}))
        .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let used = world.supervisor.session(&key("one")).unwrap().used;
    let world = restarted(world, &spec(&[]), Duration::from_secs(28_000)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = world.supervisor.session(&key("one")).unwrap().used;
    assert_eq!(after.cpu, Duration::from_secs(2));
    assert!(after.time >= used.time && after.memory_mib_seconds >= used.memory_mib_seconds);
    // Eight hours are its lifetime, whoever counts them.
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(800)).await;
    assert!(matches!(lease.ended().await.reason, EndReason::LifetimeOver));
    drop(lease);
    world.gone("one").await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_agent_is_not_idle_after_a_restart() {
    let world = World::new();
    world
        .invoke("one", json!({"do": "ping", "status": "HealthyBusy"}))
        .await;
    tokio::time::sleep(Duration::from_secs(2000)).await;
    let world = restarted(world, &spec(&[]), Duration::from_secs(2000)).await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(world.ends(), [""; 0]);
    assert_eq!(world.state("one"), Some(SessionState::Active));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_still_starts_is_not_left() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_START", "slow:5000")]);
    let starting = world.acquire("one", &slow);
    let leaving = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.supervisor.leave(Duration::ZERO).await;
    };
    let (refused, ()) = tokio::join!(starting, leaving);
    assert!(matches!(refused, Err(AcquireError::ShuttingDown)), "{refused:?}");
    assert_eq!(world.ends(), ["drained"]);
    world.finish().await;
}
