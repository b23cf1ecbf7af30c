//! The AWS REST-JSON layer: from the service model to typed requests, routes, validation, responses and errors.
//!
//! `model/` holds the facts of the two service models, `operations.toml` lists what of them is implemented, and
//! `cargo xtask generate` writes [`control`], [`data`] and [`OPERATIONS`] from both. Everything else here is
//! written by hand and knows no operation by name:
//!
//! ```text
//! raw request ── route ──► operation + labels ── parse ──► typed input ── handler ──► typed output ── respond ──► response
//!                  │                               │                         │
//!                  └── UnknownOperationException   └── ValidationException   └── Error ──► Error::into_response
//! ```
//!
//! Nothing here does I/O. Whoever calls this crate bounds the body before collecting it, authenticates, and
//! adds `x-amzn-RequestId`.

mod dispatch;
mod error;
mod fields;
mod generated;
mod json;
mod operation;
mod pattern;
mod request;
mod response;
mod route;
mod sensitive;
mod shape;
mod timestamp;
mod validate;

pub use error::{Error, ErrorCode, ValidationReason};
pub use fields::{FieldError, FieldErrors};
pub use generated::{OPERATIONS, control, data};
pub use operation::{Modelled, Operation, OperationId, Service};
pub use pattern::Pattern;
pub use request::{Request, parse, parse_head};
pub use response::{respond, response_head};
pub use route::{Labels, Route, RouteError, match_path, route, route_in};
pub use sensitive::Sensitive;
pub use shape::{Kind, Length, Location, Member, Payload, Range, Shape, Structure, TimestampFormat};
pub use timestamp::EpochSeconds;
