//! Sessions: listed, described, stopped and killed.

use std::str::FromStr;

use coracle_store::{EndedQuery, EndedSession, Page, Session};
use coracle_supervisor::{LogQuery, SessionInfo, SessionState};
use coracle_types::{
    AccountId, Consumption, EndpointName, Generation, RuntimeId, SessionId, SessionKey, VersionNumber,
};
use coracle_wire::Error;
use http::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::query::Query;
use super::{OperatorApi, answer};
use crate::control::{refusal, timestamp};
use crate::data::not_stopped;
use crate::gateway::body::ResponseBody;
use crate::report::{Phases, Report};

/// Ended sessions on a page when the caller does not say, and at most.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1000;
/// Lines of a running session's output in its description.
const LAST_LINES: usize = 20;
/// Earlier sessions of the same name in a description.
const EARLIER: u32 = 10;

/// Where a session is in its life, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Starting,
    Active,
    Idle,
    Stopping,
    Hibernated,
    Ended,
}

impl FromStr for State {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "starting" => Self::Starting,
            "active" => Self::Active,
            "idle" => Self::Idle,
            "stopping" => Self::Stopping,
            "hibernated" => Self::Hibernated,
            "ended" => Self::Ended,
            _ => return Err("It is starting, active, idle, stopping, hibernated or ended"),
        })
    }
}

impl From<SessionState> for State {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Starting => Self::Starting,
            SessionState::Active => Self::Active,
            SessionState::Idle => Self::Idle,
            SessionState::Stopping => Self::Stopping,
        }
    }
}

/// A session in a list. What is unknown or has no sense in its state is absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    runtime: RuntimeId,
    endpoint: EndpointName,
    session: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    version: VersionNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
    state: State,
    started: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    requests: usize,
    private_memory_bytes: u64,
    shared_memory_bytes: u64,
    run_seconds: f64,
    cpu_seconds: f64,
    memory_gib_seconds: f64,
    /// Why it ended, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Summary {
    fn of(key: SessionKey, version: VersionNumber, state: State, started: Timestamp) -> Self {
        Self {
            runtime: key.runtime,
            endpoint: key.endpoint,
            session: key.session,
            account: None,
            version,
            sandbox: None,
            state,
            started,
            last_used: None,
            ended: None,
            requests: 0,
            private_memory_bytes: 0,
            shared_memory_bytes: 0,
            run_seconds: 0.0,
            cpu_seconds: 0.0,
            memory_gib_seconds: 0.0,
            reason: None,
        }
    }

    fn with_use(self, used: Consumption) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "people read it")]
        let mib_seconds = used.memory_mib_seconds as f64;
        Self {
            run_seconds: used.time.as_secs_f64(),
            cpu_seconds: used.cpu.as_secs_f64(),
            memory_gib_seconds: mib_seconds / 1024.0,
            ..self
        }
    }

    fn of_running(info: &SessionInfo) -> Self {
        Self {
            account: Some(info.account.clone()),
            sandbox: Some(info.sandbox.to_string()),
            last_used: Some(info.last_used),
            requests: info.requests,
            private_memory_bytes: info.memory.private,
            shared_memory_bytes: info.memory.shared,
            ..Self::of(info.key.clone(), info.version, info.state.into(), info.started)
        }
        .with_use(info.used)
    }

    fn of_hibernated(session: &Session) -> Self {
        Self {
            account: Some(session.owner.account.clone()),
            sandbox: Some(session.sandbox.to_string()),
            ..Self::of(
                session.key.clone(),
                session.version,
                State::Hibernated,
                timestamp(session.started_at),
            )
        }
        .with_use(session.used)
    }

    fn of_ended(session: &EndedSession, report: Option<&Report>) -> Self {
        Self {
            account: session.account.clone(),
            sandbox: report.map(|report| report.sandbox.to_string()),
            last_used: report.map(|report| report.last_used),
            ended: Some(timestamp(session.ended_at)),
            reason: Some(session.reason.clone()),
            ..Self::of(
                session.key.clone(),
                session.version,
                State::Ended,
                timestamp(session.started_at),
            )
        }
        .with_use(session.used)
    }
}

