//! Finds the `agentcore dev` that runs for a project, and talks to its agent.
//!
//! A running one leaves its address in `agentcore/.cli/dev-NAME.json`. Whether it still runs is asked, not believed.

use std::path::{Path, PathBuf};

use coracle_types::{RuntimeName, ServerProtocol, SessionId, agent_headers};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use tokio_util::bytes::Bytes;

use super::DevError;
use crate::aws::wire::Wire;
use crate::aws::{ClientError, read_whole};

/// Where `agentcore dev` listens unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 8080;

#[derive(Serialize, Deserialize)]
struct Address {
    url: String,
}

#[derive(Deserialize)]
struct Status {
    protocol: ServerProtocol,
}

/// The file that says where the agent of this name runs; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct AddressFile(PathBuf);

impl AddressFile {
    fn path(root: &Path, runtime: &RuntimeName) -> PathBuf {
        root.join("agentcore/.cli").join(format!("dev-{runtime}.json"))
    }

    /// Writes it. Without it everything works but finding the port, so nobody needs to know when it cannot be written.
    pub(crate) fn write(root: &Path, runtime: &RuntimeName, url: &Url) -> Option<Self> {
        let path = Self::path(root, runtime);
        let folder = path.parent()?;
        std::fs::create_dir_all(folder).ok()?;
        let mut draft = tempfile::NamedTempFile::new_in(folder).ok()?;
        serde_json::to_writer(&mut draft, &Address { url: url.to_string() }).ok()?;
        draft.persist(&path).ok()?;
        Some(Self(path))
    }

    fn read(root: &Path, runtime: &RuntimeName) -> Option<Url> {
        let text = std::fs::read(Self::path(root, runtime)).ok()?;
        serde_json::from_slice::<Address>(&text).ok()?.url.parse().ok()
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // What is left of it leads nowhere, which is found out.
        std::fs::remove_file(&self.0).ok();
    }
}

/// An `agentcore dev` that runs.
#[derive(Debug)]
pub(crate) struct DevServer {
    wire: Wire,
    url: Url,
    pub(crate) protocol: ServerProtocol,
}

impl DevServer {
    /// The one at this port, or else the one of this project and runtime.
    ///
    /// # Errors
    /// When none runs there.
    pub(crate) async fn find(
        project: Option<(&Path, &RuntimeName)>,
        port: Option<u16>,
        trace: bool,
    ) -> Result<Self, DevError> {
        let noted = project.and_then(|(root, runtime)| AddressFile::read(root, runtime));
        let port = port.or(noted.is_none().then_some(DEFAULT_PORT));
        let url = match port {
            Some(port) => format!("http://127.0.0.1:{port}").parse().ok(),
            None => noted,
        };
        let url: Url = url.ok_or(DevError::NotRunning)?;
        let wire = Wire::new(true, trace).map_err(|_| DevError::NotRunning)?;
        let mut asked = url.clone();
        asked.set_path("/_dev/status");
        let answered = wire
            .send(&Method::GET, &asked, HeaderMap::new(), Bytes::new())
            .await;
        let body = match answered {
            Ok(response) => read_whole(response).await.map_err(|_| DevError::NotRunning)?,
            Err(_) => return Err(DevError::NotRunning),
        };
        let Status { protocol } = serde_json::from_slice(&body).map_err(|_| DevError::NotRunning)?;
        Ok(Self { wire, url, protocol })
    }

    /// Sends the agent a request; the body of its answer arrives as it is produced.
    pub(crate) async fn invoke(
        &self,
        session: &SessionId,
        user: Option<&str>,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, ClientError> {
        for (name, value) in [
            (agent_headers::SESSION_ID, Some(session.as_str())),
            (agent_headers::USER_ID, user),
        ] {
            if let Some(value) = value {
                let value = HeaderValue::from_str(value)
                    .map_err(|_| ClientError::BadRequest("the user id is no header"))?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let json = HeaderValue::from_static("application/json");
        headers.entry(header::CONTENT_TYPE).or_insert(json);
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        headers.entry(header::ACCEPT).or_insert(accept);
        let mut url = self.url.clone();
        url.set_path("/invocations");
        self.wire.send(&Method::POST, &url, headers, body).await
    }

    /// The card of an A2A agent.
    pub(crate) async fn agent_card(&self) -> Result<serde_json::Value, ClientError> {
        let mut url = self.url.clone();
        url.set_path("/.well-known/agent-card.json");
        let response = self
            .wire
            .send(&Method::GET, &url, HeaderMap::new(), Bytes::new())
            .await?;
        serde_json::from_slice(&read_whole(response).await?).map_err(ClientError::Malformed)
    }
}
