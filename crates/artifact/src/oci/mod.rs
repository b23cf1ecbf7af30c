//! Container images: pulled from a registry or read from an OCI layout, and kept as disks for machines.
//!
//! ```text
//!  registry ─┐   index ─▶ manifest ─▶ configuration
//!  layout ───┴─▶ layers: download, check the digest, unpack ─▶ layers/<digest>/   shared by images
//!                merge, check, write ──────────────────────▶ images/<digest>/   what a machine mounts
//! ```
//!
//! | module | |
//! |---|---|
//! | `registry` | asking a registry |
//! | `layout` | reading a folder or an archive |
//! | `manifest` | what an image says of itself |
//! | `layer`, `tar` | from a layer's archive to entries and contents |
//! | `apply` | layers over one another, whiteouts and links |
//! | `assemble`, `accounts`, `entry_point` | from layers to an image that can be started |
//! | `store` | what is kept, under which name, and for how long |
//! | `pull` | all of it together |
//!
//! Whoever made an image is not trusted. Nothing of it becomes a file of its own on the host; every length, count and
//! time has a bound; no byte is parsed before its digest has been checked, except for documents found by a tag, which
//! are bounded.

mod accounts;
mod apply;
mod assemble;
mod entry_point;
mod error;
mod layer;
mod layout;
mod manifest;
mod pull;
mod registry;
mod store;
mod tar;

pub use accounts::AccountError;
pub use apply::ApplyError;
pub use assemble::AssembleError;
pub use entry_point::EntryPointError;
pub use error::OciError;
pub use layer::LayerError;
pub use layout::LayoutError;
pub use manifest::ManifestError;
pub use pull::PullSettings;
pub use registry::{CredentialError, Credentials, RegistryError, RegistryHost, RegistrySettings};
pub use store::{Collected, ImageStart, OciStore, StoredImage};
pub use tar::TarError;
