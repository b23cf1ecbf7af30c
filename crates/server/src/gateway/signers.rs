//! Who holds the key that a request claims to be signed with: a key of the server, or a session that has not ended.

use std::sync::Arc;

use coracle_auth::session_keys::SessionClaims;
use coracle_auth::{AuthError, CredentialTable, SigV4Request};
use coracle_store::{Session, Store};
use coracle_types::{AccountId, Region};
use coracle_wire::Error;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Caller, Proof, Refusal, RoleSession};
use crate::control::timestamp;
use crate::roles::Roles;

/// Everybody who may sign requests.
#[derive(Debug, Clone)]
pub struct Signers {
    /// Those with keys.
    pub keys: CredentialTable,
    /// What sessions may do.
    pub roles: Roles,
    /// Which sessions there are.
    pub store: Store,
}

/// Somebody who may have signed a request.
pub(super) struct Signer {
    pub(super) secret: SecretString,
    pub(super) account: AccountId,
    pub(super) principal: String,
    pub(super) proof: Proof,
}

impl Signer {
    /// Who it is, once that is proven.
    pub(super) fn caller(self, region: &Region, request_id: &str) -> Caller {
        Caller {
            account: self.account,
            region: region.clone(),
            principal: self.principal,
            proof: self.proof,
            request_id: request_id.to_owned(),
        }
    }
}

impl Signers {
    /// Who the request claims to be from. Nothing is proven yet.
    pub(super) async fn claimed_by(&self, request: &SigV4Request) -> Result<Signer, Refusal> {
        if let Some(credential) = self.keys.get(request.access_key()) {
            return Ok(Signer {
                secret: credential.key.secret.clone(),
                account: credential.account.clone(),
                principal: credential.principal.clone(),
                proof: Proof::Signature,
            });
        }
        let token = request.session_token().ok_or(AuthError::UnknownKey)?;
        let (claims, secret) = self
            .roles
            .keys()
            .read(request.access_key(), token, Timestamp::now())?;
        let found = self
            .store
            .session(&claims.session)
            .await
            .map_err(Error::internal)?;
        // Another session of the same name may be there by now.
        let session = found
            .filter(|session| timestamp(session.started_at) == claims.began)
            .ok_or(AuthError::ExpiredToken)?;
        Ok(self.session(claims, &session, secret))
    }

    fn session(&self, claims: SessionClaims, session: &Session, secret: SecretString) -> Signer {
        let account = &session.owner.account;
        let permissions = self.roles.permissions(&claims.role, account).cloned();
        let session_name = format!("BedrockAgentCore-{}", claims.session.address());
        Signer {
            secret,
            account: account.clone(),
            principal: format!("{}/{session_name}", claims.role.name()),
            proof: Proof::Role(Arc::new(RoleSession {
                role: claims.role,
                permissions: permissions.unwrap_or_default(),
            })),
        }
    }
}
