//! Where every request enters: authenticate, route, validate, then answer or hand on.
//!
//! ```text
//! /healthz, /metrics ──────────────────────────────▶ answered here
//! CORS preflight     ──────────────────────────────▶ answered here
//! signed for s3      ──▶ S3 side (checks signatures itself, piece by piece, then judges role)
//! signed otherwise   ──▶ verify head, judge role ──▶ spool body ──▶ verify ──┬─▶ /_coracle/…   operator API, for keys only
//!                                                                            ├─▶ sts           who am I
//!                                                                            ├─▶ control plane
//!                                                                            └─▶ data plane
//! bearer token       ──▶ judge by the runtime's authorizer ──▶ spool body ──▶ data plane of that runtime
//! neither            ──▶ refused, or told where to get a token
//!
//! /sessions/…        ──▶ the same, but for any server in a session; refusals have their code in a header and no body
//! ```
//!
//! Nothing after "verify" and "judge" ever sees a request that is not authentic. What those may do who act under a role
//! is judged by [`rights`], before an operation begins or once its target is known.

pub mod body;
pub mod cors;
pub mod listen;
pub mod rate;
pub(crate) mod rights;
mod signers;
mod sts;
pub mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use coracle_auth::permissions::Permissions;
use coracle_auth::policy::Identity;
use coracle_auth::{AuthError, HostAliases, SigV4Request};
use coracle_types::{AccountId, Region, RoleArn, RuntimeArn, limits};
use coracle_wire::{Error, OperationId, Route, RouteError, control as control_wire, data as data_wire};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use jiff::Timestamp;
use uuid::Uuid;

use self::body::{BoxError, RequestBody, ResponseBody, SpoolError, Spooled, full};
use self::cors::Cors;
use self::listen::FromSandbox;
use self::rate::{Class, RateLimits};
pub(crate) use self::rights::Why;
pub use self::signers::Signers;
use crate::control::ControlPlane;
use crate::data::{DataPlane, SHELLS, USER_ID, Unsigned, WEBSOCKET, bare, is_session_url};
use crate::metrics::Metrics;
use crate::operator::OperatorApi;
use crate::s3::Claimant;

/// What requests to the control plane and the data plane are signed for.
const SERVICE: &str = "bedrock-agentcore";
const STS: &str = "sts";
/// Where invocations are posted.
pub(crate) const INVOCATIONS: &str = "/runtimes/{agentRuntimeArn}/invocations";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How a request proves who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By a signature with one of the server's keys. It may do everything in its account.
    Signature,
    /// By a signature with credentials of a session. It may do what its role may.
    Role(Arc<RoleSession>),
    /// By a token that the authorizer of this runtime accepts. It opens nothing else.
    Token(RuntimeArn),
}

/// Who acts under a role.
#[derive(Debug, PartialEq, Eq)]
pub struct RoleSession {
    /// Which role.
    pub role: RoleArn,
    /// What that may do.
    pub permissions: Permissions,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose resources it reaches.
    pub account: AccountId,
    /// The region it signed for, which has resources of its own.
    pub region: Region,
    /// The name it acts under: a user of the account, a role and its session, or the subject of a token.
    pub principal: String,
    /// How that is known.
    pub proof: Proof,
    /// The id of this request, as the answer's `x-amzn-RequestId` says it.
    pub request_id: String,
}

impl Caller {
    /// The ARN of what it acts as. A token's subject is no user of the account, whatever it is called.
    pub fn arn(&self) -> String {
        match self.proof {
            Proof::Signature => format!("arn:aws:iam::{}:user/{}", self.account, self.principal),
            Proof::Role(_) => format!("arn:aws:sts::{}:assumed-role/{}", self.account, self.principal),
            Proof::Token(_) => format!("arn:aws:sts::{}:federated-user/{}", self.account, self.principal),
        }
    }

    /// Takes out of a request's headers what an agent must not get from this caller: what proves it to this server,
    /// or a user that it says to be although its token says who it is.
    pub(crate) fn withhold(&self, headers: &mut HeaderMap) {
        match self.proof {
            Proof::Signature | Proof::Role(_) => {
                headers.remove(AUTHORIZATION);
                headers.remove(SECURITY_TOKEN);
            }
            Proof::Token(_) => {
                headers.remove(USER_ID);
            }
        }
    }

