//! What is different for MCP runtimes: sessions are told apart by `Mcp-Session-Id` and not by the runtime
//! session header, which SDKs fill in with something new each time.
//!
//! ```text
//! id known to be the agent's own   ──▶ the session in which the agent said it
//! any other id                     ──▶ the session of that id
//! none                             ──▶ a new session, whose id the caller is told
//! ```

use bytes::Bytes;
use coracle_types::{SessionId, SessionKey};
use coracle_wire::Error;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::DataPlane;
use super::target::Target;
use crate::control::refusal;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

impl DataPlane {
    /// The session that an MCP session id leads to; a new one without an id.
    pub(super) async fn mcp_session(
        &self,
        target: &Target,
        mcp_id: Option<&str>,
    ) -> Result<SessionKey, Error> {
        let named = SessionKey {
            runtime: target.runtime.clone(),
            endpoint: target.endpoint.clone(),
            session: mcp_id.map_or_else(SessionId::random, as_session),
        };
        if mcp_id.is_none() {
            return Ok(named);
        }
        let led_to = self.store.session_of_mcp(&named).await.map_err(refusal)?;
        Ok(SessionKey {
            session: led_to.unwrap_or(named.session),
            ..named
        })
    }

    /// The agent in this session answered a request that brought the id `sent`: remembers the id in its answer, if
    /// that is another one.
    pub(super) async fn learn_mcp_session(
        &self,
        session: &SessionKey,
        sent: Option<&str>,
        answered: &HeaderMap,
    ) -> Result<(), Error> {
        let Some(own) = answered.get(&SESSION_ID).and_then(|id| id.to_str().ok()) else {
            return Ok(());
        };
        let own_session = as_session(own);
        if sent == Some(own) || own_session == session.session {
            return Ok(());
        }
        let learned = self.store.learn_mcp_session(session, &own_session);
        learned.await.map_err(refusal)
    }
}

/// An MCP session id as a session id. One that is too short, too long or of other characters is hashed.
fn as_session(mcp_id: &str) -> SessionId {
    mcp_id.parse().unwrap_or_else(|_| {
        let digest = hex::encode(Sha256::digest(mcp_id));
        digest.parse().unwrap_or_else(|_| SessionId::random())
    })
}

/// The id the agent is given when the caller has none. A server that keeps sessions of its own refuses an
/// `initialize` that names one already, so with that it is given none.
pub(super) fn given_id(session: &SessionId, body: Option<&Bytes>) -> Option<HeaderValue> {
    let begins = body.is_some_and(|body| RpcHead::read(body).method.as_deref() == Some("initialize"));
    (!begins)
        .then(|| HeaderValue::from_str(session.as_str()).ok())
        .flatten()
}

/// Whether the caller takes both forms of an MCP answer.
pub(super) fn accepts_both(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .collect();
    let takes = |full: &str| {
        let whole_type = full.split('/').next().unwrap_or_default();
        accepted.iter().any(|range| {
            *range == "*/*"
                || range.eq_ignore_ascii_case(full)
                || range.strip_suffix("/*") == Some(whole_type)
        })
    };
    takes("application/json") && takes("text/event-stream")
}

/// What is looked at of a JSON-RPC request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RpcHead {
    /// Its id.
    #[serde(default)]
    pub(super) id: Value,
    /// Its method.
    pub(super) method: Option<String>,
}

impl RpcHead {
    /// Reads it from a body; nothing of what is no JSON-RPC request.
    pub(super) fn read(body: &Bytes) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_leads_to_one_session_of_its_own() {
        let sessions: std::collections::HashSet<_> = ["a", "b", &"c".repeat(40), &"d".repeat(1024), "x y"]
            .into_iter()
            .map(|id| {
                assert_eq!(as_session(id), as_session(id));
                as_session(id)
            })
            .collect();
        assert_eq!(sessions.len(), 5);
    }

    #[test]
    fn an_initialize_is_given_no_id() {
        let session = SessionId::random();
        let body = |text: &'static str| given_id(&session, Some(&Bytes::from_static(text.as_bytes())));
        assert!(body(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#).is_none());
        for other in [r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, "[]", "x"] {
            assert_eq!(body(other).unwrap(), session.as_str());
        }
    }

    #[test]
    fn both_forms_must_be_accepted() {
        for (accept, expected) in [
            ("application/json, text/event-stream", true),
            ("text/event-stream;q=0.5,APPLICATION/json", true),
            ("*/*", true),
            ("application/*, text/*", true),
            ("application/json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, accept.parse().unwrap());
            assert_eq!(accepts_both(&headers), expected, "{accept}");
        }
        assert!(!accepts_both(&HeaderMap::new()));
    }
}
