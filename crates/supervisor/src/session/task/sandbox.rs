//! Where a session's sandbox comes from, and where it goes: woken, from a pool, or made; hibernated, or given back.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use coracle_types::Generation;
use tokio::time::Instant;

use super::SessionTask;
use crate::directory::{Claimed, DirectoryError, Kept, Left};
use crate::driver::{Identity, Machine, Note};
use crate::pool::Taken;
use crate::session::meter::Meter;
use crate::session::start::Belongings;
use crate::session::{EndReason, HostFailure, Reached, SessionEnd, start};

impl SessionTask {
    /// Keeps the sandbox for later.
    pub(super) async fn hibernate(&mut self, machine: &mut dyn Machine) -> EndReason {
        let (context, began) = (Arc::clone(&self.context), Instant::now());
        let session = self.shared.key.clone();
        match self.attend(machine.hibernate()).await {
            Ok(bytes) => {
                context.count(|totals| totals.hibernated += 1);
                tracing::info!(%session, bytes, took = ?began.elapsed(), "session hibernated");
                EndReason::Hibernated
            }
            Err(error) => {
                context.count(|totals| totals.not_hibernated += 1);
                let chain: &dyn Error = &error;
                tracing::error!(%session, error = chain, "a session could not be hibernated and is lost");
                EndReason::host(HostFailure::Hibernate(error))
            }
        }
    }

    /// Wakes what the session left when it was hibernated. If that cannot be, it begins afresh.
    async fn wake(&mut self, left: Left, identity: Option<Arc<dyn Identity>>) -> Option<Reached> {
        let (context, shared, spec) = (
            Arc::clone(&self.context),
            Arc::clone(&self.shared),
            Arc::clone(&self.spec),
        );
        let session = &shared.key;
        if !left.usable {
            tracing::info!(%session, "a hibernated session is of another version or too old; it begins afresh");
            self.attend(context.driver.forget(left.sandbox)).await;
            return None;
        }
        let waking = start::wake(&context, shared.sandbox(), &spec.agent, identity, left.sandbox);
        match self.attend(waking).await {
            Ok(reached) => {
                context.count(|totals| totals.woken += 1);
                self.life.has_lived(left.age);
                self.used_before = left.used;
                Some(reached)
            }
            Err(error) => {
                context.count(|totals| totals.not_woken += 1);
                let error: &dyn Error = &error;
                tracing::warn!(%session, error, "a hibernated session could not be woken; it begins afresh");
                None
            }
        }
    }

    /// Reconnects to the sandbox of an earlier server's session, whose clocks go on.
    async fn adopt(
        &mut self,
        age: Duration,
        identity: Option<Arc<dyn Identity>>,
    ) -> Result<Reached, EndReason> {
        let (context, spec) = (Arc::clone(&self.context), Arc::clone(&self.spec));
        let (session, sandbox) = (self.shared.key.clone(), self.shared.sandbox());
        let note = self.attend(context.driver.last_note(sandbox)).await;
        let adopting = start::adopt(&context, sandbox, &spec.agent, identity);
        let reached = self.attend(adopting).await.map_err(EndReason::host)?;
        let now = Instant::now();
        self.life
            .is_adopted(now, age, note.as_ref().map_or(age, Note::unused).min(age));
        if let Some(note) = note {
            self.was_busy = note.is_busy;
            self.meter = Meter::going_on(now, &note);
        }
        tracing::info!(%session, %sandbox, "session adopted from an earlier server");
        Ok(reached)
    }

    /// A sandbox that stands ready, if one does and is of use.
    async fn take_from_pool(&mut self, belongings: &Belongings) -> Option<Reached> {
        let (context, spec) = (Arc::clone(&self.context), Arc::clone(&self.spec));
        let Taken { sandbox, handed_over } = context.pools.take(&self.shared.key, &spec)?;
        let error: Box<dyn Error + Send + Sync> = match self.attend(handed_over).await {
            Ok(ready) => match self.attend(ready.go_on(sandbox, &spec.agent, belongings)).await {
                Ok(reached) => {
                    self.shared.published().sandbox = sandbox;
                    return Some(reached);
                }
                Err(error) => error.into(),
            },
            Err(_) => "it has just ended".into(),
        };
        let error: &dyn Error = &*error;
        tracing::warn!(%sandbox, error, "a sandbox of a pool is of no use; the session gets a new one");
        None
    }

    /// The sandbox of a session with this claim: adopted, woken, from a pool, or made now.
    pub(super) async fn sandbox(&mut self, claimed: Claimed) -> Result<Reached, EndReason> {
        let (context, shared, spec) = (
            Arc::clone(&self.context),
            Arc::clone(&self.shared),
            Arc::clone(&self.spec),
        );
        let role = spec.role.as_ref();
        let identity = role.map(|role| role.identity(&shared.key, claimed.began));
        if let Some(orphan) = &self.orphan {
            let age = orphan.age;
            return self.adopt(age, identity).await;
        }
        let created = Instant::now();
        let _starting = context.session_starts();
        if let Some(left) = claimed.left
            && let Some(reached) = self.wake(left, identity.clone()).await
        {
            return Ok(reached);
        }
        let belongings = Belongings {
            storage: claimed.storage,
            identity,
        };
        if let Some(reached) = self.take_from_pool(&belongings).await {
            return Ok(reached);
        }
        let permit = self.unless_ended(context.boots.acquire()).await?;
        let queue = created.elapsed();
        // A stop does not cut a boot off: the driver undoes what it has begun when it gets to return.
        let mut reached = self
            .attend(start::reach(&context, shared.sandbox(), &spec.agent, &belongings))
            .await
            .map_err(EndReason::host)?;
        drop(permit);
        reached.phases.queue = queue;
        Ok(reached)
    }

    /// Records what has become of the session.
    pub(super) async fn give_back(
        &mut self,
        generation: Generation,
        end: &SessionEnd,
    ) -> Result<(), DirectoryError> {
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        let used = self.meter.used();
        if matches!(end.reason, EndReason::Hibernated) {
            let configured = self.spec.hibernation.and_then(|hibernation| hibernation.keep);
            let keep = configured.unwrap_or_else(|| self.life.lifetime_left(Instant::now()));
            let kept = Kept {
                sandbox: shared.sandbox(),
                time: keep,
                used,
            };
            let recorded = context.directory.hibernate(&shared.key, generation, kept);
            match self.attend(recorded).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::error!(session = %shared.key, error, "a hibernated session could not be recorded and is lost");
                }
            }
            self.attend(context.driver.forget(shared.sandbox())).await;
        }
        let info = shared.info();
        self.attend(context.directory.end(&shared.key, generation, end, used, &info))
            .await
    }
}
