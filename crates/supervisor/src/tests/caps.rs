//! What sessions use, and what becomes of those that use too much; and the operator's last resort.

use super::*;

fn capped(caps: Caps, environment: &[(&str, &str)]) -> Arc<SessionSpec> {
    Arc::new(SessionSpec {
        caps,
        ..(*spec(environment)).clone()
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_session_uses_is_known_while_it_runs_and_when_it_has_ended() {
    let world = World::new();
    world
        .invoke("one", json!({"do": "burn", "cpu_millis": 1500}))
        .await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let used = world.supervisor.session(&key("one")).unwrap().used;
    assert_eq!(used.cpu, Duration::from_millis(1500));
    assert!((95..=101).contains(&used.time.as_secs()), "{used:?}");
    // Of simulated memory there are 64 MiB.
    assert!(
        (95 * 64..=101 * 64).contains(&used.memory_mib_seconds),
        "{used:?}"
    );
    world.supervisor.stop(&key("one")).await.unwrap();
    world.gone("one").await;
    let (end, info) = world.directory.reports().remove(0);
    assert_eq!(end.reason.kind(), "stopped");
    assert!(
        info.used.time >= used.time && info.used.cpu == used.cpu,
        "{info:?}"
    );
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_used_all_it_may_ends_and_its_caller_is_told() {
    let seconds = Duration::from_secs;
    for (caps, burned, kind) in [
        (
            Caps {
                cpu: Some(seconds(2)),
                ..Caps::default()
            },
            2000,
            "Cpu",
        ),
        (
            Caps {
                time: Some(seconds(60)),
                ..Caps::default()
            },
            0,
            "Time",
        ),
        (
            Caps {
                memory_mib_seconds: Some(64 * 60),
                ..Caps::default()
            },
            0,
            "Memory",
        ),
    ] {
        let world = World::new();
        let lease = world.acquire("one", &capped(caps, &[])).await.unwrap();
        post(&lease, json!({"do": "burn", "cpu_millis": burned}))
            .await
            .unwrap();
        // Its only thread is busy, so no probe is answered; it is measured all the same.
        let (broken, took) = timed(post(&lease, json!({"do": "block", "millis": 600_000}))).await;
        assert!(broken.is_err());
        assert!(took <= seconds(70), "{kind}: {took:?}");
        let EndReason::CapReached(reached) = lease.why_failed().await.unwrap().reason else {
            panic!("{kind} ended for another reason")
        };
        assert_eq!(reached.of, CapOf::Session);
        assert!(format!("{:?}", reached.cap).starts_with(kind));
        drop(lease);
        world.gone("one").await;
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_used_before_a_hibernation_counts() {
    let world = World::new();
    let caps = Caps {
        cpu: Some(Duration::from_secs(3)),
        ..Caps::default()
    };
    let spec = Arc::new(SessionSpec {
        hibernation: Some(crate::Hibernation {
            after: Duration::from_secs(60),
            keep: None,
        }),
        ..(*capped(caps, &[])).clone()
    });
    for _ in 0..2 {
        let lease = world.acquire("one", &spec).await.unwrap();
        post(&lease, json!({"do": "burn", "cpu_millis": 2000})).await.ok();
        drop(lease);
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert_eq!(world.state("one"), None);
    }
    // Simulated sandboxes keep their count over a hibernation, as real ones do not.
    assert_eq!(world.ends(), ["cap_reached"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_does_not_wait_for_the_agent_and_cuts_off_a_stop_that_does() {
    let world = World::new();
    for stopped_before in [false, true] {
        let lease = world.acquire("one", &spec(&[])).await.unwrap();
        post(&lease, json!({"do": "linger"})).await.unwrap();
        if stopped_before {
            world.supervisor.stop(&key("one")).await.unwrap();
        }
        let (killed, took) = timed(world.supervisor.kill(&key("one"))).await;
        assert!(killed.unwrap().is_gone);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(world.state("one"), None);
        assert_eq!(world.driver.live(), 0);
    }
    assert_eq!(world.ends(), ["killed", "stopped"]);
    assert_eq!(world.supervisor.kill(&key("one")).await, Err(StopError::NotFound));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hibernated_session_that_is_killed_is_forgotten() {
    let world = World::new();
    let spec = Arc::new(SessionSpec {
        hibernation: Some(crate::Hibernation {
            after: Duration::from_secs(60),
            keep: None,
        }),
        ..(*spec(&[("SIMULATED_HIBERNATE", "slow:5000")])).clone()
    });
    for asleep in [true, false] {
        drop(world.acquire("one", &spec).await.unwrap());
        tokio::time::sleep(Duration::from_secs(if asleep { 600 } else { 62 })).await;
        assert!(world.supervisor.kill(&key("one")).await.unwrap().is_gone);
        assert_eq!(
            (world.driver.hibernated(), world.driver.live()),
            (0, 0),
            "asleep: {asleep}"
        );
    }
    world.finish().await;
}
