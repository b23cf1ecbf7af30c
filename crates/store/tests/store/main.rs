//! The store as its callers see it, on a database file of each test's own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod cancellation;
mod endpoints;
mod fixture;
mod idempotency;
mod objects;
mod pagination;
mod policies;
mod quotas;
mod reopening;
mod runtimes;
mod sessions;
mod storages;
