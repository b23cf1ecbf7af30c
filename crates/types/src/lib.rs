//! The words every part of Coracle shares: identifiers, ARNs, limits and the enums of the domain.
//!
//! Nothing here does I/O. An identifier that exists as one of these types has been checked, so code
//! below the edge never validates it again.

pub mod agent_headers;
mod architecture;
mod arn;
mod consumption;
mod host;
mod id;
pub mod limits;
mod protocol;
mod runtime_kind;
mod status;

pub use architecture::{Architecture, UnknownArchitecture};
pub use arn::{ArnError, EndpointArn, InvocationTarget, RoleArn, RuntimeArn};
pub use consumption::Consumption;
pub use host::is_this_machine;
pub use id::{
    AccountId, EndpointName, Generation, IdError, Incarnation, Region, RuntimeId, RuntimeName, SandboxId,
    SessionAddress, SessionId, SessionKey, ShellId, StorageId, VersionNumber, random_suffix,
};
pub use protocol::ServerProtocol;
pub use runtime_kind::{Language, RuntimeKind};
pub use status::ResourceStatus;
