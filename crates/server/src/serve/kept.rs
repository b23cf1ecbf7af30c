//! What a server keeps in its data folder, opened.

use coracle_artifact::code::CodeStore;
use coracle_artifact::oci::OciStore;
use coracle_auth::session_keys::SessionKeys;
use coracle_auth::{Credential, CredentialTable};
use coracle_store::Store;
use coracle_supervisor::{LogFiles, LogFilesConfig};

use super::folder::DataFolder;
use super::{ServeError, mebibytes};
use crate::config::Config;
use crate::folders::Folders;
use crate::roles::Roles;
use crate::s3::S3Side;

/// The server's own database, files and keys.
pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) code: CodeStore,
    pub(super) containers: OciStore,
    pub(super) s3: S3Side,
    pub(super) logs: LogFiles,
    /// Whose signatures count.
    pub(super) credentials: CredentialTable,
    pub(super) roles: Roles,
    /// What agents mount.
    pub(super) folders: Folders,
}

impl Kept {
    /// Opens everything, and makes what is missing.
    pub(super) async fn open(config: &Config, folder: &DataFolder) -> Result<Self, ServeError> {
        let path = folder.path();
        let store = Store::open(&path.join("coracle.db"))
            .await?
            .with_quotas(config.quotas.resources());
        let s3 = S3Side::open(store.clone(), path.join("objects")).await?;
        let logs = LogFiles::open(LogFilesConfig {
            folder: path.join("logs"),
            retention_days: config.logs.retention_days,
            max_file_bytes: mebibytes(config.logs.session_mib),
        });
        let session_keys = SessionKeys::load_or_create(&path.join("session-key"));
        let session_keys = session_keys.map_err(|error| folder.unusable(error))?;
        Ok(Self {
            store,
            code: CodeStore::open(path.join("artifacts"))?,
            containers: OciStore::open(path.join("containers"))?,
            s3,
            logs: logs.map_err(|error| folder.unusable(error))?,
            credentials: credentials(config, folder)?,
            roles: Roles::new(&config.roles, session_keys),
            folders: Folders::open(config, path)?,
        })
    }
}

fn credentials(config: &Config, folder: &DataFolder) -> Result<CredentialTable, ServeError> {
    let key = coracle_auth::load_or_create(&folder.path().join("credentials"))?;
    let mut table = CredentialTable::default();
    table.insert(Credential {
        key,
        account: config.account.clone(),
        principal: "administrator".to_owned(),
    });
    for configured in &config.credentials {
        table.insert(configured.clone().into());
    }
    Ok(table)
}
