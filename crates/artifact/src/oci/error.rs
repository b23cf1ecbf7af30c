//! What can go wrong with an image.

use std::io;

use super::{AssembleError, LayerError, LayoutError, ManifestError, RegistryError};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not a reference.
    #[error("{0:?} is not a reference to a container image, such as registry.example.com/team/agent:1 ({1})")]
    Reference(String, String),
    /// The registry, or what it sent.
    #[error("the image could not be pulled")]
    Registry(#[from] RegistryError),
    /// The layout, or what is in it.
    #[error("the image could not be read")]
    Layout(#[from] LayoutError),
    /// What the image says of itself.
    #[error("the image cannot be used")]
    Manifest(#[from] ManifestError),
    /// A layer.
    #[error("layer {number} of the image ({digest}) cannot be used")]
    Layer {
        /// Counted from 1.
        number: usize,
        /// Its digest.
        digest: String,
        /// What is wrong.
        #[source]
        source: LayerError,
    },
    /// All layers together have more than is allowed.
    #[error("the image's layers have {size} bytes; {limit} are allowed on this server")]
    TooLarge {
        /// What it has.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The layers together.
    #[error("the image cannot be run")]
    Assemble(#[from] AssembleError),
    /// It took too long.
    #[error("the image was not there after {0:?}")]
    Timeout(std::time::Duration),
    /// Not here.
    #[error("there is no image {0} on this server; update the runtime to have it pulled again")]
    Unknown(String),
    /// The store's own files.
    #[error("the image store could not be read or written")]
    Io(#[from] io::Error),
}

impl OciError {
    /// Whether this machine is to blame, and not the image, the registry or whoever named them.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Registry(error) => matches!(
                error,
                RegistryError::Write(..) | RegistryError::Client { .. } | RegistryError::Credentials(..)
            ),
            Self::Layer { source, .. } => {
                matches!(
                    source,
                    LayerError::Write(_) | LayerError::Read(_) | LayerError::GivenUp
                )
            }
            Self::Assemble(error) => matches!(error, AssembleError::Read(_)),
            _ => false,
        }
    }
}
