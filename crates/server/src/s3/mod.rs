//! The S3 side: enough of S3, on the same port, that code can be uploaded with any S3 client.
//!
//! `s3s` speaks the protocol and verifies signatures, chunk by chunk where the client signs chunks; [`access`] judges
//! who made them. This module keeps buckets and objects: metadata in the store, contents as [`blobs`]. An object is
//! acknowledged once its blob is synced and its row committed; what a crash leaves between the two is swept at start.

mod access;
mod backend;
mod blobs;
mod uploads;

use std::io;
use std::path::PathBuf;

use coracle_auth::CredentialTable;
use coracle_store::{Store, StoreError};
use s3s::service::{S3Service, S3ServiceBuilder};

pub(crate) use self::access::{ACTIONS, Claimant, READ_OBJECT, READ_VERSION};
use self::access::{Access, Keys};
use self::backend::Backend;
use self::blobs::Blobs;
use crate::roles::Roles;

/// Why the S3 side could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum S3OpenError {
    /// The folder of objects.
    #[error("the folder of objects cannot be used")]
    Folder(#[from] io::Error),
    /// The store.
    #[error("objects could not be compared with the database")]
    Store(#[from] StoreError),
}

/// Buckets and objects of this server.
#[derive(Debug, Clone)]
pub struct S3Side {
    store: Store,
    blobs: Blobs,
}

impl S3Side {
    /// Opens the objects in `folder` and removes what belongs to none.
    ///
    /// # Errors
    /// When folder or store cannot be used.
    pub async fn open(store: Store, folder: PathBuf) -> Result<Self, S3OpenError> {
        let blobs = Blobs::open(folder)?;
        let unreferenced = store.unreferenced_blobs(blobs.names()?).await?;
        for name in &unreferenced {
            blobs.remove(name).await;
        }
        if !unreferenced.is_empty() {
            tracing::info!(
                count = unreferenced.len(),
                "removed object data that belonged to no object"
            );
        }
        Ok(Self { store, blobs })
    }

    /// Where an object's content is.
    pub fn blob_path(&self, blob: &str) -> PathBuf {
        self.blobs.path(blob)
    }

    /// The protocol on top, for holders of these keys and agents with these roles.
    pub fn service(&self, keys: CredentialTable, roles: Roles) -> S3Service {
        let mut builder = S3ServiceBuilder::new(Backend { side: self.clone() });
        builder.set_auth(Keys { keys, roles });
        builder.set_access(Access);
        builder.build()
    }
}
