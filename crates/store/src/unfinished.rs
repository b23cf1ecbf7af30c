//! What was under way when the server stopped. Start-up finishes each of these or lets it fail.

use coracle_types::EndpointName;

use crate::{Endpoint, Runtime, RuntimeVersion, Store, StoreError};

/// Everything that waits for somebody to finish it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Versions in `CREATING` or `UPDATING`, oldest first; for [`Store::finish_version`]. The `DEFAULT` endpoints
    /// that wait for them are finished with them and not listed.
    pub versions: Vec<RuntimeVersion>,
    /// Endpoints in `CREATING`, `UPDATING` or `DELETING`, with their runtimes; for [`Store::finish_endpoint`] and
    /// [`Store::finish_delete_endpoint`].
    pub endpoints: Vec<(Runtime, Endpoint)>,
    /// Runtimes in `DELETING`; for [`Store::finish_delete_runtime`].
    pub deletions: Vec<Runtime>,
}

impl Store {
    /// What was begun and not finished.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished(&self) -> Result<Unfinished, StoreError> {
        let mut transaction = self.read().await?;
        let versions = sqlx::query(
            "SELECT * FROM runtime_version WHERE status IN ('CREATING', 'UPDATING') ORDER BY version_created_at",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let endpoints = sqlx::query(
            "SELECT * FROM endpoint WHERE status IN ('CREATING', 'UPDATING', 'DELETING') AND name <> $1
             ORDER BY updated_at",
        )
        .bind(EndpointName::DEFAULT)
        .fetch_all(&mut *transaction)
        .await?;
        let deletions = sqlx::query("SELECT * FROM runtime WHERE deletion = 'DELETING' ORDER BY updated_at")
            .fetch_all(&mut *transaction)
            .await?;
        let mut unfinished = Unfinished {
            versions: versions
                .iter()
                .map(RuntimeVersion::from_row)
                .collect::<Result<_, _>>()?,
            endpoints: Vec::with_capacity(endpoints.len()),
            deletions: deletions
                .iter()
                .map(Runtime::from_row)
                .collect::<Result<_, _>>()?,
        };
        for row in &endpoints {
            let endpoint = Endpoint::from_row(row)?;
            let runtime = sqlx::query("SELECT * FROM runtime WHERE runtime_id = $1")
                .bind(endpoint.runtime.as_str())
                .fetch_one(&mut *transaction)
                .await?;
            unfinished
                .endpoints
                .push((Runtime::from_row(&runtime)?, endpoint));
        }
        Ok(unfinished)
    }
}
