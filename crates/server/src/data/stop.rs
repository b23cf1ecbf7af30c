//! StopRuntimeSession.

use coracle_types::SessionKey;
use coracle_wire::Error;
use coracle_wire::data::{StopRuntimeSessionRequest, StopRuntimeSessionResponse};

use super::{DataPlane, failures, target};
use crate::control::owner;
use crate::gateway::Caller;

impl DataPlane {
    pub(super) async fn stop(
        &self,
        caller: &Caller,
        input: StopRuntimeSessionRequest,
    ) -> Result<StopRuntimeSessionResponse, Error> {
        let (runtime, endpoint) = target(caller, &input.agent_runtime_arn, input.qualifier.as_deref(), None)?;
        // An unknown runtime or endpoint is told apart from a session that has ended.
        self.routes
            .find(&owner(caller), &runtime, &endpoint, None)
            .await?;
        let key = SessionKey {
            runtime,
            endpoint,
            session: input.runtime_session_id,
        };
        self.supervisor.stop(&key).await.map_err(failures::not_stopped)?;
        Ok(StopRuntimeSessionResponse {
            runtime_session_id: Some(key.session.as_str().to_owned()),
            status_code: Some(200),
        })
    }
}
