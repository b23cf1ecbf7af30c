//! For tests, here and in the crates above: a directory and a log sink in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_types::{Consumption, Generation, SandboxId, SessionKey, StorageId, VersionNumber};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    Claim, Claimed, Directory, DirectoryError, Hibernated, Kept, Left, LogLine, LogSink, SessionEnd,
    SessionInfo,
};

/// What happened to a session's ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// It was claimed.
    Claimed(SessionKey, VersionNumber, SandboxId, Generation),
    /// It became ready.
    Ready(SessionKey, Generation),
    /// It was given back, with the kind of reason.
    Ended(SessionKey, Generation, &'static str),
    /// It was hibernated.
    Hibernated(SessionKey, Generation),
}

/// Ownership that lasts as long as the test.
#[derive(Debug, Default)]
pub struct MemoryDirectory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_generation: i64,
    current: HashMap<SessionKey, Option<Generation>>,
    /// What those that are claimed run, in which sandbox, and since when.
    running: HashMap<SessionKey, (VersionNumber, SandboxId, Instant)>,
    records: Vec<Record>,
    reports: Vec<(SessionEnd, SessionInfo)>,
    hibernated: HashMap<SessionKey, HibernatedSession>,
    storages: HashMap<SessionKey, (VersionNumber, StorageId)>,
}

#[derive(Debug)]
struct HibernatedSession {
    version: VersionNumber,
    sandbox: SandboxId,
    began: Instant,
    expires: Instant,
    used: Consumption,
}

impl MemoryDirectory {
    /// Everything that happened, in order.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.state).records.clone()
    }

    /// What was told of each end, in order.
    pub fn reports(&self) -> Vec<(SessionEnd, SessionInfo)> {
        lock(&self.state).reports.clone()
    }

    /// The ownership of a session.
    pub fn generation(&self, session: &SessionKey) -> Option<Generation> {
        lock(&self.state).current.get(session).copied().flatten()
    }

    /// How many sessions are claimed.
    pub fn claimed(&self) -> usize {
        lock(&self.state).current.len()
    }

    /// Lets another server have the session from now on.
    pub fn give_to_another(&self, session: &SessionKey) {
        lock(&self.state).current.insert(session.clone(), None);
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn claim(&self, claim: Claim<'_>) -> Result<Claimed, DirectoryError> {
        let Claim {
            session,
            version,
            sandbox,
            wants_storage,
        } = claim;
        let mut state = lock(&self.state);
        if let Some(None) = state.current.get(session) {
            return Err(DirectoryError::OwnedByAnother);
        }
        state.last_generation += 1;
        let generation = Generation(state.last_generation);
        state.current.insert(session.clone(), Some(generation));
        state
            .records
            .push(Record::Claimed(session.clone(), version, sandbox, generation));
        let now = Instant::now();
        let left = state.hibernated.remove(session).map(|hibernated| Left {
            sandbox: hibernated.sandbox,
            age: now - hibernated.began,
            used: hibernated.used,
            usable: hibernated.version == version && hibernated.expires > now,
        });
        let age = left
            .filter(|left| left.usable)
            .map_or(Duration::ZERO, |left| left.age);
        state
            .running
            .insert(session.clone(), (version, sandbox, now - age));
        state
            .storages
            .retain(|key, (of, _)| key != session || (*of == version && wants_storage));
        let storage = wants_storage.then(|| {
            let kept = state.storages.entry(session.clone());
            kept.or_insert_with(|| (version, StorageId::new())).1
        });
        let age = jiff::SignedDuration::try_from(age).unwrap_or_default();
        Ok(Claimed {
            generation,
            began: Timestamp::now() - age,
            left,
            storage,
        })
    }

    async fn storages(&self) -> Result<Vec<StorageId>, DirectoryError> {
        let state = lock(&self.state);
        Ok(state.storages.values().map(|(_, storage)| *storage).collect())
    }

    async fn hibernate(
        &self,
        session: &SessionKey,
        generation: Generation,
        kept: Kept,
    ) -> Result<(), DirectoryError> {
        let mut state = lock(&self.state);
        if state.current.get(session) != Some(&Some(generation)) {
            return Err(DirectoryError::OwnedByAnother);
        }
        state.current.remove(session);
        let (version, _, began) = state.running[session];
        let expires = Instant::now() + kept.time;
        state.hibernated.insert(
            session.clone(),
            HibernatedSession {
                version,
                sandbox: kept.sandbox,
                began,
                expires,
                used: kept.used,
            },
        );
        state
            .records
            .push(Record::Hibernated(session.clone(), generation));
        Ok(())
    }

    async fn forget(&self, which: Hibernated<'_>) -> Result<Vec<SandboxId>, DirectoryError> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let left = state.hibernated.extract_if(|session, hibernated| match which {
            Hibernated::Session(key) => session == key,
            Hibernated::Runtime(runtime, endpoint) => {
                session.runtime == *runtime && endpoint.is_none_or(|endpoint| session.endpoint == *endpoint)
            }
            Hibernated::Expired => hibernated.expires <= now,
        });
        Ok(left.map(|(_, hibernated)| hibernated.sandbox).collect())
    }

    async fn ready(
        &self,
        session: &SessionKey,
        generation: Generation,
        _sandbox: SandboxId,
    ) -> Result<(), DirectoryError> {
        let mut state = lock(&self.state);
        if state.current.get(session) != Some(&Some(generation)) {
            return Err(DirectoryError::OwnedByAnother);
        }
        state.records.push(Record::Ready(session.clone(), generation));
        Ok(())
    }

    async fn end(
        &self,
        session: &SessionKey,
        generation: Generation,
        end: &SessionEnd,
        _used: Consumption,
        info: &SessionInfo,
    ) -> Result<(), DirectoryError> {
        let mut state = lock(&self.state);
        if state.current.get(session) == Some(&Some(generation)) {
            state.current.remove(session);
            state
                .records
                .push(Record::Ended(session.clone(), generation, end.reason.kind()));
            state.reports.push((end.clone(), info.clone()));
        }
        Ok(())
    }
}

/// Keeps every line.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    lines: Mutex<Vec<(SessionKey, LogLine)>>,
}

impl MemoryLogs {
    /// The lines of one session, in order.
    pub fn of(&self, session: &SessionKey) -> Vec<String> {
        let lines = lock(&self.lines);
        lines
            .iter()
            .filter(|(key, _)| key == session)
            .map(|(_, line)| line.line.clone())
            .collect()
    }
}

#[async_trait]
impl LogSink for MemoryLogs {
    async fn write(&self, session: &SessionKey, lines: Vec<LogLine>) {
        lock(&self.lines).extend(lines.into_iter().map(|line| (session.clone(), line)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
