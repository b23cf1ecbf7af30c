//! Coracle's operator API, which AWS does not have.

use coracle_types::{EndpointName, RuntimeId, SessionId, VersionNumber};
use http::Method;
use jiff::Timestamp;
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};

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

/// A session that is alive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveSession {
    pub(crate) session: SessionId,
    pub(crate) runtime: RuntimeId,
    pub(crate) endpoint: EndpointName,
    pub(crate) version: VersionNumber,
    pub(crate) state: String,
    pub(crate) started: Timestamp,
    pub(crate) last_used: Timestamp,
    /// Requests open or waiting.
    pub(crate) requests: u64,
}

#[derive(Deserialize)]
struct LiveSessions {
    sessions: Vec<LiveSession>,
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

    /// Every session that is alive.
    pub(crate) async fn sessions(&self) -> Result<Vec<LiveSession>, ClientError> {
        let call = Call::new(
            Service::AgentCore,
            Method::GET,
            self.operator_url("sessions", &[]),
        );
        Ok(self.json::<LiveSessions>(call).await?.sessions)
    }

    /// Parameters without a value are left out.
    fn operator_url(&self, name: &str, parameters: &[(&str, Option<&str>)]) -> Url {
        let mut url = url_with_path(&self.settings.endpoints.value.control, &["_coracle", name]);
        let pairs = parameters
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escape((*value)?))));
        let query = pairs.collect::<Vec<_>>().join("&");
        url.set_query((!query.is_empty()).then_some(query.as_str()));
        url
    }
}