    /// How policies see it.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            account: self.account.clone(),
            arn: self.arn(),
            role: match &self.proof {
                Proof::Role(session) => Some(session.role.clone()),
                Proof::Signature | Proof::Token(_) => None,
            },
        }
    }

    /// The refusal of what is not this caller's.
    pub(crate) fn not_authorized(&self, resource: &str) -> Error {
        Error::access_denied(format!("User {} is not authorized to use {resource}", self.arn()))
    }
}

/// Everything a request may reach.
pub struct Gateway {
    /// Who may call.
    pub signers: Signers,
    /// Host names a signature may be for, beside the one the request came to.
    pub aliases: HostAliases,
    /// Browsers' access from other origins.
    pub cors: Cors,
    /// How often an account may ask.
    pub rates: Arc<RateLimits>,
    /// The account whose keys reach the operator API.
    pub operator_account: AccountId,
    /// Runtimes, versions, endpoints.
    pub control: ControlPlane,
    /// Invocations.
    pub data: DataPlane,
    /// Buckets and objects.
    pub s3: s3s::service::S3Service,
    /// Logs and sessions.
    pub operator: OperatorApi,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where large bodies wait.
    pub spool: PathBuf,
}

/// Longest body of a request, in bytes.
fn body_limit(uri: &Uri, route: &Result<Route, RouteError>) -> u64 {
    match route {
        _ if is_session_url(uri) => limits::MAX_INVOCATION_BODY,
        Ok(Route {
            id: OperationId::DataStreaming(data_wire::Streaming::InvokeAgentRuntime),
            ..
        }) => limits::MAX_INVOCATION_BODY,
        _ => limits::MAX_CONTROL_BODY,
    }
}

/// Whether a request is one of AgentCore's, whatever it was signed for.
fn is_operation(route: &Result<Route, RouteError>) -> bool {
    matches!(route, Ok(_) | Err(RouteError::NotImplemented(_)))
}

/// Refuses a request to a service that is not here, in the form in which its clients read errors.
fn unknown_service(caller: &Caller, parts: &Parts, service: &str) -> Refusal {
    let message = format!("This server does not have the service {service}");
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let speaks_xml = parts
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|sent| sent.as_bytes().starts_with(form.as_bytes()));
    if speaks_xml {
        Refusal::Query(sts::unknown_action(caller, &message))
    } else {
        Refusal::Error(Error::unknown_operation(message))
    }
}

