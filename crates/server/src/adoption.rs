//! What a server that starts does about the sandboxes of the one before: it keeps those of sessions that were ready and
//! are known here, and ends all others.
//!
//! ```text
//! ready sessions of earlier starts ─ their versions known? ─▶ sweep, all others end ─ still running? ─▶ owned by this start
//! all other sessions of earlier starts ─▶ ended
//! ```
//!
//! Before the first request. Reconnecting to the sandboxes is the supervisor's work, and requests wait for it.

use std::io;
use std::sync::Arc;

use coracle_store::{Page, Session, SessionState, Store, StoreError, UnixMicros};
use coracle_supervisor::driver::{Driver, Swept};
use coracle_supervisor::{Orphan, SessionSpec};
use coracle_types::SandboxId;

use crate::control::timestamp;
use crate::data::Routes;

/// Sessions read from the store at once.
const PAGE: u32 = 1000;

/// Why a server could not take over from the one before.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// The sessions.
    #[error("the sessions of an earlier server cannot be read or changed")]
    Store(#[from] StoreError),
    /// The sandboxes.
    #[error("what an earlier server left cannot be removed")]
    Sweep(#[source] io::Error),
}

/// Ends what cannot go on, and returns the sessions that can.
///
/// # Errors
/// When that is not certain: nothing may run twice.
pub async fn take_over(
    driver: &dyn Driver,
    store: &Store,
    routes: &Routes,
) -> Result<Vec<Orphan>, AdoptionError> {
    let candidates = candidates(store, routes).await?;
    let sandboxes: Vec<SandboxId> = candidates.iter().map(|(session, _)| session.sandbox).collect();
    let swept = driver.sweep(&sandboxes).await;
    let Swept { removed, kept, stuck } = swept.map_err(AdoptionError::Sweep)?;
    for (place, reason) in stuck {
        tracing::warn!(place = %place.display(), reason, "what an ended machine has left is not removed; remove it by hand");
    }
    let now = UnixMicros::now();
    let mut orphans = Vec::new();
    for (session, spec) in candidates {
        if !kept.contains(&session.sandbox) {
            continue;
        }
        // This server alone writes, so the generation is the one that was read.
        if let Some(generation) = store.adopt(&session.key, session.generation).await? {
            orphans.push(Orphan {
                key: session.key,
                spec,
                sandbox: session.sandbox,
                generation,
                began: timestamp(session.started_at),
                age: now.since(session.started_at),
                used: session.used,
            });
        }
    }
    let ended = store.end_older_incarnations("server restarted", now).await?;
    let hibernated = store.hibernated_sandboxes().await?;
    let removed = removed
        + driver
            .keep_only(&hibernated)
            .await
            .map_err(AdoptionError::Sweep)?;
    if removed > 0 || ended > 0 || !orphans.is_empty() {
        let adopted = orphans.len();
        tracing::info!(adopted, removed, ended, "took over from an earlier server");
    }
    Ok(orphans)
}

/// Sessions of earlier starts that were ready, with what they run.
async fn candidates(
    store: &Store,
    routes: &Routes,
) -> Result<Vec<(Session, Arc<SessionSpec>)>, AdoptionError> {
    let mut page = Page {
        limit: PAGE,
        after: None,
    };
    let mut found = Vec::new();
    loop {
        let listed = store.sessions_of_other_incarnations(&page).await?;
        for session in listed.items {
            if session.state != SessionState::Ready {
                continue;
            }
            match routes.session_runs(&session).await {
                Ok(spec) => found.push((session, spec)),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(session = %session.key, error, "a session cannot be adopted and ends");
                }
            }
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(found),
        }
    }
}
