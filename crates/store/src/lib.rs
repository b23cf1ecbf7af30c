//! Durable state, and the only SQL of the project.
//!
//! A [`Store`] is one SQLite database. Each method that changes something is one transaction: when it has
//! returned, the change is on disk; when it fails or is cancelled, nothing has happened. What is not the
//! store's business (the configuration of a version, the response to a repeated request, the metadata of an
//! object) is kept as text it does not look into.
//!
//! | module | holds |
//! |---|---|
//! | `runtimes`, `versions`, `endpoints` | the control plane's resources and their state machines |
//! | `tags`, `policies`, `annotations` | what is attached to a resource by its ARN, and gone with it |
//! | `quotas` | how many resources an account may have |
//! | `deletion`, `unfinished` | taking runtimes down, and what a crash left half-way |
//! | `idempotency` | the outcome of requests that carried a client token |
//! | `hibernation` | sessions that run nowhere |
//! | `sessions` | who owns which session, under which generation |
//! | `storages` | what a session finds again |
//! | `mcp_sessions` | which session an agent's own id leads to |
//! | `history` | sessions that have ended |
//! | `buckets`, `objects`, `listing`, `uploads` | the metadata of the S3 side; contents are files elsewhere |
//!
//! Time is given by the caller as [`UnixMicros`], so that an answer and the stored row agree.

mod annotations;
mod buckets;
mod database;
mod deletion;
mod endpoints;
mod error;
mod hibernation;
mod history;
mod idempotency;
mod listing;
mod mcp_sessions;
mod objects;
mod page;
mod policies;
mod quotas;
mod row;
mod runtimes;
mod sessions;
mod storages;
mod tags;
mod time;
mod unfinished;
mod uploads;
mod versions;

pub use buckets::Bucket;
pub use database::Store;
pub use endpoints::{Endpoint, EndpointChange, NewEndpoint};
pub use error::StoreError;
pub use hibernation::{Hibernated, Left};
pub use history::{End, EndedQuery, EndedSession};
pub use idempotency::{Applied, Idempotency, Lookup};
pub use listing::{ListingPosition, ListingQuery, ObjectListing};
pub use objects::Object;
pub use page::{Listed, Page};
pub use quotas::{Quota, Quotas};
pub use runtimes::{Deletion, NewRuntime, Owner, Runtime, RuntimeCursor, RuntimeVersion};
pub use sessions::{Claim, Granted, NewSession, Session, SessionState};
pub use tags::{MAX_TAGS, Tags};
pub use time::UnixMicros;
pub use unfinished::Unfinished;
pub use uploads::{Part, Upload};
pub use versions::Version;
