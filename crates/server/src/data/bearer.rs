//! Requests that carry no signature: bearer tokens, and what a client needs to get one (RFC 9728).
//!
//! A runtime takes signatures or the tokens of its `customJWTAuthorizer`, never both. Who asks without a token, or
//! with one that does not count, is told where to get one.

use std::sync::Arc;

use coracle_auth::token::{Bearer, ClaimRule, ClaimValue, TokenRules};
use coracle_types::InvocationTarget;
use coracle_wire::control::{
    ClaimMatchValueType, CustomJWTAuthorizerConfiguration, InboundTokenClaimValueType,
};
use coracle_wire::{Error, Labels, Service};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Method, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::routes::Served;
use super::shell::PATH as SHELLS;
use super::target::Target;
use super::websocket::{PATH as WEBSOCKET, token_in_protocols};
use super::{DataPlane, envelope, session_url};
use crate::gateway::body::{ResponseBody, full};
use crate::gateway::{Caller, INVOCATIONS, Proof};
use crate::issuers::BearerError;

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
    /// Judges a request without a signature.
    ///
    /// # Errors
    /// When its token is for a runtime that takes signatures, or nobody can tell whether the token is good.
    pub(crate) async fn unsigned(&self, parts: &Parts, request_id: &str) -> Result<Unsigned, Error> {
        let path = parts.uri.path();
        if parts.method == Method::GET
            && let Ok(labels) = coracle_wire::match_path(METADATA, path)
        {
            let document = self.metadata_of(target_of(&labels, parts), parts).await;
            return Ok(document.map_or(Unsigned::Nobody, Unsigned::Answered));
        }
        let token = token(parts);
        let named = match session_url::address_in(&parts.uri) {
            Some(address) => self.session_at(&address).await?.map(|(target, _)| target),
            None => data_labels(parts).and_then(|labels| target_of(&labels, parts)),
        };
        let Some(target) = named else {
            return Ok(Unsigned::Nobody);
        };
        let served = match self.served_at(&target).await {
            Ok(served) => served,
            Err(error) if token.is_some() => return Err(error),
            Err(_) => return Ok(Unsigned::Nobody),
        };
        let Some(authorizer) = &served.authorizer else {
            return Ok(match token {
                Some(_) => Unsigned::Answered(refused(parts, &served, mismatch())),
                None => Unsigned::Nobody,
            });
        };
        let Some(token) = token else {
            let challenge = self.challenge(parts, &target, &served, "Missing Authentication Token");
            return Ok(Unsigned::Answered(challenge));
        };
        let rules = rules(authorizer, &self.client_claims);
        match self
            .issuers
            .verify(&token, &authorizer.discovery_url, &rules)
            .await
        {
            Ok(bearer) => Ok(Unsigned::Bearer(caller(&target, bearer, request_id))),
            Err(BearerError::Refused(why)) => {
                tracing::debug!(request_id, %why, "a token was refused");
                Ok(Unsigned::Answered(self.challenge(
                    parts,
                    &target,
                    &served,
                    &why.to_string(),
                )))
            }
            Err(error @ BearerError::Issuer { .. }) => Err(Error::unavailable(format!(
                "The token cannot be judged now: {error}"
            ))),
        }
    }

    async fn served_at(&self, target: &Target) -> Result<Arc<Served>, Error> {
        self.routes
            .find(&target.owner, &target.runtime, &target.endpoint, None)
            .await
    }

    /// Where tokens for a runtime come from. `None` if it takes none, or does not exist.
    async fn metadata_of(&self, named: Option<Target>, parts: &Parts) -> Option<Response<ResponseBody>> {
        let target = named?;
        let served = self.served_at(&target).await.ok()?;
        let authorizer = served.authorizer.as_ref()?;
        Some(metadata(authorizer, &self.resource_url(parts, &target)))
    }

    fn challenge(
        &self,
        parts: &Parts,
        target: &Target,
        served: &Served,
        text: &str,
    ) -> Response<ResponseBody> {
        let mut response = refused(parts, served, Error::unauthorized(text));
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
        let base = self.base_url(parts);
        let arn = target.arn().to_string();
        let arn = utf8_percent_encode(&arn, ESCAPED);
        format!("{base}/runtimes/{arn}/invocations?qualifier={}", target.endpoint)
    }

    /// The URL of this server, as this client reaches it.
    pub(super) fn base_url(&self, parts: &Parts) -> String {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let scheme = parts.extensions.get().unwrap_or(&Scheme::HTTP);
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{}", host.unwrap_or("localhost")))
    }
}

