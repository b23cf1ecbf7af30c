//! How many sessions an account may have at once.
//!
//! Counted here and not in the store: one that is about to start must count already, or requests that come together
//! would pass the quota together. A session adopted from an earlier server counts from its next request on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use coracle_supervisor::Supervisor;
use coracle_types::{AccountId, SessionKey};
use coracle_wire::Error;

use crate::config::QuotasConfig;

/// The sessions of accounts that have a quota.
#[derive(Debug, Default)]
pub struct SessionQuota {
    config: QuotasConfig,
    sessions: Mutex<HashMap<AccountId, Sessions>>,
}

/// A session counts as long as the supervisor has it, or a request that may start it holds its mark.
type Sessions = HashMap<SessionKey, Arc<()>>;

impl SessionQuota {
    /// A quota by this configuration.
    pub fn new(config: QuotasConfig) -> Self {
        Self {
            config,
            sessions: Mutex::default(),
        }
    }

    /// Lets a request have its session, which counts at least as long as the mark is held.
    ///
    /// # Errors
    /// `ServiceQuotaExceededException` when it would be one too many.
    pub(super) fn admit(
        &self,
        account: &AccountId,
        key: &SessionKey,
        supervisor: &Supervisor,
    ) -> Result<Arc<()>, Error> {
        let Some(limit) = self.config.active_sessions(account) else {
            return Ok(Arc::default());
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = sessions.entry(account.clone()).or_default();
        if let Some(mark) = sessions.get(key) {
            return Ok(Arc::clone(mark));
        }
        if sessions.len() >= limit {
            sessions.retain(|key, mark| Arc::strong_count(mark) > 1 || supervisor.session(key).is_some());
        }
        if sessions.len() >= limit {
            return Err(Error::quota_exceeded(format!(
                "The maximum of {limit} VMs of this account is reached"
            )));
        }
        let mark = Arc::<()>::default();
        sessions.insert(key.clone(), Arc::clone(&mark));
        Ok(mark)
    }
}
