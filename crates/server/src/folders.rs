//! Folders of this host that agents mount: what an access point of EFS or S3 Files is here.
//!
//! Versions name an access point by its ARN, the operator says which folder it is (`[mounts]`). One that is not named
//! there cannot be deployed with; one that is named no longer is not served to the sandboxes that have it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_nfs::{Folder, FolderError, FolderKey, FolderSettings};
use coracle_supervisor::driver::FolderMount;
use coracle_types::AccountId;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config::{Config, DriverKind};
use crate::control::version::VersionConfig;

/// What seals the handles of files in folders, in the data folder.
const KEY_FILE: &str = "folders-key";

/// A folder that is an access point here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether agents may only read.
    #[serde(default)]
    pub read_only: bool,
    /// The number of the user that files belong to; the folder's own unless set.
    pub user: Option<u32>,
    /// The number of that user's group; the folder's own unless set.
    pub group: Option<u32>,
}

/// Why folders cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    /// What is named is no access point.
    #[error(
        "{0:?} in [mounts] is no access point: it is named by an ARN such as \
         arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"
    )]
    NoAccessPoint(String),
    /// The folder.
    #[error("the access point {name} in [mounts] cannot be offered")]
    Folder {
        /// Its ARN.
        name: String,
        /// The cause.
        #[source]
        source: FolderError,
    },
    /// The key of their handles.
    #[error("the key of mounted folders cannot be used")]
    Key(#[source] io::Error),
}

/// The folders that can be mounted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Folders(Arc<Offered>);

#[derive(Debug, Default)]
struct Offered {
    folders: BTreeMap<String, Arc<Folder>>,
    /// Whether agents are processes of this host, which mount nothing.
    are_processes: bool,
}

impl Folders {
    /// Opens all that the operator offers.
    ///
    /// # Errors
    /// When one of them cannot be offered.
    pub fn open(config: &Config, data_dir: &Path) -> Result<Self, MountsError> {
        let mut folders = BTreeMap::new();
        if !config.mounts.is_empty() {
            let key = coracle_auth::load_or_create_key(&data_dir.join(KEY_FILE)).map_err(MountsError::Key)?;
            let key = FolderKey::new(*key.expose_secret());
            for (name, mount) in &config.mounts {
                folders.insert(name.clone(), Arc::new(open(name, mount, &key)?));
            }
        }
        Ok(Self(Arc::new(Offered {
            folders,
            are_processes: config.sandbox.driver == DriverKind::Process,
        })))
    }

    /// Why no version of this account can be deployed with this access point, if none can.
    pub(crate) fn refusal(&self, access_point: &str, account: &AccountId) -> Option<String> {
        if self.0.are_processes {
            return Some(
                "The process driver mounts nothing; access points need a server with the microvm driver"
                    .to_owned(),
            );
        }
        // The fifth part of an ARN is whose the resource is.
        if access_point.split(':').nth(4) != Some(account.as_str()) {
            return Some("An access point is mounted by agents of its own account only".to_owned());
        }
        (!self.0.folders.contains_key(access_point)).then(|| {
            format!(
                "This server has no folder for this access point; its operator can name one in [mounts.\"{access_point}\"]"
            )
        })
    }

    /// What sandboxes of this version mount.
    pub(crate) fn of_version(&self, version: &VersionConfig) -> Vec<FolderMount> {
        let mounts = version.access_points().map(|(name, mount_path)| FolderMount {
            name: name.to_owned(),
            mount_path: mount_path.to_owned(),
            folder: self.0.folders.get(name).cloned(),
        });
        mounts.collect()
    }
}

fn open(name: &str, mount: &MountConfig, key: &FolderKey) -> Result<Folder, MountsError> {
    let is_access_point = ["elasticfilesystem", "s3files"].into_iter().any(|service| {
        let mut parts = name.split(':');
        parts.next() == Some("arn") && parts.nth(1) == Some(service) && name.contains("access-point/")
    });
    if !is_access_point {
        return Err(MountsError::NoAccessPoint(name.to_owned()));
    }
    let settings = FolderSettings {
        name: name.to_owned(),
        path: mount.folder.clone(),
        read_only: mount.read_only,
        user: mount.user,
        group: mount.group,
    };
    Folder::open(settings, key).map_err(|source| MountsError::Folder {
        name: name.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS_POINT: &str =
        "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0";

    fn opened(config: &str) -> Result<Folders, MountsError> {
        let data = tempfile::tempdir().unwrap();
        Folders::open(&toml::from_str(config).unwrap(), data.path())
    }

    #[test]
    fn what_cannot_be_offered_is_refused_at_start() {
        let no_arn = opened("[mounts.shared]\nfolder = \"/tmp\"").unwrap_err();
        assert!(matches!(no_arn, MountsError::NoAccessPoint(_)), "{no_arn}");
        for folder in ["/does/not/exist", "relative", "/proc/version"] {
            let refused = opened(&format!("[mounts.\"{ACCESS_POINT}\"]\nfolder = {folder:?}")).unwrap_err();
            assert!(refused.to_string().contains(ACCESS_POINT), "{folder}: {refused}");
        }
    }

    #[test]
    fn an_access_point_needs_a_folder_and_a_driver_that_mounts() {
        let account = "000000000000".parse().unwrap();
        let refusal = |config| opened(config).unwrap().refusal(ACCESS_POINT, &account);
        assert!(refusal("").unwrap().contains("[mounts."));
        assert!(
            refusal("sandbox.driver = \"process\"")
                .unwrap()
                .contains("microvm")
        );
    }

    #[test]
    fn an_access_point_is_its_own_accounts_alone() {
        let refusal = |account: &str| {
            let account = account.parse().unwrap();
            Folders::default().refusal(ACCESS_POINT, &account).unwrap()
        };
        assert!(refusal("000000000000").contains("[mounts."));
        // Who is another learns nothing of what is there.
        assert!(refusal("111111111111").contains("its own account"));
    }
}
