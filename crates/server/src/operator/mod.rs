//! The operator API under `/_coracle/`, for whoever holds an administrator key. `docs/operations.md` has the shapes of
//! its answers.
//!
//! | | |
//! |---|---|
//! | `GET /_coracle/sessions` | sessions that are there; `runtime`, `endpoint`, `version`, `state`, `account` narrow it; `state=ended` lists those that have ended, a page of `limit` at a time, `after` the `next` of the one before |
//! | `GET /_coracle/session?runtime=…&session=…` | all that is known of one session, also of one that has ended; `endpoint` unless it is `DEFAULT` |
//! | `POST /_coracle/session/stop?runtime=…&session=…` | stops it, as its caller could |
//! | `POST /_coracle/session/kill?runtime=…&session=…` | ends it at once, without asking the agent |
//! | `GET /_coracle/pools` | every warm pool: size, how many sandboxes are wanted, ready and being made; and hits |
//! | `PUT /_coracle/pools?resource=ARN&size=1-4` | sets the warm pool of an endpoint, or of all endpoints of a runtime, by its tag `coracle:warm` |
//! | `DELETE /_coracle/pools?resource=ARN` | removes that tag |
//! | `GET /_coracle/rollout?endpoint=ARN` | which versions an endpoint's sessions begin with, and which they run |
//! | `PUT /_coracle/rollout?endpoint=ARN&version=4&percent=10` | has a share of the new sessions begin with a version; `oldSessions=finish` or `stop-when-idle` says what becomes of sessions of other versions |
//! | `DELETE /_coracle/rollout?endpoint=ARN` | has all new sessions begin with the version that the endpoint serves |
//! | `GET /_coracle/logs?runtime=…` | what agents printed, as JSON lines; `endpoint`, `session`, `since` (RFC 3339), `limit` narrow it, `follow=true` goes on |
//!
//! Reading wakes no session and keeps none from being idle.

mod logs;
mod pools;
mod query;
mod rollout;
mod sessions;

use coracle_store::Store;
use coracle_supervisor::{LogFiles, Supervisor};
use coracle_wire::Error;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response};

use self::query::Query;
use crate::control::reconciler::Waker;
use crate::gateway::body::{ResponseBody, full};

/// Answers operator requests.
pub struct OperatorApi {
    /// The sessions.
    pub supervisor: Supervisor,
    /// What agents printed.
    pub logs: LogFiles,
    /// Tags.
    pub store: Store,
    /// Told when tags have changed.
    pub changed: Waker,
}

impl OperatorApi {
    /// Answers one request, whose sender is known to be an administrator.
    ///
    /// # Errors
    /// What the caller did wrong.
    pub async fn answer(&self, parts: &Parts) -> Result<Response<ResponseBody>, Error> {
        let query = Query::of(parts.uri.query().unwrap_or_default());
        match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/_coracle/sessions") => self.sessions(query).await,
            (&Method::GET, "/_coracle/session") => self.session(query).await,
            (&Method::POST, "/_coracle/session/stop") => self.stop_session(query).await,
            (&Method::POST, "/_coracle/session/kill") => self.kill_session(query).await,
            (&Method::GET, "/_coracle/logs") => self.logs(query).await,
            (&Method::GET, "/_coracle/pools") => Ok(self.pools()),
            (&Method::PUT, "/_coracle/pools") => self.set_pool(query).await,
            (&Method::DELETE, "/_coracle/pools") => self.remove_pool(query).await,
            (&Method::GET, "/_coracle/rollout") => self.rollout(query).await,
            (&Method::PUT, "/_coracle/rollout") => self.set_rollout(query).await,
            (&Method::DELETE, "/_coracle/rollout") => self.roll_back(query).await,
            (_, path) => Err(Error::not_found(format!("There is no operator API at {path}"))),
        }
    }
}

fn answer(content: &serde_json::Value) -> Response<ResponseBody> {
    let mut response = Response::new(full(content.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