/// All that is known of a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    phases: Option<Phases>,
    /// Why it ended, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_memory: Option<bool>,
    last_lines: Vec<String>,
    /// Sessions of the same name that ended before, last first.
    earlier: Vec<Summary>,
}

/// Which sessions are wanted.
struct Wanted {
    state: Option<State>,
    others: EndedQuery,
}

impl Wanted {
    fn take(query: &mut Query<'_>) -> Result<Self, Error> {
        Ok(Self {
            state: query.optional("state")?,
            others: EndedQuery {
                account: query.optional("account")?,
                runtime: query.optional("runtime")?,
                endpoint: query.optional("endpoint")?,
                session: query.optional("session")?,
                version: query.optional("version")?,
            },
        })
    }

    fn matches(&self, session: &Summary) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let others = &self.others;
        fits(self.state.as_ref(), &session.state)
            && fits(others.runtime.as_ref(), &session.runtime)
            && fits(others.endpoint.as_ref(), &session.endpoint)
            && fits(others.session.as_ref(), &session.session)
            && fits(others.version.as_ref(), &session.version)
            && (others.account.is_none() || others.account == session.account)
    }
}

impl OperatorApi {
    pub(super) async fn sessions(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let wanted = Wanted::take(&mut query)?;
        if wanted.state == Some(State::Ended) {
            return self.ended_sessions(&wanted.others, query).await;
        }
        query.no_others()?;
        let running = self.supervisor.sessions();
        let mut sessions: Vec<_> = running.iter().map(Summary::of_running).collect();
        sessions.extend(self.hibernated_sessions().await?);
        sessions.retain(|session| wanted.matches(session));
        sessions.sort_by_key(|session| std::cmp::Reverse(session.started));
        Ok(answer(&json!({ "sessions": sessions })))
    }

