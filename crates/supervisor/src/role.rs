//! What sessions act as towards this server.

use std::fmt;
use std::sync::Arc;

use coracle_types::SessionKey;
use jiff::Timestamp;

use crate::driver::Identity;

/// The role of a version's sessions.
pub trait Role: fmt::Debug + Send + Sync {
    /// What a session that began at this moment acts as. It is asked for credentials as long as the session has its
    /// sandbox.
    fn identity(&self, session: &SessionKey, began: Timestamp) -> Arc<dyn Identity>;
}
