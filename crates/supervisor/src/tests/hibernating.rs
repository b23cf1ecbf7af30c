//! Sessions that are kept while nobody uses them.

use super::*;
use crate::driver::Origin;
use crate::{Hibernated, Hibernation, HibernationTotals};

const AFTER: Duration = Duration::from_secs(60);

/// As [`spec`], and hibernated.
fn sleepy(environment: &[(&str, &str)]) -> Arc<SessionSpec> {
    with(environment, None)
}

fn with(environment: &[(&str, &str)], keep: Option<Duration>) -> Arc<SessionSpec> {
    Arc::new(SessionSpec {
        hibernation: Some(Hibernation { after: AFTER, keep }),
        ..SessionSpec::clone(&spec(environment))
    })
}

impl World {
    async fn remember(&self, name: &str, spec: &Arc<SessionSpec>) {
        let lease = self.acquire(name, spec).await.unwrap();
        post(&lease, json!({"do": "remember", "value": name}))
            .await
            .unwrap();
    }

    /// What a session remembers, and how it came to be.
    async fn recall(&self, name: &str, spec: &Arc<SessionSpec>) -> (Value, Origin) {
        let lease = self.acquire(name, spec).await.unwrap();
        let answer = post(&lease, json!({"do": "recall"})).await.unwrap().1;
        (answer["value"].clone(), lease.start_phases().origin)
    }

    async fn hibernates(&self, name: &str) {
        self.gone(name).await;
        assert_eq!(self.driver.hibernated(), 1);
        assert_eq!(self.driver.live(), 0, "it still runs");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_hibernated_and_goes_on_where_it_was() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(AFTER - Duration::from_secs(1)).await;
    assert_eq!(world.state("one"), Some(SessionState::Idle));
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.hibernates("one").await;
    // Long after the 15 minutes.
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(world.recall("one", &session).await, (json!("one"), Origin::Woken));
    // And again.
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    assert_eq!(world.recall("one", &session).await, (json!("one"), Origin::Woken));
    let totals = world.supervisor.hibernation_totals();
    assert_eq!((totals.hibernated, totals.woken), (2, 2));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn another_server_wakes_what_this_one_hibernated() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    world.supervisor.drain(Duration::ZERO).await;
    let later = World {
        supervisor: Supervisor::new(
            Arc::clone(&world.driver) as _,
            Arc::clone(&world.directory) as _,
            Arc::clone(&world.logs) as _,
            SupervisorConfig::default(),
        ),
        ..world
    };
    assert_eq!(later.recall("one", &session).await, (json!("one"), Origin::Woken));
    later.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_session_is_never_hibernated() {
    let world = World::new();
    let session = sleepy(&[]);
    let lease = world.acquire("busy", &session).await.unwrap();
    post(&lease, json!({"do": "ping", "status": "HealthyBusy"}))
        .await
        .unwrap();
    drop(lease);
    tokio::time::sleep(10 * AFTER).await;
    assert_eq!(world.state("busy"), Some(SessionState::Active));
    let lease = world.acquire("open", &session).await.unwrap();
    tokio::time::sleep(10 * AFTER).await;
    assert_eq!(world.state("open"), Some(SessionState::Active));
    drop(lease);
    assert_eq!(world.driver.hibernated(), 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_became_busy_since_its_last_ping_stays_awake() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    // Probed every five seconds: just after a probe, it becomes busy of its own accord, so to speak.
    tokio::time::sleep(AFTER - Duration::from_millis(500)).await;
    world.driver.all_become_busy();
    tokio::time::sleep(10 * AFTER).await;
    assert_eq!(world.driver.hibernated(), 0);
    assert!(world.state("one").is_some());
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_a_session_falling_asleep_wakes_it() {
    let world = World::new();
    let session = sleepy(&[("SIMULATED_HIBERNATE", "slow:2000")]);
    world.remember("one", &session).await;
    tokio::time::sleep(AFTER + Duration::from_millis(500)).await;
    assert_eq!(world.state("one"), Some(SessionState::Stopping));
    assert_eq!(world.recall("one", &session).await, (json!("one"), Origin::Woken));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hibernated_session_is_stopped_like_any_other() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    world.supervisor.stop(&key("one")).await.unwrap();
    assert_eq!(world.driver.hibernated(), 0);
    assert_eq!(world.supervisor.stop(&key("one")).await, Err(StopError::NotFound));
    assert_eq!(world.recall("one", &session).await, (Value::Null, Origin::Booted));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_runtime_leaves_no_hibernated_session() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    let of = |endpoint: &str| (key("one").runtime, endpoint.parse().unwrap());
    let (runtime, other) = of("other");
    assert_eq!(
        world
            .supervisor
            .forget_hibernated(Hibernated::Runtime(&runtime, Some(&other)))
            .await,
        0
    );
    assert_eq!(
        world
            .supervisor
            .forget_hibernated(Hibernated::Runtime(&runtime, None))
            .await,
        1
    );
    assert_eq!(world.driver.hibernated(), 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_version_left_is_of_no_use_to_this_one() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    let newer = Arc::new(SessionSpec {
        version: VersionNumber::new(2).unwrap(),
        ..SessionSpec::clone(&session)
    });
    assert_eq!(world.recall("one", &newer).await, (Value::Null, Origin::Booted));
    assert_eq!(world.driver.hibernated(), 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_goes_on_in_hibernation_unless_it_is_allowed_to_end() {
    let (hour, keep) = (Duration::from_secs(3600), Some(Duration::from_secs(24 * 3600)));
    for (session, after_9_hours) in [(sleepy(&[]), None), (with(&[], keep), Some(json!("one")))] {
        let world = World::new();
        world.remember("one", &session).await;
        tokio::time::sleep(7 * hour).await;
        world.hibernates("one").await;
        // 7 of 8 hours are over: it lives one more.
        let lease = world.acquire("one", &session).await.unwrap();
        tokio::time::sleep(hour / 2).await;
        assert!(world.state("one").is_some());
        drop(lease);
        tokio::time::sleep(hour * 3 / 2).await;
        let (value, _) = world.recall("one", &session).await;
        assert_eq!(value, after_9_hours.unwrap_or(Value::Null));
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn expired_sessions_are_removed() {
    let world = World::new();
    let session = sleepy(&[]);
    world.remember("one", &session).await;
    tokio::time::sleep(2 * AFTER).await;
    world.hibernates("one").await;
    assert_eq!(world.supervisor.forget_hibernated(Hibernated::Expired).await, 0);
    tokio::time::sleep(session.max_lifetime).await;
    assert_eq!(world.supervisor.forget_hibernated(Hibernated::Expired).await, 1);
    assert_eq!(world.driver.hibernated(), 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_hibernated_or_woken_begins_afresh() {
    for wish in ["SIMULATED_HIBERNATE", "SIMULATED_WAKE"] {
        let world = World::new();
        let session = sleepy(&[(wish, "fail")]);
        world.remember("one", &session).await;
        tokio::time::sleep(2 * AFTER).await;
        world.gone("one").await;
        assert_eq!(world.recall("one", &session).await, (Value::Null, Origin::Booted));
        let HibernationTotals {
            not_hibernated,
            not_woken,
            woken,
            ..
        } = world.supervisor.hibernation_totals();
        assert_eq!((not_hibernated + not_woken, woken), (1, 0), "{wish}");
        assert_eq!(world.driver.hibernated(), 0);
        world.finish().await;
    }
}
