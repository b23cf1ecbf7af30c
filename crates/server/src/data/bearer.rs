//! Requests that carry no signature: bearer tokens, and what a client needs to get one (RFC 9728).
//!
//! A runtime takes signatures or the tokens of its `customJWTAuthorizer`, never both. This server does not
//! validate tokens yet, so every token is refused as an invalid one would be.

use coracle_types::InvocationTarget;
use coracle_wire::control::CustomJWTAuthorizerConfiguration;
use coracle_wire::{Error, Labels};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::DataPlane;
use super::routes::Served;
use super::target::Target;
use super::websocket::{PATH as WEBSOCKET, token_in_protocols};
use crate::gateway::INVOCATIONS;
use crate::gateway::body::{ResponseBody, full};

const METADATA: &str = "/runtimes/{agentRuntimeArn}/invocations/.well-known/oauth-protected-resource";
/// Everything but what RFC 3986 leaves alone.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const MISMATCH: &str = "Authorization method mismatch. The agent is configured for a different authorization \
                        method than what was used in your request. Check the agent's authorization configuration \
                        and ensure your request uses the matching method (OAuth or SigV4)";

/// The refusal of a request that proves its sender by the way the runtime does not use.
pub(super) fn mismatch() -> Error {
    Error::access_denied(MISMATCH)
}

impl DataPlane {
    /// Answers a request without a signature, if it is for a runtime that takes tokens, or brings one to a
    /// runtime that does not. `None` if it is neither.
    pub(crate) async fn unsigned(&self, parts: &Parts) -> Option<Result<Response<ResponseBody>, Error>> {
        let path = parts.uri.path();
        if parts.method == Method::GET
            && let Ok(labels) = coracle_wire::match_path(METADATA, path)
        {
            let (target, served) = self.named_without_caller(&labels, parts).await?;
            let authorizer = served.authorizer.as_ref()?;
            return Some(Ok(metadata(authorizer, &self.resource_url(parts, &target))));
        }
        let invoked = coracle_wire::match_path(INVOCATIONS, path);
        let labels = invoked
            .or_else(|_| coracle_wire::match_path(WEBSOCKET, path))
            .ok()?;
        let (target, served) = self.named_without_caller(&labels, parts).await?;
        if served.authorizer.is_some() {
            let brought = has_bearer(parts) || parts.headers.contains_key(AUTHORIZATION);
            return Some(Ok(self.challenge(parts, &target, brought)));
        }
        has_bearer(parts).then(|| Err(mismatch()))
    }

    /// What an ARN in the path names, to somebody of whom nothing is known. `None` if it names nothing.
    async fn named_without_caller(
        &self,
        labels: &Labels,
        parts: &Parts,
    ) -> Option<(Target, std::sync::Arc<Served>)> {
        let arn: InvocationTarget = labels.get("agentRuntimeArn")?.parse().ok()?;
        let qualifier = match super::parameter(parts, "qualifier") {
            None => None,
            Some(name) => Some(name.parse().ok()?),
        };
        let target = Target::of_arn(arn, qualifier);
        let found = self
            .routes
            .find(&target.owner, &target.runtime, &target.endpoint, None);
        Some((target.clone(), found.await.ok()?))
    }

    fn challenge(&self, parts: &Parts, target: &Target, brought: bool) -> Response<ResponseBody> {
        let text = if brought {
            "The token is not valid: this server does not validate tokens of a customJWTAuthorizer yet"
        } else {
            "Missing Authentication Token"
        };
        let mut response = Error::unauthorized(text).into_response().map(full);
        let url = self.resource_url(parts, target);
        let (resource, query) = url.split_once('?').unwrap_or((&url, ""));
        let challenge =
            format!("Bearer resource_metadata=\"{resource}/.well-known/oauth-protected-resource?{query}\"");
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// The URL of a runtime's invocations, as this client reaches it.
    fn resource_url(&self, parts: &Parts, target: &Target) -> String {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let base = self
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{}", host.unwrap_or("localhost")));
        let arn = target.arn().to_string();
        let arn = utf8_percent_encode(&arn, ESCAPED);
        format!("{base}/runtimes/{arn}/invocations?qualifier={}", target.endpoint)
    }
}

/// Whether a request brings a token, in the header or, to open a WebSocket, in the subprotocols.
fn has_bearer(parts: &Parts) -> bool {
    let in_header = parts.headers.get(AUTHORIZATION).is_some_and(|value| {
        let scheme = value.as_bytes().get(..7);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
    });
    in_header || token_in_protocols(&parts.headers).is_some()
}

/// What RFC 9728 tells a client that looks for a token.
fn metadata(authorizer: &CustomJWTAuthorizerConfiguration, resource: &str) -> Response<ResponseBody> {
    let issuer = authorizer
        .discovery_url
        .split("/.well-known/")
        .next()
        .unwrap_or_default();
    let advertised = |scope: &String| {
        let mapping = authorizer.advertised_scope_mapping.as_ref();
        mapping
            .and_then(|mapping| mapping.get(scope))
            .unwrap_or(scope)
            .clone()
    };
    let scopes = authorizer.allowed_scopes.iter().flatten().map(advertised);
    let body = json!({
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": scopes.collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
    });
    let mut response = Response::new(full(body.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
