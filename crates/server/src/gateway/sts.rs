//! `sts:GetCallerIdentity`, with which every AWS tool begins. The query protocol: a form in, XML out.

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
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
         <Message>{message}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        caller.request_id
    );
    xml(StatusCode::BAD_REQUEST, body)
}
