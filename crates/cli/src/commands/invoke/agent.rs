//! The agent that is asked: a runtime's endpoint, reached through the server.

use coracle_types::{EndpointName, RuntimeArn, ServerProtocol, SessionId};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Response;
use tokio_util::bytes::Bytes;

use super::super::{Context, Place, arn_of, endpoint_name};
use crate::args::Peer;
use crate::aws::data::Invocation;
use crate::failure::Failure;

/// What is sent to an agent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: Bytes,
    /// Headers of the protocol.
    pub(super) headers: HeaderMap,
}

impl Message {
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            headers: HeaderMap::new(),
        }
    }
}

/// An agent, and in whose name it is asked.
pub(super) struct Agent<'a> {
    pub(super) protocol: ServerProtocol,
    context: Context<'a>,
    runtime: RuntimeArn,
    endpoint: EndpointName,
    peer: &'a Peer,
    headers: HeaderMap,
}

impl<'a> Agent<'a> {
    /// The agent that the command line means. No server is asked where an ARN says all that is needed.
    pub(super) async fn find(place: Place<'a>, peer: &'a Peer) -> Result<Self, Failure> {
        let context = place.connect(peer.bearer_token.is_some())?;
        let endpoint = endpoint_name(&peer.endpoint)?;
        let headers = peer
            .headers
            .iter()
            .map(|text| header(text))
            .collect::<Result<_, _>>()?;
        let (runtime, protocol) = match context.runtime_name()?.parse::<RuntimeArn>() {
            Ok(arn) => {
                let known = context.project.as_ref().ok();
                let entry = known.and_then(|project| project.runtime(Some(arn.runtime.name())).ok());
                (arn, entry.map_or(ServerProtocol::Http, |entry| entry.protocol))
            }
            Err(_) => {
                let runtime = context.runtime().await?;
                let configured = runtime.protocol_configuration.as_ref();
                let protocol = configured.map_or(ServerProtocol::Http, |it| it.server_protocol);
                (arn_of(&runtime)?, protocol)
            }
        };
        Ok(Self {
            context,
            runtime,
            endpoint,
            protocol,
            peer,
            headers,
        })
    }

    /// Sends a message; the body of the answer arrives as the agent produces it.
    pub(super) async fn send(&self, session: &SessionId, message: Message) -> Result<Response, Failure> {
        let mut headers = self.headers.clone();
        headers.extend(message.headers);
        let invocation = Invocation {
            runtime: &self.runtime,
            endpoint: &self.endpoint,
            session,
            user: self.peer.user_id.as_deref(),
            payload: message.body,
            headers,
            bearer: self.peer.bearer_token.clone(),
        };
        Ok(self.context.client.invoke(invocation).await?)
    }

    /// The card of an A2A agent.
    pub(super) async fn card(&self, session: &SessionId) -> Result<serde_json::Value, Failure> {
        let bearer = self.peer.bearer_token.clone();
        let asked = self
            .context
            .client
            .agent_card(&self.runtime, &self.endpoint, session, bearer);
        Ok(asked.await?)
    }
}

/// A header as it is typed, `Name: value`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    parsed.ok_or_else(|| {
        // The value may be a secret.
        let name = text.split(':').next().unwrap_or_default();
        Failure::usage(
            format!("`{name}` is not the beginning of a header"),
            "a header looks like `X-Team: blue`",
        )
    })
}
