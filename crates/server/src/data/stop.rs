//! StopRuntimeSession.

use coracle_store::{Lookup, UnixMicros};
use coracle_types::SessionKey;
use coracle_wire::data::{StopRuntimeSessionRequest, StopRuntimeSessionResponse};
use coracle_wire::{Error, ValidationReason};

use super::target::Target;
use super::{DataPlane, failures};
use crate::control::{owner, refusal};
use crate::digest;
use crate::gateway::Caller;

const OPERATION: &str = "StopRuntimeSession";

impl DataPlane {
    pub(super) async fn stop(
        &self,
        caller: &Caller,
        input: StopRuntimeSessionRequest,
    ) -> Result<StopRuntimeSessionResponse, Error> {
        let (named, qualifier) = (&input.agent_runtime_arn, input.qualifier.as_deref());
        let target = Target::named(caller, named, qualifier, None)?;
        // An unknown runtime or endpoint is told apart from a session that has ended.
        self.authorized(caller, &target, [OPERATION]).await?;
        let answer = StopRuntimeSessionResponse {
            runtime_session_id: Some(input.runtime_session_id.as_str().to_owned()),
            status_code: Some(200),
        };
        let digest = digest::of(&input)?;
        let key = SessionKey {
            runtime: target.runtime,
            endpoint: target.endpoint,
            session: input.runtime_session_id,
        };
        let Some(token) = input.client_token else {
            self.supervisor.stop(&key).await.map_err(failures::not_stopped)?;
            return Ok(answer);
        };
        // A repetition that comes while the first is being answered waits for that answer.
        let _alone = self.stops.lock(&token).await;
        let owner = owner(caller);
        let known = self
            .store
            .idempotent_outcome(&owner, OPERATION, &token, &digest, UnixMicros::now())
            .await
            .map_err(refusal)?;
        match known {
            Lookup::Replay(_) => return Ok(answer),
            Lookup::Mismatch => {
                return Err(Error::validation(
                    ValidationReason::IdempotentParameterMismatch,
                    "The clientToken was used before in a request with other parameters",
                ));
            }
            Lookup::New => {}
        }
        self.supervisor.stop(&key).await.map_err(failures::not_stopped)?;
        self.store
            .record_outcome(&owner, OPERATION, &token, &digest, "", UnixMicros::now())
            .await
            .map_err(refusal)?;
        Ok(answer)
    }
}

/// Makes requests with one client token wait for each other; some with different tokens do, too.
#[derive(Debug, Default)]
pub struct TokenLocks([tokio::sync::Mutex<()>; 16]);

impl TokenLocks {
    async fn lock(&self, token: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let sum: usize = token.bytes().map(usize::from).sum();
        self.0[sum % self.0.len()].lock().await
    }
}
