//! Who owns which session, across servers and restarts.
//!
//! A session is claimed before anything of it starts and given back after everything of it is gone, so a crash
//! in between leaves at most a claim without a sandbox, never a sandbox without a claim. Every claim gets a
//! [`Generation`] that only rises; whatever an earlier owner still says about the session names an older one
//! and is ignored.

use std::time::Duration;

use async_trait::async_trait;
use coracle_types::{
    Consumption, EndpointName, Generation, RuntimeId, SandboxId, SessionKey, StorageId, VersionNumber,
};
use jiff::Timestamp;

use crate::{SessionEnd, SessionInfo};

/// Why the directory did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another server that may be alive owns the session, or has claimed it since.
    #[error("another server owns the session")]
    OwnedByAnother,
    /// What the session would run is gone, or going.
    #[error("the runtime, endpoint or version of the session is gone")]
    Gone,
    /// The directory could not be asked. What was asked may have happened.
    #[error("the session directory failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Who wants to own a session, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Which session.
    pub session: &'a SessionKey,
    /// The version it runs.
    pub version: VersionNumber,
    /// The sandbox it runs in, unless it turns out to be another one once it is ready.
    pub sandbox: SandboxId,
    /// Whether that version gives it a storage.
    pub wants_storage: bool,
}

/// A claim that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The ownership.
    pub generation: Generation,
    /// When the session began; of one that was hibernated, before that.
    pub began: Timestamp,
    /// What the session left when it was hibernated.
    pub left: Option<Left>,
    /// Its storage, if it wants one: that of its last claim for the same version, or a new one. What goes on from
    /// before has it already.
    pub storage: Option<StorageId>,
}

/// What a hibernated session left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The sandbox it ran in.
    pub sandbox: SandboxId,
    /// How long ago the session first began.
    pub age: Duration,
    /// What the session had used by then.
    pub used: Consumption,
    /// Whether the session may go on from it; if not, it is of no further use.
    pub usable: bool,
}

/// What is kept of a session that is hibernated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The sandbox it ran in.
    pub sandbox: SandboxId,
    /// For so long.
    pub time: Duration,
    /// What that sandbox used.
    pub used: Consumption,
}

/// Hibernated sessions.
#[derive(Debug, Clone, Copy)]
pub enum Hibernated<'a> {
    /// One.
    Session(&'a SessionKey),
    /// Those of a runtime, or of one of its endpoints.
    Runtime(&'a RuntimeId, Option<&'a EndpointName>),
    /// Those whose time is over.
    Expired,
}

/// The durable record of sessions.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Makes this server the owner of a session. A claim that this same start of the server holds already is
    /// replaced: its sandbox is gone, or the supervisor would not ask.
    ///
    /// # Errors
    /// When the session belongs to another server, or the directory fails.
    async fn claim(&self, claim: Claim<'_>) -> Result<Claimed, DirectoryError>;

    /// Records that the session has been hibernated, so that whoever claims it next goes on from that.
    ///
    /// # Errors
    /// [`DirectoryError::OwnedByAnother`] when the generation is not the current one.
    async fn hibernate(
        &self,
        session: &SessionKey,
        generation: Generation,
        kept: Kept,
    ) -> Result<(), DirectoryError>;

    /// Ends hibernated sessions and returns the sandboxes they have left.
    ///
    /// # Errors
    /// When the directory fails.
    async fn forget(&self, which: Hibernated<'_>) -> Result<Vec<SandboxId>, DirectoryError>;

    /// Forgets storages that have not been used for too long, and returns all others.
    ///
    /// # Errors
    /// When the directory fails.
    async fn storages(&self) -> Result<Vec<StorageId>, DirectoryError>;

    /// Records that the session serves requests, and in which sandbox.
    ///
    /// # Errors
    /// [`DirectoryError::OwnedByAnother`] when the generation is not the current one: the session must end.
    async fn ready(
        &self,
        session: &SessionKey,
        generation: Generation,
        sandbox: SandboxId,
    ) -> Result<(), DirectoryError>;

    /// Gives the session back and records how it ended; `used` is what its last sandbox used. Does nothing when the generation is an older one.
    ///
    /// # Errors
    /// When the directory fails.
    async fn end(
        &self,
        session: &SessionKey,
        generation: Generation,
        end: &SessionEnd,
        used: Consumption,
        info: &SessionInfo,
    ) -> Result<(), DirectoryError>;
}
