//! Requests as clients sign them, against the server's verdict.

#![expect(clippy::unwrap_used, reason = "a test")]

mod draft;
mod examples;
mod properties;
