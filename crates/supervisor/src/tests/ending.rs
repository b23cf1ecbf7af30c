//! How sessions end.

use super::*;

/// Lets a session become ready and unused.
async fn started(world: &World, spec: &Arc<SessionSpec>) {
    drop(world.acquire("one", spec).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_ends_after_its_idle_timeout() {
    let world = World::new();
    started(&world, &spec(&[])).await;
    tokio::time::sleep(Duration::from_secs(890)).await;
    assert_eq!(world.state("one"), Some(SessionState::Idle));
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.gone("one").await;
    assert_eq!(world.ends(), ["idle"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_and_a_busy_agent_hold_the_idle_timer_off() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert_eq!(world.state("one"), Some(SessionState::Active));
    post(&lease, json!({"do": "ping", "status": "HealthyBusy"}))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(lease);
    tokio::time::sleep(Duration::from_secs(2000)).await;
    assert_eq!(world.state("one"), Some(SessionState::Active));
    world
        .invoke("one", json!({"do": "ping", "status": "Healthy"}))
        .await;
    tokio::time::sleep(Duration::from_secs(950)).await;
    world.gone("one").await;
    assert_eq!(world.ends(), ["idle"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_maximum_lifetime_ends_a_session_in_use() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    let (broken, took) = timed(post(&lease, json!({"do": "hang"}))).await;
    assert!(broken.is_err());
    assert!((28_799..28_810).contains(&took.as_secs()), "{took:?}");
    assert!(matches!(
        lease.why_failed().await.unwrap().reason,
        EndReason::LifetimeOver
    ));
    world.gone("one").await;
    assert_eq!(world.ends(), ["lifetime"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_agent_ends_its_session() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    post(&lease, json!({"do": "ping", "status": "Unhealthy"}))
        .await
        .unwrap();
    let (broken, took) = timed(post(&lease, json!({"do": "hang"}))).await;
    assert!(broken.is_err());
    assert!((10..25).contains(&took.as_secs()), "{took:?}");
    let end = lease.why_failed().await.unwrap();
    assert!(
        matches!(&end.reason, EndReason::Unhealthy { last_failure } if last_failure.contains("Unhealthy"))
    );
    world.gone("one").await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_answers_with_its_only_thread_is_not_unhealthy() {
    let world = World::new();
    let answer = world
        .invoke("one", json!({"do": "block", "millis": 600_000}))
        .await;
    assert_eq!(answer, json!({"done": true}));
    // Blocked without a request, it is.
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    let blocking = post(&lease, json!({"do": "block", "millis": 600_000}));
    assert!(
        tokio::time::timeout(Duration::from_secs(60), blocking)
            .await
            .is_err()
    );
    drop(lease);
    world.gone("one").await;
    assert_eq!(world.ends(), ["unhealthy"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_exits_during_a_request_is_quoted_and_replaced() {
    let world = World::new();
    world.invoke("one", json!({"do": "remember", "value": 1})).await;
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    assert!(
        post(
            &lease,
            json!({"do": "exit", "code": 7, "text": "fatal: out of tokens"})
        )
        .await
        .is_err()
    );
    let end = lease
        .why_failed()
        .await
        .expect("the end is known within a second");
    assert_eq!(end.exit.unwrap().code, Some(7));
    assert_eq!(end.last_log_lines, ["fatal: out of tokens"]);
    drop(lease);
    world.gone("one").await;
    assert_eq!(
        world.invoke("one", json!({"do": "recall"})).await,
        json!({"value": null})
    );
    assert_eq!(world.ends(), ["agent_exited"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_only_closes_the_connection_lives_on() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    assert!(post(&lease, json!({"do": "close"})).await.is_err());
    assert!(
        post(&lease, json!({"do": "close", "after_bytes": 10}))
            .await
            .is_err()
    );
    let (end, took) = timed(lease.why_failed()).await;
    assert!(end.is_none());
    assert!(took <= Duration::from_millis(1100), "{took:?}");
    assert_eq!(post(&lease, json!(1)).await.unwrap().1, json!(1));
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_powers_off_ends_its_session() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    assert!(post(&lease, json!({"do": "power_off"})).await.is_err());
    assert!(matches!(
        lease.why_failed().await.unwrap().reason,
        EndReason::HostFailed(_)
    ));
    world.gone("one").await;
    world.invoke("one", json!(1)).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_after_a_stop_waits_for_the_end_and_starts_afresh() {
    let world = World::new();
    assert_eq!(world.supervisor.stop(&key("one")).await, Err(StopError::NotFound));
    world.invoke("one", json!({"do": "remember", "value": 1})).await;
    let first = world.supervisor.session(&key("one")).unwrap().sandbox;
    world.supervisor.stop(&key("one")).await.unwrap();
    assert_eq!(world.state("one"), Some(SessionState::Stopping));
    assert_eq!(
        world.supervisor.stop(&key("one")).await,
        Err(StopError::InProgress)
    );
    assert_eq!(
        world.invoke("one", json!({"do": "recall"})).await,
        json!({"value": null})
    );
    assert_ne!(world.supervisor.session(&key("one")).unwrap().sandbox, first);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_has_used_all_it_may_loses_its_sessions_and_no_others() {
    let world = World::new();
    world.invoke("one", json!(1)).await;
    world.invoke("two", json!(1)).await;
    let other = SessionKey {
        runtime: "other-AbCdEf0123".parse().unwrap(),
        ..key("one")
    };
    drop(world.supervisor.acquire(other.clone(), spec(&[])).await.unwrap());
    let cap = Cap::Cpu(Duration::from_secs(60));
    let stopped = world.supervisor.stop_runtime(&key("one").runtime, cap).await;
    assert_eq!(stopped, 2);
    world.gone("one").await;
    world.gone("two").await;
    assert_eq!(world.ends(), ["cap_reached"; 2]);
    assert!(world.supervisor.session(&other).is_some());
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn draining_lets_requests_finish_and_then_leaves_nothing() {
    let world = World::new();
    world.invoke("idle", json!(1)).await;
    let quick = world.acquire("quick", &spec(&[])).await.unwrap();
    let hanging = world.acquire("hanging", &spec(&[])).await.unwrap();
    let requests = async {
        let answer = post(&quick, json!({"do": "sleep", "millis": 5000})).await;
        drop(quick);
        answer
    };
    let drained = timed(world.supervisor.drain(Duration::from_secs(20)));
    let (answer, broken, ((), took)) = tokio::join!(requests, post(&hanging, json!({"do": "hang"})), drained);
    assert_eq!(answer.unwrap().0, StatusCode::OK);
    assert!(broken.is_err());
    assert!((20..22).contains(&took.as_secs()), "{took:?}");
    let refused = world.acquire("new", &spec(&[])).await;
    assert!(matches!(refused, Err(AcquireError::ShuttingDown)));
    assert_eq!(world.ends(), ["drained"; 3]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn draining_during_a_start_waits_for_it() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_BOOT", "slow:3000")]);
    let draining = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.supervisor.drain(Duration::from_secs(60)).await;
    };
    let request = async {
        post(&world.acquire("one", &slow).await.unwrap(), json!(1))
            .await
            .unwrap()
    };
    let ((status, _), ()) = tokio::join!(request, draining);
    assert_eq!(status, StatusCode::OK);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn every_start_has_a_higher_generation_and_is_claimed_before_it_is_ready() {
    let world = World::new();
    for _ in 0..2 {
        world.invoke("one", json!(1)).await;
        world.supervisor.stop(&key("one")).await.unwrap();
        world.gone("one").await;
    }
    let records = world.directory.records();
    let shape: Vec<_> = records
        .iter()
        .map(|record| match record {
            Record::Claimed(_, _, _, generation) => ("claimed", generation.0),
            Record::Ready(_, generation) => ("ready", generation.0),
            Record::Ended(_, generation, _) => ("ended", generation.0),
            Record::Hibernated(_, generation) => ("hibernated", generation.0),
        })
        .collect();
    assert_eq!(
        shape,
        [
            ("claimed", 1),
            ("ready", 1),
            ("ended", 1),
            ("claimed", 2),
            ("ready", 2),
            ("ended", 2)
        ]
    );
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_resets_the_agents_connection() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    for _ in 0..500 {
        let hanging = post(&lease, json!({"do": "hang"}));
        assert!(
            tokio::time::timeout(Duration::from_millis(10), hanging)
                .await
                .is_err()
        );
    }
    // More connections than a channel carries: the dropped ones are gone.
    assert_eq!(post(&lease, json!(1)).await.unwrap().1, json!(1));
    drop(lease);
    world.finish().await;
}
