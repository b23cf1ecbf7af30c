//! What agents may do on this server under the roles of their runtimes, and the credentials with which they do it.
//!
//! A role is what the configuration says of it, and a role of which that says nothing may nothing: agents of its runtimes
//! are given no credentials. The same name in another account is another role, so a runtime's role counts only if it is
//! of the runtime's own account.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_auth::permissions::{Permissions, Statement, takes_in};
use coracle_auth::session_keys::{SessionClaims, SessionKeys};
use coracle_store::Owner;
use coracle_supervisor::Role;
use coracle_supervisor::driver::Identity;
use coracle_types::{AccountId, RoleArn, SessionKey};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};

use crate::gateway::rights;

/// How long credentials are valid. Clients ask for new ones before the end.
const VALIDITY: SignedDuration = SignedDuration::from_hours(1);

/// What a role may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// Each statement allows all its actions on all its resources.
    #[serde(deserialize_with = "statements")]
    pub allow: Vec<Statement>,
}

/// An action that does not exist here is a misspelt one, or would be without effect.
fn statements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Statement>, D::Error> {
    let statements = Vec::<Statement>::deserialize(deserializer)?;
    for statement in &statements {
        let unknown = |pattern: &&String| !rights::actions().any(|action| takes_in(pattern, &action));
        if let Some(unknown) = statement.actions.iter().find(unknown) {
            return Err(serde::de::Error::custom(format!(
                "'{unknown}' is no action of this server; there are {}",
                rights::actions().collect::<Vec<_>>().join(", ")
            )));
        }
        if statement.actions.is_empty() || statement.resources.is_empty() {
            return Err(serde::de::Error::custom("a statement has actions and resources"));
        }
    }
    Ok(statements)
}

/// All roles there are.
#[derive(Debug, Clone)]
pub struct Roles {
    permissions: Arc<BTreeMap<RoleArn, Permissions>>,
    keys: SessionKeys,
}

impl Roles {
    /// The roles of the configuration; credentials are made with this key.
    pub fn new(config: &BTreeMap<RoleArn, RoleConfig>, keys: SessionKeys) -> Self {
        let permissions = config
            .iter()
            .map(|(arn, role)| (arn.clone(), Permissions::new(role.allow.clone())));
        Self {
            permissions: Arc::new(permissions.collect()),
            keys,
        }
    }

    /// What makes and reads credentials.
    pub(crate) fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    /// What agents with this role may do in this account.
    pub(crate) fn permissions(&self, role: &RoleArn, account: &AccountId) -> Option<&Permissions> {
        self.permissions.get(role).filter(|_| role.account() == account)
    }

    /// What sessions of this owner's runtime act as, if its role is one here.
    pub(crate) fn of_runtime(&self, role: &str, owner: &Owner) -> Option<Arc<dyn Role>> {
        let role: RoleArn = role.parse().ok()?;
        self.permissions(&role, &owner.account)?;
        Some(Arc::new(RuntimeRole {
            role,
            owner: owner.clone(),
            keys: self.keys.clone(),
        }))
    }
}

/// The role of a runtime.
#[derive(Debug)]
struct RuntimeRole {
    role: RoleArn,
    owner: Owner,
    keys: SessionKeys,
}

impl Role for RuntimeRole {
    fn identity(&self, session: &SessionKey, began: Timestamp) -> Arc<dyn Identity> {
        Arc::new(SessionIdentity {
            role: self.role.clone(),
            owner: self.owner.clone(),
            keys: self.keys.clone(),
            session: session.clone(),
            began,
        })
    }
}

/// One session of such a runtime.
#[derive(Debug)]
struct SessionIdentity {
    role: RoleArn,
    owner: Owner,
    keys: SessionKeys,
    session: SessionKey,
    began: Timestamp,
}

impl Identity for SessionIdentity {
    fn role(&self) -> &str {
        self.role.name()
    }

    fn account(&self) -> &str {
        self.owner.account.as_str()
    }

    fn region(&self) -> &str {
        self.owner.region.as_str()
    }

    fn credentials(&self) -> coracle_egress::SessionCredentials {
        let made = Timestamp::now();
        let expires = made.saturating_add(VALIDITY).unwrap_or(made);
        let credentials = self.keys.issue(SessionClaims {
            session: self.session.clone(),
            began: self.began,
            role: self.role.clone(),
            expires,
        });
        coracle_egress::SessionCredentials {
            access_key: credentials.key.access_key.as_str().to_owned(),
            secret: credentials.key.secret,
            token: credentials.token,
            made,
            expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &str = "arn:aws:iam::000000000000:role/front";

    fn config(actions: &str) -> Result<BTreeMap<RoleArn, RoleConfig>, toml::de::Error> {
        toml::from_str(&format!(
            "[\"{FRONT}\"]\nallow = [{{ actions = [{actions}], resources = [\"*\"] }}]"
        ))
    }

    fn roles(actions: &str) -> Roles {
        let folder = tempfile::tempdir().unwrap();
        let keys = SessionKeys::load_or_create(&folder.path().join("key")).unwrap();
        Roles::new(&config(actions).unwrap(), keys)
    }

    fn owner(account: &str) -> Owner {
        Owner {
            account: account.parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        }
    }

    #[test]
    fn a_role_counts_in_its_own_account_and_by_its_whole_name() {
        let roles = roles("\"bedrock-agentcore:*\"");
        assert!(roles.of_runtime(FRONT, &owner("000000000000")).is_some());
        assert!(roles.of_runtime(FRONT, &owner("111111111111")).is_none());
        for other in [
            "arn:aws:iam::000000000000:role/x/front",
            "arn:aws:iam::000000000000:role/back",
            "front",
        ] {
            assert!(
                roles.of_runtime(other, &owner("000000000000")).is_none(),
                "{other}"
            );
        }
    }

    #[test]
    fn what_would_be_without_effect_is_refused() {
        for known in ["\"*\"", "\"bedrock-agentcore:invoke*\"", "\"iam:PassRole\""] {
            assert!(config(known).is_ok(), "{known}");
        }
        for unknown in [
            "",
            "\"bedrock-agentcore:InvokeAgentRuntim\"",
            "\"bedrock:InvokeModel\"",
            "\"\"",
        ] {
            assert!(config(unknown).is_err(), "{unknown}");
        }
    }
}
