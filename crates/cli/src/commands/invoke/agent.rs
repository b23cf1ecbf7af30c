//! The agent that is asked: a runtime's endpoint, reached through the server, or the one that runs on this machine.

use coracle_types::{EndpointName, RuntimeArn, ServerProtocol, SessionId};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Response;
use secrecy::SecretString;
use tokio_util::bytes::Bytes;

use super::super::{Context, Place, arn_of, endpoint_name};
use crate::args::Peer;
use crate::aws::data::Invocation;
use crate::dev::DevServer;
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

/// Where an agent runs.
enum Way<'a> {
    Deployed {
        context: Box<Context<'a>>,
        runtime: RuntimeArn,
        endpoint: EndpointName,
    },
    /// On this machine, by `agentcore dev`.
    Dev(DevServer),
}

/// An agent, and in whose name it is asked.
pub(super) struct Agent<'a> {
    pub(super) protocol: ServerProtocol,
    /// Whether that is what the agent was deployed with, and not only what is likely.
    is_sure: bool,
    way: Way<'a>,
    user: Option<String>,
    bearer: Option<SecretString>,
    headers: HeaderMap,
}

impl<'a> Agent<'a> {
    /// The agent that the command line means. No server is asked where an ARN says all that is needed.
    pub(super) async fn find(place: Place<'a>, peer: &Peer) -> Result<Self, Failure> {
        let endpoint = endpoint_name(&peer.endpoint)?;
        let headers = peer
            .headers
            .iter()
            .map(|text| header(text))
            .collect::<Result<_, _>>()?;
        let mut agent = if peer.dev {
            Self::in_dev(&place, peer.port).await?
        } else {
            let context = place.with_runtime()?.connect(peer.bearer_token.is_some())?;
            Self::deployed(context, endpoint).await?
        };
        agent.user.clone_from(&peer.user_id);
        agent.bearer.clone_from(&peer.bearer_token);
        agent.headers = headers;
        Ok(agent)
    }

    async fn deployed(context: Context<'a>, endpoint: EndpointName) -> Result<Self, Failure> {
        let (runtime, protocol, is_sure) = match context.runtime_name()?.parse::<RuntimeArn>() {
            Ok(arn) => {
                let known = context.project.as_ref().ok();
                let entry = known.and_then(|project| project.runtime(Some(arn.runtime.name())).ok());
                let likely = entry.map_or(ServerProtocol::Http, |entry| entry.protocol);
                (arn, likely, false)
            }
            Err(_) => {
                let runtime = context.runtime().await?;
                let configured = runtime.protocol_configuration.as_ref();
                let protocol = configured.map_or(ServerProtocol::Http, |it| it.server_protocol);
                (arn_of(&runtime)?, protocol, true)
            }
        };
        let context = Box::new(context);
        let way = Way::Deployed {
            context,
            runtime,
            endpoint,
        };
        Ok(Self::by(way, protocol, is_sure))
    }

    /// Refuses what only MCP servers can do, if this is none.
    pub(super) fn require_mcp(&self) -> Result<(), Failure> {
        if !self.is_sure || self.protocol == ServerProtocol::Mcp {
            return Ok(());
        }
        Err(Failure::usage(
            "the agent does not speak MCP, and offers no tools",
            "`agentcore invoke` talks to it",
        ))
    }

    /// The agent that `agentcore dev` runs for this project, or at this port.
    pub(super) async fn in_dev(place: &Place<'a>, port: Option<u16>) -> Result<Self, Failure> {
        let wanted = place.global.runtime.as_deref();
        let project = place.project.as_ref().ok();
        let entry =
            project.and_then(|project| Some((project.root.as_path(), &project.runtime(wanted).ok()?.name)));
        let server = DevServer::find(entry, port, place.printer.debug).await?;
        let protocol = server.protocol;
        Ok(Self::by(Way::Dev(server), protocol, true))
    }

    fn by(way: Way<'a>, protocol: ServerProtocol, is_sure: bool) -> Self {
        Self {
            protocol,
            is_sure,
            way,
            user: None,
            bearer: None,
            headers: HeaderMap::new(),
        }
    }

    /// What went wrong, told as it is where this agent runs.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        match (&self.way, failure) {
            (Way::Dev(_), failure @ (Failure::Agent(_) | Failure::Client(_))) => {
                Failure::InDev(Box::new(failure))
            }
            (_, failure) => failure,
        }
    }

    /// Sends a message; the body of the answer arrives as the agent produces it.
    pub(super) async fn send(&self, session: &SessionId, message: Message) -> Result<Response, Failure> {
        let mut headers = self.headers.clone();
        headers.extend(message.headers);
        let user = self.user.as_deref();
        Ok(match &self.way {
            Way::Deployed {
                context,
                runtime,
                endpoint,
            } => {
                let invocation = Invocation {
                    runtime,
                    endpoint,
                    session,
                    user,
                    payload: message.body,
                    headers,
                    bearer: self.bearer.clone(),
                };
                context.client.invoke(invocation).await?
            }
            Way::Dev(server) => server.invoke(session, user, headers, message.body).await?,
        })
    }

    /// The card of an A2A agent.
    pub(super) async fn card(&self, session: &SessionId) -> Result<serde_json::Value, Failure> {
        Ok(match &self.way {
            Way::Deployed {
                context,
                runtime,
                endpoint,
            } => {
                context
                    .client
                    .agent_card(runtime, endpoint, session, self.bearer.clone())
                    .await?
            }
            Way::Dev(server) => server.agent_card().await?,
        })
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