/// Why a request got no further.
enum Refusal {
    Error(Error),
    Auth(AuthError),
    TooLarge(u64),
    /// To a client of the query protocol.
    Query(Response<ResponseBody>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl Gateway {
    /// Answers one request.
    pub async fn handle(
        self: Arc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let request_id = Uuid::new_v4().to_string();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let to_session = is_session_url(request.uri());
        let origin = self.cors.allowed(request.headers());
        let (parts, incoming) = request.into_parts();
        let (body, whole) = RequestBody::new(incoming);
        let request = Request::from_parts(parts, body);
        let mut response = match self.answer(request, &request_id).await {
            Ok(response) => response,
            Err(refusal) if to_session => refusal.into_bare_response(&request_id),
            Err(refusal) => refusal.into_response(&request_id),
        };
        if !whole.load(Ordering::Relaxed) {
            // No other request can follow on this connection, and its client is to know.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Some(origin) = origin {
            cors::open(response.headers_mut(), origin);
        }
        let status = response.status().as_u16();
        self.metrics.answered(status, started.elapsed());
        tracing::debug!(%peer, %method, path, status, request_id, elapsed = ?started.elapsed(), "answered");
        response
    }

    async fn answer(
        &self,
        request: Request<RequestBody>,
        request_id: &str,
    ) -> Result<Response<ResponseBody>, Refusal> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => return Ok(text("ok\n")),
            // They tell of all accounts.
            (&Method::GET, "/metrics") if request.extensions().get::<FromSandbox>().is_none() => {
                self.metrics.look_at(&self.data.supervisor).await;
                return Ok(text(self.metrics.render()));
            }
            _ => {}
        }
        let (parts, mut body) = request.into_parts();
        if let Some(answer) = self.cors.preflight(&parts) {
            return Ok(answer);
        }
        let Some(signed) = SigV4Request::parse(&parts)? else {
            return self.answer_unsigned(parts, body, request_id).await;
        };
        if signed.service() == "s3" {
            let request = Request::from_parts(parts, body);
            return self.answer_s3(&signed, request, request_id).await;
        }
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let route = coracle_wire::route(&parts.method, target);
        let (caller, body) = self
            .authenticate(&signed, &parts, &mut body, &route, request_id)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Auth(error) if signed.service() == STS => {
                    Refusal::Query(sts::not_authentic(&error, request_id))
                }
                refusal => refusal,
            })?;
        if parts.uri.path().starts_with("/_coracle/") {
            if caller.account != self.operator_account || caller.proof != Proof::Signature {
                return Err(caller.not_authorized("the operator API").into());
            }
            return Ok(self.operator.answer(&parts).await?);
        }
        match signed.service() {
            SERVICE => {}
            STS => {
                let body = body.into_bytes().await.map_err(Error::internal)?;
                return Ok(sts::answer(&caller, &body));
            }
            _ if is_operation(&route) => return Err(AuthError::ScopeService(SERVICE).into()),
            other => return Err(unknown_service(&caller, &parts, other)),
        }
        Ok(self.answer_caller(&caller, route, &parts, body).await?)
    }

    /// Answers a request without a signature: to the data plane of a runtime, if it brings a token of its authorizer.
    async fn answer_unsigned(
        &self,
        parts: Parts,
        mut body: RequestBody,
        request_id: &str,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let caller = match self.data.unsigned(&parts, request_id).await? {
            Unsigned::Nobody => return Err(AuthError::Missing.into()),
            Unsigned::Answered(response) => return Ok(response),
            Unsigned::Bearer(caller) => caller,
        };
        let route = coracle_wire::route(&parts.method, &parts.uri.to_string());
        let body = self
            .spool(&mut body, body_limit(&parts.uri, &route), |_| ())
            .await?;
        Ok(self.answer_caller(&caller, route, &parts, body).await?)
    }

    async fn answer_caller(
        &self,
        caller: &Caller,
        route: Result<Route, RouteError>,
        parts: &Parts,
        body: Spooled,
    ) -> Result<Response<ResponseBody>, Error> {
        if is_session_url(&parts.uri) {
            self.metrics.operation("InvokeAgentRuntimeProxy");
            self.rates.take(&caller.account, Class::Data)?;
            return self.data.pass_through(caller, parts, &body).await;
        }
        match route {
            Err(RouteError::Unknown) => self.answer_outside_the_model(caller, parts).await,
            route => self.answer_aws(caller, &route?, parts, body).await,
        }
    }

    /// Answers what the service has and its model does not.
    async fn answer_outside_the_model(
        &self,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<Response<ResponseBody>, Error> {
        let target = parts.uri.path();
        if parts.method == Method::GET {
            if let Ok(labels) = coracle_wire::match_path(WEBSOCKET, target) {
                self.metrics.operation("OpenWebSocket");
                self.rates.take(&caller.account, Class::Data)?;
                return self.data.open_websocket(caller, &labels, parts).await;
            }
            if let Ok(labels) = coracle_wire::match_path(SHELLS, target) {
                self.metrics.operation("OpenShell");
                self.rates.take(&caller.account, Class::Data)?;
                return self.data.open_shell(caller, &labels, parts).await;
            }
        }
        match coracle_wire::match_path(INVOCATIONS, target) {
            Ok(labels) => self.data.other_method(caller, &labels, parts).await,
            Err(_) => Err(RouteError::Unknown.into()),
        }
    }

    /// Judges the signature, and takes the body, which it covers, if the role of who signed lets it begin this.
    async fn authenticate(
        &self,
        signed: &SigV4Request,
        parts: &Parts,
        body: &mut RequestBody,
        route: &Result<Route, RouteError>,
        request_id: &str,
    ) -> Result<(Caller, Spooled), Refusal> {
        let signer = self.signers.claimed_by(signed).await?;
        let mut check = signed.verify(parts, &signer.secret, Timestamp::now(), &self.aliases)?;
        let caller = signer.caller(signed.region(), request_id);
        if signed.service() == SERVICE {
            caller.require_to_begin(parts, route)?;
        }
        let limit = body_limit(&parts.uri, route);
        let spooled = self.spool(body, limit, |piece| check.update(piece)).await?;
        check.finish()?;
        Ok((caller, spooled))
    }

    async fn spool(
        &self,
        body: &mut RequestBody,
        limit: u64,
        check: impl FnMut(&[u8]),
    ) -> Result<Spooled, Refusal> {
        match body::spool(body, limit, &self.spool, check).await {
            Ok(spooled) => Ok(spooled),
            Err(SpoolError::TooLarge { limit }) => {
                body::discard(body).await;
                Err(Refusal::TooLarge(limit))
            }
            Err(error @ SpoolError::Disk(_)) => Err(Error::internal(error).into()),
            Err(error @ (SpoolError::TooSlow | SpoolError::Client(_))) => {
                Err(Error::validation_field("payload", error.to_string()).into())
            }
        }
    }

    async fn answer_aws(
        &self,
        caller: &Caller,
        route: &Route,
        parts: &Parts,
        body: Spooled,
    ) -> Result<Response<ResponseBody>, Error> {
        self.metrics.operation(route.operation.name);
        if let Err(error) = self.rates.take(&caller.account, Class::of(route.operation)) {
            return match route.id {
                OperationId::DataStreaming(data_wire::Streaming::InvokeAgentRuntime) => {
                    let body = body.in_memory();
                    self.data
                        .refuse_invocation(caller, &route.labels, parts, error, body.as_ref())
                        .await
                }
                _ => Err(error),
            };
        }
        if let OperationId::DataStreaming(operation) = route.id {
            return match operation {
                data_wire::Streaming::InvokeAgentRuntime => {
                    self.data.invoke(caller, &route.labels, parts, body).await
                }
                data_wire::Streaming::InvokeAgentRuntimeCommand => {
                    let body = body.into_bytes().await.map_err(Error::internal)?;
                    self.data.run_command(caller, &route.labels, parts, &body).await
                }
            };
        }
        let body = body.into_bytes().await.map_err(Error::internal)?;
        let body_limit = usize::try_from(limits::MAX_CONTROL_BODY).unwrap_or(usize::MAX);
        let request = coracle_wire::Request {
            labels: &route.labels,
            parts,
            body: &body,
            body_limit,
        };
        let response = match route.id {
            OperationId::Control(operation) => {
                control_wire::dispatch(&self.control, caller, operation, &request).await?
            }
            OperationId::Data(operation) => {
                data_wire::dispatch(&self.data, caller, operation, &request).await?
            }
            OperationId::ControlStreaming(operation) => match operation {},
            OperationId::DataStreaming(_) => {
                return Err(Error::internal("a streaming operation has no buffered handler"));
            }
        };
        Ok(response.map(full))
    }

    /// Answers a request to the S3 side, which verifies the signature and judges who is said to have made it.
    async fn answer_s3(
        &self,
        signed: &SigV4Request,
        mut request: Request<RequestBody>,
        request_id: &str,
    ) -> Result<Response<ResponseBody>, Refusal> {
        use http_body_util::BodyExt;
        let holder = match self.signers.claimed_by(signed).await {
            Ok(signer) => Ok(signer.caller(signed.region(), request_id)),
            Err(Refusal::Auth(error)) => Err(error),
            Err(refusal) => return Err(refusal),
        };
        request.extensions_mut().insert(Claimant {
            access_key: signed.access_key().clone(),
            holder,
        });
        let response = self
            .s3
            .call(request.map(s3s::Body::http_body))
            .await
            .map_err(|error| Error::internal(BoxError::from(error)))?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

impl Refusal {
    /// The answer on a session's URL.
    fn into_bare_response(self, request_id: &str) -> Response<ResponseBody> {
        let message = match &self {
            Self::Error(error) => error.message().to_owned(),
            Self::Auth(error) => error.to_string(),
            Self::TooLarge(limit) => format!("The body is over the limit of {limit} bytes"),
            Self::Query(_) => "Sign for the service bedrock-agentcore".to_owned(),
        };
        bare(self.into_response(request_id), &message)
    }

    fn into_response(self, request_id: &str) -> Response<ResponseBody> {
        match self {
            Self::Error(error) => {
                if error.status().is_server_error() {
                    tracing::error!(request_id, error = crate::error_chain(&error), "a request failed");
                }
                error.into_response().map(full)
            }
            Self::Auth(error) => {
                tracing::debug!(request_id, %error, "a request was not authentic");
                let body = serde_json::json!({ "message": error.to_string() }).to_string();
                let mut response = Response::new(full(body));
                *response.status_mut() = error.status();
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
                    .headers_mut()
                    .insert(ERROR_TYPE, HeaderValue::from_static(error.code()));
                response
            }
            Self::Query(response) => response,
            Self::TooLarge(limit) => {
                let message = format!("Member must have length less than or equal to {limit}");
                let mut response = Error::validation_field("payload", message)
                    .into_response()
                    .map(full);
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }
}

fn text(body: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
