//! What agents print.

use super::*;
use crate::LogBudget;

#[tokio::test(start_paused = true)]
async fn lines_reach_the_sink_in_order_and_the_unfinished_one_too() {
    let world = World::new();
    drop(
        world
            .acquire("one", &spec(&[("SIMULATED_PRINT", "ready\nto go")]))
            .await
            .unwrap(),
    );
    world
        .invoke("one", json!({"do": "print", "lines": 2, "text": "again"}))
        .await;
    let key = key("one");
    eventually("the lines are there", || {
        world.logs.of(&key) == ["ready", "to go", "again", "again"]
    })
    .await;
    assert!(world.logs.of(&super::key("two")).is_empty());
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_counted_and_hurts_nobody_else() {
    let budget = LogBudget {
        burst: 100_000,
        per_second: 10_000,
        total: 1_000_000,
    };
    let world = World::with(SupervisorConfig {
        log_budget: budget,
        ..SupervisorConfig::default()
    });
    world.invoke("quiet", json!(1)).await;
    let text = "x".repeat(10_000);
    let flood = world.invoke("loud", json!({"do": "print", "lines": 3_000, "text": text}));
    let (_, quiet) = tokio::join!(flood, world.invoke("quiet", json!("still here")));
    assert_eq!(quiet, json!("still here"));
    // What is printed after the last answer may still be on its way.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.supervisor.stop(&key("loud")).await.unwrap();
    world.gone("loud").await;
    let lines = world.logs.of(&key("loud"));
    let kept: usize = lines.iter().map(String::len).sum();
    assert!(kept < 250_000, "{kept} bytes of 30 MB were kept");
    let dropped: usize = lines
        .iter()
        .filter_map(|line| {
            line.strip_prefix("[coracle] ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    let printed = lines.iter().filter(|line| line.starts_with('x')).count();
    assert_eq!(printed + dropped, 3_000);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_floods_and_dies_is_quoted_with_its_very_last_line() {
    let budget = LogBudget {
        burst: 1_000,
        per_second: 10,
        total: 10_000,
    };
    let world = World::with(SupervisorConfig {
        log_budget: budget,
        ..SupervisorConfig::default()
    });
    let lease = world.acquire("one", &spec(&[])).await.unwrap();
    post(&lease, json!({"do": "print", "lines": 500, "text": "noise"}))
        .await
        .unwrap();
    assert!(
        post(&lease, json!({"do": "exit", "code": 1, "text": "the reason"}))
            .await
            .is_err()
    );
    let end = lease.why_failed().await.unwrap();
    assert_eq!(end.last_log_lines.len(), 20);
    assert_eq!(end.last_log_lines[19], "the reason");
    drop(lease);
    world.finish().await;
}
