//! Keeps pools at the size they are to have.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::ready::{Place, keep};
use super::{Pool, State};
use crate::session::{Context, SessionSpec};

/// Works until the pools are closed. `room` says how many sandboxes the pools may have together.
pub(crate) async fn refill(context: Arc<Context>, tasks: TaskTracker, room: impl Fn() -> usize + Send) {
    let pools = &context.pools;
    loop {
        // Asked before the pools are locked: whoever takes from them has locked the sessions.
        let (room, now) = (room(), Instant::now());
        let Plan { starts, look_again } = plan(&mut pools.state(), room, now);
        for (place, spec) in starts {
            tasks.spawn(keep(Arc::clone(&context), place, spec));
        }
        let next_look = async {
            match look_again {
                Some(moment) => tokio::time::sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pools.shared.changed.notified() => {}
            () = next_look => {}
            () = pools.shared.closed.cancelled() => return,
        }
    }
}

struct Plan {
    /// What is to be made; it counts as being made already.
    starts: Vec<(Place, Arc<SessionSpec>)>,
    /// When to look again if nothing happens before.
    look_again: Option<Instant>,
}

/// Gives up what is too much, and says what is missing. The pools together get no more than `room`.
fn plan(state: &mut State, mut room: usize, now: Instant) -> Plan {
    let mut plan = Plan {
        starts: Vec::new(),
        look_again: None,
    };
    // In the order of their making, so that a shortage always hits the same pools and not each in turn.
    let mut pools: Vec<_> = state.pools.iter_mut().collect();
    pools.sort_by_key(|(_, pool)| pool.number);
    for (key, pool) in pools {
        let wanted = pool.demand.wanted(pool.size, now).min(room);
        let missing = fit(pool, wanted, now);
        room -= wanted.min(room);
        for _ in 0..missing {
            pool.starting += 1;
            let place = Place {
                key: key.clone(),
                number: pool.number,
            };
            plan.starts.push((place, Arc::clone(&pool.spec)));
        }
        let moments = [
            pool.retry_at.filter(|moment| *moment > now),
            pool.demand.changes_at(now),
            plan.look_again,
        ];
        plan.look_again = moments.into_iter().flatten().min();
    }
    plan
}

/// Drops what is too much of a pool; says how many sandboxes are missing that may be made now.
fn fit(pool: &mut Pool, wanted: usize, now: Instant) -> usize {
    while pool.ready.len() > wanted {
        // Its task notices.
        pool.ready.pop_front();
    }
    if pool.retry_at.is_some_and(|moment| moment > now) {
        return 0;
    }
    let missing = wanted.saturating_sub(pool.ready.len() + pool.starting);
    // What has failed is tried once at a time.
    if pool.failures > 0 {
        missing.min(1)
    } else {
        missing
    }
}
