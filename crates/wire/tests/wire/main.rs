//! The wire layer as its users see it: HTTP in, typed input to a handler, typed output, HTTP out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers are part of tests"
)]

mod exchange;
mod golden;
mod hostile;
mod invalid;
mod model;
mod routing;
