//! How many resources an account may have in a region. Counted in the transaction that adds one, once it is
//! added, so that concurrent requests cannot pass the quota together.

use std::collections::HashMap;

use coracle_types::{AccountId, EndpointName, RuntimeId};

use crate::database::Connection;
use crate::{Owner, StoreError};

/// The quotas of one account; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Runtimes in a region.
    pub runtimes: Option<u32>,
    /// Versions of a runtime.
    pub versions: Option<u32>,
    /// Endpoints of a runtime, `DEFAULT` not counted.
    pub endpoints: Option<u32>,
}

/// The quotas of all accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of an account that has none of its own.
    pub general: Quota,
    /// Of single accounts.
    pub accounts: HashMap<AccountId, Quota>,
}

impl Quotas {
    fn of(&self, account: &AccountId) -> &Quota {
        self.accounts.get(account).unwrap_or(&self.general)
    }

    pub(crate) async fn allow_runtime(
        &self,
        connection: &mut Connection,
        owner: &Owner,
    ) -> Result<(), StoreError> {
        let Some(limit) = self.of(&owner.account).runtimes else {
            return Ok(());
        };
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM runtime WHERE account = $1 AND region = $2")
            .bind(owner.account.as_str())
            .bind(owner.region.as_str())
            .fetch_one(connection)
            .await?;
        within(count, limit, "agent runtimes")
    }

    pub(crate) async fn allow_version(
        &self,
        connection: &mut Connection,
        owner: &Owner,
        id: &RuntimeId,
    ) -> Result<(), StoreError> {
        let Some(limit) = self.of(&owner.account).versions else {
            return Ok(());
        };
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM version WHERE runtime_id = $1")
            .bind(id.as_str())
            .fetch_one(connection)
            .await?;
        within(count, limit, "versions of an agent runtime")
    }

    pub(crate) async fn allow_endpoint(
        &self,
        connection: &mut Connection,
        owner: &Owner,
        id: &RuntimeId,
    ) -> Result<(), StoreError> {
        let Some(limit) = self.of(&owner.account).endpoints else {
            return Ok(());
        };
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM endpoint WHERE runtime_id = $1 AND name <> $2")
            .bind(id.as_str())
            .bind(EndpointName::DEFAULT)
            .fetch_one(connection)
            .await?;
        within(count, limit, "endpoints of an agent runtime")
    }
}

fn within(count: i64, limit: u32, what: &'static str) -> Result<(), StoreError> {
    if count <= i64::from(limit) {
        Ok(())
    } else {
        Err(StoreError::QuotaReached { what, limit })
    }
}
