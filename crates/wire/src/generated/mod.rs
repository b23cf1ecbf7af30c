//! Written by `cargo xtask generate`, except this file.
#![expect(
    missing_docs,
    reason = "the names are the service model's; its documentation is not copied"
)]
#![allow(
    clippy::large_enum_variant,
    reason = "unions are as the service model has them"
)]

pub mod control;
mod control_shapes;
pub mod data;
mod data_shapes;
mod operations;

pub use operations::OPERATIONS;
