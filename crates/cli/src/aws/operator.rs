//! Coracle's operator API, which AWS does not have.

use coracle_types::{EndpointName, RuntimeId, SessionId};
use http::Method;
use jiff::Timestamp;
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{Call, Client, ClientError, Service, escape, url_with_path};

/// Which log lines are wanted.
#[derive(Debug)]
pub(crate) struct LogQuery<'a> {
    pub(crate) runtime: &'a RuntimeId,
    pub(crate) endpoint: &'a EndpointName,
    pub(crate) session: Option<&'a SessionId>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) limit: u32,
    pub(crate) follow: bool,
}

/// Which sessions are wanted.
#[derive(Debug)]
pub(crate) struct SessionQuery<'a> {
    pub(crate) runtime: &'a RuntimeId,
    pub(crate) endpoint: Option<&'a EndpointName>,
    pub(crate) state: Option<&'a str>,
    pub(crate) limit: Option<u32>,
}

/// The session that is meant.
#[derive(Debug)]
pub(crate) struct SessionName {
    pub(crate) runtime: RuntimeId,
    pub(crate) endpoint: EndpointName,
    pub(crate) session: SessionId,
}

impl SessionName {
    fn parameters(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("runtime", Some(self.runtime.as_str())),
            ("endpoint", Some(self.endpoint.as_str())),
            ("session", Some(self.session.as_str())),
        ]
    }
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<Value>,
}

impl Client {
    /// Log lines as lines of JSON; without end if `follow` is set.
    pub(crate) async fn logs(&self, query: &LogQuery<'_>) -> Result<Response, ClientError> {
        let limit = query.limit.to_string();
        let since = query.since.map(|time| time.to_string());
        let url = self.operator_url(
            "logs",
            &[
                ("runtime", Some(query.runtime.as_str())),
                ("endpoint", Some(query.endpoint.as_str())),
                ("limit", Some(&limit)),
                ("session", query.session.map(SessionId::as_str)),
                ("since", since.as_deref()),
                ("follow", query.follow.then_some("true")),
            ],
        );
        self.stream(Call::new(Service::AgentCore, Method::GET, url)).await
    }

    /// Sessions, newest first, as `docs/operations.md` has them.
    pub(crate) async fn sessions(&self, query: &SessionQuery<'_>) -> Result<Vec<Value>, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let parameters = [
            ("runtime", Some(query.runtime.as_str())),
            ("endpoint", query.endpoint.map(EndpointName::as_str)),
            ("state", query.state),
            ("limit", limit.as_deref()),
        ];
        let url = self.operator_url("sessions", &parameters);
        let call = Call::new(Service::AgentCore, Method::GET, url);
        Ok(self.json::<Sessions>(call).await?.sessions)
    }

    /// All that is known of a session.
    pub(crate) async fn describe_session(&self, name: &SessionName) -> Result<Value, ClientError> {
        let url = self.operator_url("session", &name.parameters());
        self.json(Call::new(Service::AgentCore, Method::GET, url)).await
    }

    /// Ends a session without asking its agent, and says what state that has led to.
    pub(crate) async fn kill_session(&self, name: &SessionName) -> Result<Value, ClientError> {
        let url = self.operator_url("session/kill", &name.parameters());
        self.json(Call::new(Service::AgentCore, Method::POST, url)).await
    }

    /// Parameters without a value are left out.
    fn operator_url(&self, path: &str, parameters: &[(&str, Option<&str>)]) -> Url {
        let segments: Vec<_> = std::iter::once("_coracle").chain(path.split('/')).collect();
        let mut url = url_with_path(&self.settings.endpoints.value.control, &segments);
        let pairs = parameters
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escape((*value)?))));
        let query = pairs.collect::<Vec<_>>().join("&");
        url.set_query((!query.is_empty()).then_some(query.as_str()));
        url
    }
}