    /// Those that run nowhere. There are as many as fit the disk.
    async fn hibernated_sessions(&self) -> Result<Vec<Summary>, Error> {
        let mut page = Page {
            limit: LONGEST_PAGE,
            after: None,
        };
        let mut found = Vec::new();
        loop {
            let listed = self.store.hibernated_sessions(&page).await.map_err(refusal)?;
            found.extend(listed.items.iter().map(Summary::of_hibernated));
            match listed.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn ended_sessions(
        &self,
        wanted: &EndedQuery,
        mut query: Query<'_>,
    ) -> Result<Response<ResponseBody>, Error> {
        let limit: Option<u32> = query.optional("limit")?;
        let after: Option<i64> = query.optional("after")?;
        query.no_others()?;
        let page = Page {
            limit: limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE),
            after: after.map(Generation),
        };
        let listed = self.store.ended_sessions(wanted, &page).await.map_err(refusal)?;
        let sessions: Vec<_> = listed
            .items
            .iter()
            .map(|session| Summary::of_ended(session, report(session).as_ref()))
            .collect();
        let next = listed.next.map(|generation| generation.0);
        Ok(answer(&json!({ "sessions": sessions, "next": next })))
    }

    pub(super) async fn session(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let key = session_key(&mut query)?;
        query.no_others()?;
        let page = Page {
            limit: EARLIER,
            after: None,
        };
        let of_this_name = EndedQuery {
            account: None,
            runtime: Some(key.runtime.clone()),
            endpoint: Some(key.endpoint.clone()),
            session: Some(key.session.clone()),
            version: None,
        };
        let ended = self.store.ended_sessions(&of_this_name, &page).await;
        let ended = ended.map_err(refusal)?.items;
        let all_earlier = |ended: &[EndedSession]| {
            ended
                .iter()
                .map(|session| Summary::of_ended(session, None))
                .collect()
        };
        let description = match (self.known_session(&key).await?, ended.split_first()) {
            (Some(known), _) => Description {
                earlier: all_earlier(&ended),
                ..known
            },
            (None, Some((last, before))) => Description {
                earlier: all_earlier(before),
                ..ended_session(last)
            },
            (None, None) => {
                return Err(Error::not_found(format!(
                    "There is no session {key}, and none that ended lately"
                )));
            }
        };
        let description = serde_json::to_value(description).map_err(Error::internal)?;
        Ok(answer(&description))
    }

    /// A session that has not ended.
    async fn known_session(&self, key: &SessionKey) -> Result<Option<Description>, Error> {
        let description = |summary, phases, last_lines| Description {
            summary,
            phases,
            why: None,
            exit_code: None,
            signal: None,
            out_of_memory: None,
            last_lines,
            earlier: Vec::new(),
        };
        if let Some(info) = self.supervisor.session(key) {
            let lines = self.last_lines(&info).await?;
            let phases = Some(info.phases.into());
            return Ok(Some(description(Summary::of_running(&info), phases, lines)));
        }
        let owned = self.store.session(key).await.map_err(refusal)?;
        let hibernated = owned.filter(|session| session.state == coracle_store::SessionState::Hibernated);
        let Some(session) = hibernated else {
            return Ok(None);
        };
        Ok(Some(description(
            Summary::of_hibernated(&session),
            None,
            Vec::new(),
        )))
    }

    async fn last_lines(&self, info: &SessionInfo) -> Result<Vec<String>, Error> {
        let query = LogQuery {
            runtime: info.key.runtime.clone(),
            endpoint: Some(info.key.endpoint.clone()),
            session: Some(info.key.session.clone()),
            since: Some(info.started),
            limit: LAST_LINES,
        };
        let entries = self.logs.read(query).await.map_err(Error::internal)?;
        Ok(entries.into_iter().map(|entry| entry.line.line).collect())
    }

    pub(super) async fn stop_session(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let key = session_key(&mut query)?;
        query.no_others()?;
        self.supervisor.stop(&key).await.map_err(not_stopped)?;
        tracing::info!(session = %key, "an operator stopped a session");
        Ok(answer(&json!({ "state": State::Stopping })))
    }

    pub(super) async fn kill_session(&self, mut query: Query<'_>) -> Result<Response<ResponseBody>, Error> {
        let key = session_key(&mut query)?;
        query.no_others()?;
        let killed = self.supervisor.kill(&key).await.map_err(not_stopped)?;
        tracing::info!(session = %key, "an operator killed a session");
        let state = if killed.is_gone {
            State::Ended
        } else {
            State::Stopping
        };
        Ok(answer(&json!({ "state": state })))
    }
}

fn session_key(query: &mut Query<'_>) -> Result<SessionKey, Error> {
    let endpoint: Option<EndpointName> = query.optional("endpoint")?;
    Ok(SessionKey {
        runtime: query.required("runtime")?,
        endpoint: endpoint.unwrap_or_else(EndpointName::default_endpoint),
        session: query.required("session")?,
    })
}

fn ended_session(session: &EndedSession) -> Description {
    let report = report(session);
    let summary = Summary::of_ended(session, report.as_ref());
    let Some(report) = report else {
        return Description {
            summary,
            phases: None,
            why: None,
            exit_code: None,
            signal: None,
            out_of_memory: None,
            last_lines: Vec::new(),
            earlier: Vec::new(),
        };
    };
    Description {
        summary,
        phases: Some(report.phases),
        why: Some(report.why),
        exit_code: report.exit_code,
        signal: report.signal,
        out_of_memory: Some(report.out_of_memory),
        last_lines: report.last_lines,
        earlier: Vec::new(),
    }
}

/// What was told when it ended. One that ended while no server ran has none.
fn report(session: &EndedSession) -> Option<Report> {
    serde_json::from_str(session.report.as_deref()?).ok()
}
