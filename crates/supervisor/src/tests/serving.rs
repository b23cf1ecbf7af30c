//! Sessions that work.

use futures::future::join_all;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_session_remembers_and_another_does_not_share_its_memory() {
    let world = World::new();
    world.invoke("one", json!({"do": "remember", "value": 42})).await;
    assert_eq!(
        world.invoke("one", json!({"do": "recall"})).await,
        json!({"value": 42})
    );
    assert_eq!(
        world.invoke("two", json!({"do": "recall"})).await,
        json!({"value": null})
    );
    assert_eq!(world.driver.live(), 2);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_during_the_first_start_share_it() {
    let world = World::new();
    let slow = spec(&[("SIMULATED_START", "slow:3000")]);
    let leases = join_all((0..20).map(|_| world.acquire("one", &slow))).await;
    let leases: Vec<_> = leases.into_iter().map(Result::unwrap).collect();
    assert!(leases.iter().all(Lease::started_now));
    assert_eq!(world.supervisor.session(&key("one")).unwrap().requests, 20);
    assert_eq!(world.driver.live(), 1);
    let phases = leases[0].start_phases();
    assert!((3000..3500).contains(&phases.agent.as_millis()), "{phases:?}");
    drop(leases);
    let later = world.acquire("one", &slow).await.unwrap();
    assert!(!later.started_now());
    drop(later);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_its_version_until_it_ends() {
    let world = World::new();
    world.invoke("one", json!("hello")).await;
    let newer = Arc::new(SessionSpec {
        version: VersionNumber::new(2).unwrap(),
        ..(*spec(&[])).clone()
    });
    assert_eq!(
        world.acquire("one", &newer).await.unwrap().version(),
        VersionNumber::FIRST
    );
    world.supervisor.stop(&key("one")).await.unwrap();
    world.gone("one").await;
    assert_eq!(world.acquire("one", &newer).await.unwrap().version().get(), 2);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn five_hundred_sessions_start_at_once_and_leave_nothing() {
    let world = World::new();
    let names: Vec<_> = (0..500).map(|number| format!("s{number}")).collect();
    let answers = join_all(
        names
            .iter()
            .map(|name| world.invoke(name, json!({"prompt": name}))),
    )
    .await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer, json!({"prompt": name}));
    }
    assert_eq!(world.driver.live(), 500);
    assert_eq!(world.supervisor.sessions().len(), 500);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_one_session_run_side_by_side_up_to_the_limit() {
    let world = World::with(SupervisorConfig {
        max_requests_per_session: 50,
        ..SupervisorConfig::default()
    });
    let spec = spec(&[]);
    let leases = join_all((0..50).map(|_| world.acquire("one", &spec))).await;
    let leases: Vec<_> = leases.into_iter().map(Result::unwrap).collect();
    let sleeping = leases
        .iter()
        .map(|lease| post(lease, json!({"do": "sleep", "millis": 1000})));
    let (answers, took) = timed(join_all(sleeping)).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().0 == StatusCode::OK)
    );
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let refused = world.acquire("one", &spec).await.unwrap_err();
    assert!(
        matches!(refused, AcquireError::TooManyRequests { limit: 50 }),
        "{refused}"
    );
    drop(leases);
    eventually("the requests are over", || {
        world.state("one") == Some(SessionState::Idle)
    })
    .await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn there_are_at_most_as_many_sessions_as_allowed() {
    let world = World::with(SupervisorConfig {
        max_sessions: 1,
        ..SupervisorConfig::default()
    });
    world.invoke("one", json!(1)).await;
    let refused = world.acquire("two", &spec(&[])).await.unwrap_err();
    assert!(
        matches!(refused, AcquireError::TooManySessions { limit: 1 }),
        "{refused}"
    );
    world.supervisor.stop(&key("one")).await.unwrap();
    world.gone("one").await;
    world.invoke("two", json!(2)).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn events_arrive_one_by_one_and_a_large_answer_whole() {
    let world = World::new();
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    let stream = lease.connect().await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut send = async |payload: Value| {
        let body = Full::new(Bytes::from(payload.to_string()));
        let request = Request::post("/invocations")
            .header("host", "localhost")
            .body(body)
            .unwrap();
        sender.send_request(request).await.unwrap().into_body()
    };
    let mut events = send(json!({"do": "stream", "chunks": ["a", "b"], "every_millis": 60_000})).await;
    let (first, took) = timed(events.frame()).await;
    assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "data: \"a\"\n\n");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (second, took) = timed(events.frame()).await;
    assert_eq!(second.unwrap().unwrap().into_data().unwrap(), "data: \"b\"\n\n");
    assert!(took >= Duration::from_secs(59), "{took:?}");
    assert!(events.frame().await.is_none());
    let large = send(json!({"do": "large", "bytes": 5_000_000})).await;
    assert_eq!(large.collect().await.unwrap().to_bytes().len(), 5_000_000);
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_mcp_agent_and_its_port_are_used_as_its_version_says() {
    let world = World::new();
    let mut other = (*spec(&[])).clone();
    other.agent.port = 8000;
    other.agent.protocol = ServerProtocol::Mcp;
    let lease = world.acquire("one", &Arc::new(other)).await.unwrap();
    assert_eq!(post(&lease, json!([1])).await.unwrap().1, json!([1]));
    drop(lease);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_only_if_it_runs_is_not_started() {
    let world = World::new();
    let running = async || world.supervisor.acquire_running(&key("one")).await.unwrap();
    assert!(running().await.is_none());
    assert_eq!(world.driver.live(), 0);
    world.invoke("one", json!("hello")).await;
    assert!(running().await.is_some());
    world.supervisor.stop(&key("one")).await.unwrap();
    // While it ends, too.
    assert!(running().await.is_none());
    world.gone("one").await;
    assert_eq!(world.driver.live(), 0);
    world.finish().await;
}
