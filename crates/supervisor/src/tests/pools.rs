//! Sandboxes that stand ready.

use super::*;
use crate::driver::Origin;
use crate::{Hibernation, PoolInfo, PoolSpec, PoolTotals};

fn pool(size: &str, session: &Arc<SessionSpec>) -> PoolSpec {
    PoolSpec {
        runtime: key("any").runtime,
        endpoint: key("any").endpoint,
        session: Arc::clone(session),
        size: size.parse().unwrap(),
    }
}

/// As [`spec`], and of another version.
fn version(number: u32) -> Arc<SessionSpec> {
    Arc::new(SessionSpec {
        version: VersionNumber::new(number).unwrap(),
        ..SessionSpec::clone(&spec(&[]))
    })
}

impl World {
    fn pool(&self) -> PoolInfo {
        self.supervisor.pools().pop().expect("a pool")
    }

    async fn ready(&self, count: usize) {
        let what = format!("{count} stand ready");
        eventually(&what, || {
            let pool = self.pool();
            pool.ready == count && pool.starting == 0 && self.driver.paused() == count
        })
        .await;
    }

    async fn origin(&self, name: &str, spec: &Arc<SessionSpec>) -> (Lease, Origin) {
        let lease = self.acquire(name, spec).await.unwrap();
        let origin = lease.start_phases().origin;
        (lease, origin)
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_a_sandbox_that_stands_ready_and_another_follows() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_START", "slow:5000"), ("SIMULATED_PRINT", "hello")]);
    world.supervisor.set_pools(vec![pool("2", &slow)]);
    world.ready(2).await;
    let ((lease, origin), took) = timed(world.origin("one", &slow)).await;
    assert_eq!(origin, Origin::Warm);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(post(&lease, json!("hi")).await.unwrap().1, json!("hi"));
    let sandbox = world.supervisor.session(&key("one")).unwrap().sandbox;
    assert_eq!(lease.sandbox(), sandbox);
    eventually("its output is the session's", || {
        world.logs.of(&key("one")) == ["hello"]
    })
    .await;
    world.ready(2).await;
    assert_eq!(world.driver.live(), 3);
    assert_eq!(world.supervisor.pool_totals(), PoolTotals { hits: 1, misses: 0 });
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn no_two_sessions_take_the_same_sandbox() {
    let world = World::new();
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("3", &session)]);
    world.ready(3).await;
    let names: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    let starting = names.iter().map(|name| world.origin(name, &session));
    let started = futures::future::join_all(starting).await;
    let sandboxes: std::collections::HashSet<_> = started.iter().map(|(lease, _)| lease.sandbox()).collect();
    assert_eq!(sandboxes.len(), 8);
    let warm = started
        .iter()
        .filter(|(_, origin)| *origin == Origin::Warm)
        .count();
    assert_eq!(world.supervisor.pool_totals(), PoolTotals { hits: 3, misses: 5 });
    assert_eq!(warm, 3);
    drop(started);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_only_what_it_would_run() {
    let world = World::new();
    world.supervisor.set_pools(vec![pool("1", &version(1))]);
    world.ready(1).await;
    let (_lease, origin) = world.origin("one", &version(2)).await;
    assert_eq!(origin, Origin::Booted);
    let environment = spec(&[("A", "b")]);
    let (_lease, origin) = world.origin("two", &environment).await;
    assert_eq!(origin, Origin::Booted);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_wakes_takes_none_that_stands_ready() {
    let world = World::new();
    let session = Arc::new(SessionSpec {
        hibernation: Some(Hibernation {
            after: Duration::from_secs(10),
            keep: None,
        }),
        ..SessionSpec::clone(&spec(&[]))
    });
    world.supervisor.set_pools(vec![pool("1", &session)]);
    world.ready(1).await;
    let (lease, origin) = world.origin("one", &session).await;
    assert_eq!(origin, Origin::Warm);
    post(&lease, json!({"do": "remember", "value": 1})).await.unwrap();
    drop(lease);
    world.gone("one").await;
    assert_eq!(world.driver.hibernated(), 1);
    world.ready(1).await;
    let boots = world.driver.boots();
    let (lease, origin) = world.origin("one", &session).await;
    assert_eq!(origin, Origin::Woken);
    let answer = post(&lease, json!({"do": "recall"})).await.unwrap().1;
    assert_eq!(answer["value"], json!(1));
    assert_eq!(world.supervisor.pool_totals(), PoolTotals { hits: 1, misses: 0 });
    assert_eq!(world.pool().ready, 1, "it is still there");
    assert_eq!(world.driver.boots(), boots);
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn each_version_that_sessions_begin_with_has_a_pool() {
    let world = World::new();
    world
        .supervisor
        .set_pools(vec![pool("2", &version(1)), pool("1", &version(2))]);
    eventually("all stand ready", || world.driver.paused() == 3).await;
    for (name, number) in [("one", 1), ("two", 2)] {
        let (lease, origin) = world.origin(name, &version(number)).await;
        assert_eq!(origin, Origin::Warm);
        assert_eq!(
            world.supervisor.session(&key(name)).unwrap().version,
            VersionNumber::new(number).unwrap()
        );
        drop(lease);
    }
    // The share is given up; what the other version has stays.
    eventually("both are full again", || world.driver.paused() == 3).await;
    let boots = world.driver.boots();
    world.supervisor.set_pools(vec![pool("2", &version(1))]);
    eventually("one pool is gone", || world.driver.paused() == 2).await;
    assert_eq!(world.driver.boots(), boots);
    let (_lease, origin) = world.origin("three", &version(2)).await;
    assert_eq!(origin, Origin::Booted);
    assert_eq!(world.supervisor.pool_totals(), PoolTotals { hits: 2, misses: 1 });
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_follows_its_version_and_goes_with_its_endpoint() {
    let world = World::new();
    world.supervisor.set_pools(vec![pool("2", &version(1))]);
    world.ready(2).await;
    world.supervisor.set_pools(vec![pool("2", &version(2))]);
    eventually("the old ones are gone", || world.driver.live() <= 2).await;
    world.ready(2).await;
    assert_eq!(world.driver.boots(), 4);
    let (_lease, origin) = world.origin("one", &version(2)).await;
    assert_eq!(origin, Origin::Warm);
    // Said again, nothing is made anew.
    world.ready(2).await;
    world.supervisor.set_pools(vec![pool("2", &version(2))]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.driver.boots(), 5);
    world.supervisor.set_pools(Vec::new());
    eventually("the pool is gone", || world.driver.live() == 1).await;
    assert!(world.supervisor.pools().is_empty());
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_ends_by_itself_is_replaced() {
    let world = World::new();
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("2", &session)]);
    world.ready(2).await;
    world.driver.cut_power();
    eventually("both are replaced", || world.driver.boots() == 4).await;
    world.ready(2).await;
    let (lease, _) = world.origin("one", &session).await;
    assert_eq!(post(&lease, json!(1)).await.unwrap().1, json!(1));
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_while_it_is_taken_is_made_up_for() {
    let world = World::new();
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("1", &session)]);
    world.ready(1).await;
    world.driver.cut_power();
    let (lease, origin) = world.origin("one", &session).await;
    assert_eq!(origin, Origin::Booted);
    assert_eq!(post(&lease, json!(1)).await.unwrap().1, json!(1));
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_with_demand_and_shrinks_without() {
    let world = World::new();
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("1-4", &session)]);
    world.ready(1).await;
    for name in ["one", "two", "three"] {
        drop(world.acquire(name, &session).await.unwrap());
    }
    world.ready(3).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    world.ready(1).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn sessions_come_before_pools_when_there_is_no_room_for_both() {
    let world = World::with(SupervisorConfig {
        max_sessions: 3,
        ..SupervisorConfig::default()
    });
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("2", &session)]);
    world.ready(2).await;
    let mut leases = Vec::new();
    for name in ["one", "two", "three"] {
        leases.push(world.acquire(name, &session).await.unwrap());
    }
    world.ready(0).await;
    assert!(matches!(
        world.acquire("four", &session).await,
        Err(AcquireError::TooManySessions { .. })
    ));
    leases.clear();
    world.supervisor.stop(&key("one")).await.unwrap();
    world.gone("one").await;
    world.ready(1).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_start_is_tried_ever_less_often() {
    let world = World::new();
    let broken = spec(&[("SIMULATED_START", "exit:1")]);
    world.supervisor.set_pools(vec![pool("3", &broken)]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let boots = world.driver.boots();
    assert!((40..90).contains(&boots), "{boots} in an hour");
    assert_eq!(world.pool().ready, 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn pools_are_filled_when_no_session_is_being_started() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_BOOT", "slow:1000")]);
    let starting = world.acquire("one", &slow);
    let filling = async {
        tokio::task::yield_now().await;
        world.supervisor.set_pools(vec![pool("1", &slow)]);
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(world.driver.boots(), 1, "the pool did not wait");
    };
    let (lease, ()) = tokio::join!(starting, filling);
    drop(lease);
    world.ready(1).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_sandbox_is_answered_before_another_is_made() {
    let world = World::new();
    let session = spec(&[]);
    world.supervisor.set_pools(vec![pool("1", &session)]);
    world.ready(1).await;
    let boots = world.driver.boots();
    let lease = world.acquire("one", &session).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.driver.boots(), boots, "the pool did not wait");
    world.ready(1).await;
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_the_server_goes_down_while_a_pool_is_filled() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_BOOT", "slow:60000")]);
    world.supervisor.set_pools(vec![pool("2", &slow)]);
    eventually("one is being made", || world.driver.boots() > 0).await;
    let ((), took) = timed(world.finish()).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}
