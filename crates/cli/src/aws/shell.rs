//! Command shells: a WebSocket whose binary frames begin with the number of a channel.

use coracle_types::ShellId;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, Method};
use reqwest::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::data::Whereabouts;
use super::{Call, Client, ClientError, Service, escape, sign, url_with_path};

const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");

impl Client {
    /// Opens a shell beside an agent, or goes on with one.
    pub(crate) async fn open_shell(
        &self,
        place: &Whereabouts<'_>,
        shell: &ShellId,
    ) -> Result<WebSocketStream<Upgraded>, ClientError> {
        let base = &self.settings.endpoints.value.data;
        let arn = place.runtime.to_string();
        let mut url = url_with_path(base, &["runtimes", &arn, "ws", "shells"]);
        let (endpoint, id) = (escape(&place.endpoint.to_string()), escape(shell.as_str()));
        url.set_query(Some(&format!("qualifier={endpoint}&shellId={id}")));
        let mut call = Call::new(Service::AgentCore, Method::GET, url);
        let session = HeaderValue::from_str(place.session.as_str());
        let session = session.map_err(|_| ClientError::BadRequest("the session id is no header"))?;
        call.headers.insert(SESSION_ID, session);
        let mut headers = match place.bearer {
            Some(token) => sign::bearer_headers(&call, token)?,
            None => sign::signed_headers(&self.settings, &call, &sign::Payload::Bytes(&[]))?,
        };
        let key = generate_key();
        let unsigned = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, &key),
        ];
        for (name, value) in unsigned {
            let value = HeaderValue::from_str(value);
            headers.insert(
                name,
                value.map_err(|_| ClientError::BadRequest("a header is no header"))?,
            );
        }
        let response = self
            .wire
            .send(&call.method, &call.url, headers, call.body)
            .await?;
        let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
            return Err(ClientError::Incomplete("the acceptance of a WebSocket"));
        }
        let upgraded = response.upgrade().await.map_err(ClientError::Broken)?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }
}
