//! Sessions that do not come up.

use super::*;
use crate::HostFailure;
use crate::driver::{BootPhase, Origin, TemplateSpec};

#[tokio::test(start_paused = true)]
async fn an_agent_that_exits_while_starting_is_quoted_and_tried_afresh() {
    let world = World::new();
    let broken = spec(&[
        ("SIMULATED_START", "exit:3"),
        ("SIMULATED_PRINT", "ImportError: no module named x"),
    ]);
    let (error, took) = timed(world.acquire("one", &broken)).await;
    let AcquireError::AgentExited { exit, last_log_lines } = error.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(exit.code, Some(3));
    assert_eq!(last_log_lines, ["ImportError: no module named x"]);
    assert!(took < Duration::from_secs(2), "{took:?}");
    world.gone("one").await;
    assert_eq!(world.ends(), ["agent_exited"]);
    assert_eq!(world.invoke("one", json!("works now")).await, json!("works now"));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_never_healthy_has_its_time_and_no_more() {
    for (wish, failure) in [
        ("never-healthy", "503"),
        ("silent", "no answer"),
        ("slow:60000", "accept"),
    ] {
        let world = World::new();
        let spec = spec(&[("SIMULATED_START", wish), ("SIMULATED_PRINT", "still loading")]);
        let (error, took) = timed(world.acquire("one", &spec)).await;
        let AcquireError::NeverHealthy {
            timeout,
            last_failure,
            last_log_lines,
        } = error.unwrap_err()
        else {
            panic!("another error")
        };
        assert_eq!(timeout, Duration::from_secs(30));
        let last_failure = last_failure.unwrap();
        assert!(last_failure.contains(failure), "{wish}: {last_failure}");
        assert_eq!(last_log_lines, ["still loading"]);
        assert!((30..32).contains(&took.as_secs()), "{took:?}");
        world.gone("one").await;
        assert_eq!(world.ends(), ["never_healthy"]);
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_sandbox_does_not_resume_boots_another_one() {
    let world = World::new();
    let mut unlucky = SessionSpec::clone(&spec(&[("SIMULATED_RESTORE", "fail")]));
    unlucky.agent.template = Some(TemplateSpec {
        made_for: "a test".to_owned(),
        init_timeout: Duration::from_secs(30),
        warm_up: None,
        restored: None,
    });
    let lease = world.acquire("one", &Arc::new(unlucky)).await.unwrap();
    assert_eq!(lease.start_phases().origin, Origin::BootedInstead);
    let (status, answer) = post(&lease, json!("still served")).await.unwrap();
    assert_eq!((status, answer), (StatusCode::OK, json!("still served")));
    drop(lease);
    assert_eq!(world.driver.boots(), 2);
    assert_eq!(
        world.driver.live(),
        1,
        "the one that did not resume is still there"
    );
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_boot_is_the_hosts_failure() {
    let world = World::new();
    let error = world
        .acquire("one", &spec(&[("SIMULATED_BOOT", "fail")]))
        .await
        .unwrap_err();
    let AcquireError::Host(failure) = error else {
        panic!("{error}")
    };
    let HostFailure::Boot(boot) = &*failure else {
        panic!("{failure}")
    };
    assert_eq!(boot.phase, BootPhase::Machine);
    world.gone("one").await;
    assert_eq!(world.ends(), ["host_failed"]);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_takes_too_long_is_given_up() {
    let world = World::new();
    let error = world
        .acquire("one", &spec(&[("SIMULATED_BOOT", "slow:600000")]))
        .await
        .unwrap_err();
    let AcquireError::Host(failure) = error else {
        panic!("{error}")
    };
    assert!(matches!(*failure, HostFailure::BootTimeout(_)), "{failure}");
    world.gone("one").await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_cannot_start_the_agent_says_why() {
    let world = World::new();
    let error = world
        .acquire("one", &spec(&[("SIMULATED_START", "refuse")]))
        .await
        .unwrap_err();
    let AcquireError::NotStarted { reason } = error else {
        panic!("{error}")
    };
    assert!(reason.contains("refuse"), "{reason}");
    world.gone("one").await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_start_turns_away_those_who_wait() {
    for slow in ["SIMULATED_BOOT", "SIMULATED_START"] {
        let world = World::new();
        let slow = spec(&[(slow, "slow:5000")]);
        let waiting = world.acquire("one", &slow);
        let stopping = async {
            eventually("the start began", || {
                world.state("one") == Some(SessionState::Starting)
            })
            .await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.supervisor.stop(&key("one")).await.unwrap();
            assert_eq!(
                world.supervisor.stop(&key("one")).await,
                Err(StopError::InProgress)
            );
        };
        let (refused, ()) = tokio::join!(waiting, stopping);
        assert!(matches!(refused, Err(AcquireError::InProgress)), "{refused:?}");
        world.gone("one").await;
        assert_eq!(world.ends(), ["stopped"]);
        assert_eq!(world.driver.live(), 0);
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn boots_queue_and_a_queued_session_can_be_stopped() {
    let world = World::with(SupervisorConfig {
        concurrent_boots: 1,
        ..SupervisorConfig::default()
    });
    let slow = spec(&[("SIMULATED_BOOT", "slow:5000")]);
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.supervisor.stop(&key("two")).await.unwrap();
        world.gone("two").await;
    };
    let waiting = async {
        tokio::join!(
            world.acquire("one", &slow),
            world.acquire("two", &slow),
            world.acquire("three", &slow)
        )
    };
    let ((one, two, three), ()) = tokio::join!(waiting, stopping);
    assert!(one.is_ok());
    assert!(matches!(two, Err(AcquireError::InProgress)));
    assert!(three.unwrap().start_phases().queue >= Duration::from_secs(5));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_leaves_no_request_behind() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_START", "slow:3000")]);
    let gave_up = tokio::time::timeout(Duration::from_secs(1), world.acquire("one", &slow)).await;
    assert!(gave_up.is_err());
    eventually("the session is idle", || {
        world.state("one") == Some(SessionState::Idle)
    })
    .await;
    assert_eq!(world.supervisor.session(&key("one")).unwrap().requests, 0);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn another_servers_session_is_not_started_here() {
    let world = World::new();
    world.directory.give_to_another(&key("one"));
    let refused = world.acquire("one", &spec(&[])).await;
    assert!(matches!(refused, Err(AcquireError::InProgress)), "{refused:?}");
    assert_eq!(world.driver.live(), 0);
    // Lost between claim and ready: the sandbox ends, nobody is served from it.
    let slow = spec(&[("SIMULATED_START", "slow:3000")]);
    let losing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.directory.give_to_another(&key("two"));
    };
    let (refused, ()) = tokio::join!(world.acquire("two", &slow), losing);
    assert!(matches!(refused, Err(AcquireError::InProgress)), "{refused:?}");
    world.gone("two").await;
    assert_eq!(world.driver.live(), 0);
}
