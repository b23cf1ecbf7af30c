use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::IdError;

/// Status of a runtime, a version or an endpoint. The three share one enum in the service model.
///
/// ```text
/// create → CREATING → READY | CREATE_FAILED
/// READY | UPDATE_FAILED → update → UPDATING → READY | UPDATE_FAILED
/// READY | *_FAILED → delete → DELETING → (gone) | DELETE_FAILED
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResourceStatus {
    /// Being made for the first time.
    Creating,
    /// The first attempt failed; only deletion is left.
    CreateFailed,
    /// Moving to a newer version; the old one serves meanwhile.
    Updating,
    /// The last update failed; what served before still does.
    UpdateFailed,
    /// Serving.
    Ready,
    /// Being taken down.
    Deleting,
    /// Deletion failed and may be tried again.
    DeleteFailed,
}

impl ResourceStatus {
    /// The spelling of the service model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::CreateFailed => "CREATE_FAILED",
            Self::Updating => "UPDATING",
            Self::UpdateFailed => "UPDATE_FAILED",
            Self::Ready => "READY",
            Self::Deleting => "DELETING",
            Self::DeleteFailed => "DELETE_FAILED",
        }
    }

    /// Whether an update may begin now.
    pub fn allows_update(self) -> bool {
        matches!(self, Self::Ready | Self::UpdateFailed)
    }

    /// Whether a deletion may begin now.
    pub fn allows_delete(self) -> bool {
        !matches!(self, Self::Creating | Self::Updating | Self::Deleting)
    }
}

impl fmt::Display for ResourceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResourceStatus {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        [
            Self::Creating,
            Self::CreateFailed,
            Self::Updating,
            Self::UpdateFailed,
            Self::Ready,
            Self::Deleting,
            Self::DeleteFailed,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(IdError {
            what: "status",
            expected: "a status of the service model",
        })
    }
}
