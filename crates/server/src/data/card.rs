//! GetAgentCard: what an A2A agent says of itself.

use std::sync::Arc;

use bytes::Bytes;
use coracle_supervisor::Lease;
use coracle_types::{ServerProtocol, SessionId, SessionKey};
use coracle_wire::Error;
use coracle_wire::data::{GetAgentCardRequest, GetAgentCardResponse};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};

use super::invoke::{Attempt, told_off};
use super::relay::{RelayError, RelayedBody, relay};
use super::routes::Served;
use super::target::Target;
use super::{DataPlane, headers, trace};
use crate::gateway::Caller;

/// Where agents have their card.
const PATH: &str = "/.well-known/agent-card.json";
/// Largest card, in bytes.
const MAX_CARD: usize = 1024 * 1024;

/// A question for the card on its way to the agent.
struct Question<'a> {
    plane: &'a DataPlane,
    caller: &'a Caller,
}

impl Attempt for Question<'_> {
    type Answer = Response<RelayedBody<Arc<Lease>>>;

    async fn make(&self, lease: &Arc<Lease>, served: &Served) -> Result<Self::Answer, RelayError> {
        let (session, allowed) = (&lease.key().session, &served.allowed_headers);
        let mut sent = HeaderMap::new();
        trace::complete(&mut sent);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = Uri::from_static(PATH);
        *request.headers_mut() = headers::to_agent(
            &sent,
            session,
            &self.caller.request_id,
            ServerProtocol::A2a,
            allowed,
        );
        let stream = lease.connect().await.map_err(RelayError::Unreachable)?;
        let limit = self.plane.request_timeout;
        relay(stream, request, limit, limit, lease.clone()).await
    }
}

impl DataPlane {
    pub(super) async fn agent_card(
        &self,
        caller: &Caller,
        input: GetAgentCardRequest,
    ) -> Result<GetAgentCardResponse, Error> {
        let (named, qualifier) = (&input.agent_runtime_arn, input.qualifier.as_deref());
        let target = Target::named(caller, named, qualifier, None)?;
        let served = self.authorized(caller, &target, ["GetAgentCard"]).await?;
        if served.spec.agent.protocol != ServerProtocol::A2a {
            return Err(Error::validation_field(
                "agentRuntimeArn",
                "Only runtimes with the protocol A2A have an agent card",
            ));
        }
        let key = SessionKey {
            runtime: target.runtime.clone(),
            endpoint: target.endpoint.clone(),
            session: input.runtime_session_id.unwrap_or_else(SessionId::random),
        };
        let question = Question { plane: self, caller };
        let (response, lease, _) = self.in_session(&target, key, served, &question).await?;
        if !response.status().is_success() {
            return Err(told_off(response).await);
        }
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_CARD).collect().await;
        let unusable = |what: String| Error::runtime_client(format!("The agent's card at {PATH} {what}"));
        let body = body.map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let agent_card = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| unusable(format!("is not JSON: {error}")))?;
        Ok(GetAgentCardResponse {
            runtime_session_id: Some(lease.key().session.as_str().to_owned()),
            agent_card,
            status_code: Some(status.into()),
        })
    }
}
