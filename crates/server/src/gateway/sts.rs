//! `sts:GetCallerIdentity`, with which every AWS tool begins. The query protocol: a form in, XML out.

use coracle_auth::AuthError;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::body::{ResponseBody, full};
use super::{Caller, Proof};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn answer(caller: &Caller, form: &[u8]) -> Response<ResponseBody> {
    let action = form
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"Action="))
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    if action == "GetCallerIdentity" {
        xml(StatusCode::OK, identity(caller))
    } else {
        unknown_action(caller, "This server answers GetCallerIdentity only")
    }
}

fn xml(status: StatusCode, body: String) -> Response<ResponseBody> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

/// Account, principal and request id hold nothing that XML would have to escape: the configuration and the form of roles
/// see to it.
fn identity(caller: &Caller) -> String {
    let Caller {
        account, request_id, ..
    } = caller;
    let arn = caller.arn();
    let user_id = match caller.proof {
        Proof::Role(_) => caller.principal.replace('/', ":"),
        Proof::Signature | Proof::Token(_) => caller.principal.clone(),
    };
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    )
}

/// The refusal of an action in the query protocol. The message holds nothing that XML would have to escape.
pub(super) fn unknown_action(caller: &Caller, message: &str) -> Response<ResponseBody> {
    refusal(
        StatusCode::BAD_REQUEST,
        "InvalidAction",
        message,
        &caller.request_id,
    )
}

/// The refusal of a request that is not authentic, by the names that this service has for that.
pub(super) fn not_authentic(error: &AuthError, request_id: &str) -> Response<ResponseBody> {
    let code = match error.code() {
        "ExpiredTokenException" => "ExpiredToken",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        other => other.trim_end_matches("Exception"),
    };
    let message = error.to_string().replace('&', "&amp;").replace('<', "&lt;");
    refusal(error.status(), code, &message, request_id)
}

fn refusal(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response<ResponseBody> {
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    );
    xml(status, body)
}
