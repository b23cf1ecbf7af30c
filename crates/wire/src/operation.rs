use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::generated::{control, data};
use crate::shape::Shape;

/// Which of the two services an operation belongs to. Both have the signing name `bedrock-agentcore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `bedrock-agentcore-control`.
    Control,
    /// `bedrock-agentcore`.
    Data,
}

/// What the service model says of an operation.
#[derive(Debug)]
pub struct Operation {
    /// Its service.
    pub service: Service,
    /// Its name.
    pub name: &'static str,
    /// Its HTTP method.
    pub method: &'static str,
    /// Its path, with labels in braces.
    pub uri: &'static str,
    /// Status of its success.
    pub status: u16,
    /// What to dispatch on, if it is implemented.
    pub id: Option<OperationId>,
}

/// An implemented operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationId {
    /// Goes to [`control::dispatch`].
    Control(control::Buffered),
    /// The caller handles the body, with [`crate::parse`] or [`crate::parse_head`] and [`crate::response_head`].
    ControlStreaming(control::Streaming),
    /// Goes to [`data::dispatch`].
    Data(data::Buffered),
    /// The caller handles the body, with [`crate::parse`] or [`crate::parse_head`] and [`crate::response_head`].
    DataStreaming(data::Streaming),
}

/// Ties an implemented operation to its types. The generator makes one implementor per operation, in
/// [`control::operations`] and [`data::operations`].
pub trait Modelled {
    /// The typed request.
    type Input: DeserializeOwned;
    /// The typed response.
    type Output: Serialize;
    /// Name of the operation.
    const NAME: &'static str;
    /// Status of its success.
    const STATUS: StatusCode;

    /// What requests are validated against.
    fn input_shape() -> &'static Shape;

    /// What responses are split by.
    fn output_shape() -> &'static Shape;
}
