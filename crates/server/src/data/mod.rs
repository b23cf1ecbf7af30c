//! The data plane: invocations, WebSockets, commands, agent cards and the end of sessions.

mod bearer;
mod caps;
mod card;
mod command;
mod envelope;
mod environment;
mod failures;
mod headers;
mod hibernation;
mod invoke;
mod mcp;
mod quota;
mod relay;
mod restore_hook;
mod routes;
mod session_url;
mod shell;
mod stop;
mod target;
mod trace;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use coracle_auth::policy::SERVICE_PREFIX;
use coracle_store::Store;
use coracle_supervisor::{LogFiles, Supervisor};
use coracle_wire::Error;
use coracle_wire::data::{
    DataService, GetAgentCardRequest, GetAgentCardResponse, StopRuntimeSessionRequest,
    StopRuntimeSessionResponse,
};
use http::request::Parts;

pub(crate) use self::bearer::Unsigned;
pub(crate) use self::failures::not_stopped;
pub(crate) use self::headers::USER_ID;
pub use self::quota::SessionQuota;
use self::routes::Served;
pub(crate) use self::routes::code_program;
pub use self::routes::{Resolution, RouteSettings, Routes};
pub(crate) use self::session_url::{ACTION as PASS_THROUGH, bare, is_session_url};
pub(crate) use self::shell::{ACTION as OPEN_SHELL, PATH as SHELLS};
pub use self::stop::TokenLocks;
use self::target::{Policies, Target};
pub(crate) use self::websocket::{ACTION as OPEN_WEBSOCKET, PATH as WEBSOCKET};
pub use self::websocket::{WebSocketLimits, WebSockets};
use crate::caps::RuntimeCaps;
use crate::gateway::rate::RateLimits;
use crate::gateway::{Caller, Proof};
use crate::issuers::Issuers;
use crate::metrics::Metrics;

/// Answers data-plane operations.
pub struct DataPlane {
    /// The sessions.
    pub supervisor: Supervisor,
    /// What serves where.
    pub routes: Arc<Routes>,
    /// Outcomes of requests with a client token, and which session is meant.
    pub store: Store,
    /// How many sessions an account may have.
    pub sessions: SessionQuota,
    /// How much a runtime may use.
    pub caps: RuntimeCaps,
    /// How often an account may ask.
    pub rates: Arc<RateLimits>,
    /// Order among repeated requests.
    pub stops: TokenLocks,
    /// Who issues tokens.
    pub issuers: Issuers,
    /// The claims of a token that may name its client.
    pub client_claims: Vec<String>,
    /// The URL that clients know this server by, if it is not the one they called.
    pub public_url: Option<String>,
    /// What agents print, and which commands were run beside them.
    pub logs: LogFiles,
    /// How long an agent may take until the first byte of its answer.
    pub request_timeout: Duration,
    /// How long a streamed answer may take altogether.
    pub stream_timeout: Duration,
    /// The open WebSockets.
    pub websockets: Arc<WebSockets>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl DataPlane {
    /// What the target serves, if the caller may do all this with it: its role first, if it acts under one, then the
    /// policies of the resource. What another account does not open to the caller does not exist for it.
    async fn authorized(
        &self,
        caller: &Caller,
        target: &Target,
        actions: impl IntoIterator<Item = &'static str>,
    ) -> Result<Arc<Served>, Error> {
        let (names, foreign) = (target.names(), target.is_foreign(caller));
        let actions: Vec<&str> = actions.into_iter().collect();
        for action in &actions {
            caller.require(&format!("{SERVICE_PREFIX}{action}"), &names)?;
        }
        let found = self
            .routes
            .find(&target.owner, &target.runtime, &target.endpoint, None)
            .await;
        let not_there = Policies::default();
        let policies = match &found {
            Err(_) if foreign => &not_there,
            Err(_) => return found,
            Ok(served) => &served.policies,
        };
        let who = caller.identity();
        for action in actions {
            policies.judge(&who, foreign, action).map_err(|refusal| {
                let action = format!("{SERVICE_PREFIX}{action}");
                caller.may_not(&action, &target.arn().to_string(), refusal)
            })?;
        }
        let served = found?;
        let fits = match &caller.proof {
            Proof::Signature | Proof::Role(_) => served.authorizer.is_none(),
            Proof::Token(runtime) => served.authorizer.is_some() && *runtime == target.arn(),
        };
        if fits { Ok(served) } else { Err(bearer::mismatch()) }
    }
}

/// The parameters of a request's query, decoded.
fn parameters(parts: &Parts) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

/// The first parameter of this name.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    parameters(parts).find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

impl DataService for DataPlane {
    type Context = Caller;

    async fn get_agent_card(
        &self,
        caller: &Caller,
        input: GetAgentCardRequest,
    ) -> Result<GetAgentCardResponse, Error> {
        self.agent_card(caller, input).await
    }

    async fn stop_runtime_session(
        &self,
        caller: &Caller,
        input: StopRuntimeSessionRequest,
    ) -> Result<StopRuntimeSessionResponse, Error> {
        self.stop(caller, input).await
    }
}