/// The answer to who may not use a runtime, in the form that clients of this URL read. The body has not been read.
fn refused(parts: &Parts, served: &Served, error: Error) -> Response<ResponseBody> {
    if session_url::is_session_url(&parts.uri) {
        let text = error.message().to_owned();
        return session_url::bare(error.into_response().map(full), &text);
    }
    match coracle_wire::match_path(INVOCATIONS, parts.uri.path()) {
        Ok(_) => envelope::wrap(served.spec.agent.protocol, error, None),
        Err(_) => error.into_response().map(full),
    }
}

/// What becomes of a request without a signature.
pub(crate) enum Unsigned {
    /// Nothing here is for those who prove nothing.
    Nobody,
    /// It is answered.
    Answered(Response<ResponseBody>),
    /// It has brought a good token.
    Bearer(Caller),
}

/// What an ARN in the path names.
fn target_of(labels: &Labels, parts: &Parts) -> Option<Target> {
    let arn: InvocationTarget = labels.get("agentRuntimeArn")?.parse().ok()?;
    let qualifier = match super::parameter(parts, "qualifier") {
        None => None,
        Some(name) => Some(name.parse().ok()?),
    };
    Some(Target::of_arn(arn, qualifier))
}

/// The labels of a path in the data plane of a runtime.
fn data_labels(parts: &Parts) -> Option<Labels> {
    let path = parts.uri.path();
    let outside_the_model = [INVOCATIONS, WEBSOCKET, SHELLS]
        .into_iter()
        .find_map(|template| coracle_wire::match_path(template, path).ok());
    outside_the_model.or_else(|| {
        let route = coracle_wire::route_in(Service::Data, &parts.method, path).ok()?;
        Some(route.labels)
    })
}

/// The token of a request: in the header or, to open a WebSocket, in the subprotocols.
fn token(parts: &Parts) -> Option<String> {
    let in_header = parts.headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    in_header.or_else(|| token_in_protocols(&parts.headers))
}

/// Who brings a token acts in the account of the runtime, and on nothing but that runtime.
fn caller(target: &Target, bearer: Bearer, request_id: &str) -> Caller {
    Caller {
        account: target.owner.account.clone(),
        region: target.owner.region.clone(),
        principal: bearer.subject,
        proof: Proof::Token(target.arn()),
        request_id: request_id.to_owned(),
    }
}

fn rules(authorizer: &CustomJWTAuthorizerConfiguration, client_claims: &[String]) -> TokenRules {
    let claims = authorizer.custom_claims.iter().flatten().map(|claim| ClaimRule {
        name: claim.inbound_token_claim_name.clone(),
        // What operators go with which values and types has been checked when the runtime was made.
        value: match (
            claim.inbound_token_claim_value_type,
            &claim.authorizing_claim_match_value.claim_match_value,
        ) {
            (InboundTokenClaimValueType::String, ClaimMatchValueType::MatchValueString(text)) => {
                ClaimValue::Equals(text.clone())
            }
            (_, ClaimMatchValueType::MatchValueString(text)) => ClaimValue::ContainsAny(vec![text.clone()]),
            (_, ClaimMatchValueType::MatchValueStringList(texts)) => ClaimValue::ContainsAny(texts.clone()),
        },
    });
    TokenRules {
        audiences: authorizer.allowed_audience.clone().unwrap_or_default(),
        clients: authorizer.allowed_clients.clone().unwrap_or_default(),
        client_claims: client_claims.to_vec(),
        scopes: authorizer.allowed_scopes.clone().unwrap_or_default(),
        claims: claims.collect(),
    }
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
