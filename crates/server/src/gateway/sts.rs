//! `sts:GetCallerIdentity`, with which every AWS tool begins. The query protocol: a form in, XML out.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use super::Caller;
use super::body::{ResponseBody, full};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn answer(caller: &Caller, form: &[u8]) -> Response<ResponseBody> {
    let action = form
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"Action="))
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    let (status, body) = if action == "GetCallerIdentity" {
        (StatusCode::OK, identity(caller))
    } else {
        (StatusCode::BAD_REQUEST, unknown_action(caller))
    };
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

/// Account, principal and request id hold nothing that XML would have to escape: the configuration sees to it.
fn identity(caller: &Caller) -> String {
    let Caller {
        account,
        principal,
        request_id,
        ..
    } = caller;
    let arn = caller.arn();
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>{principal}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    )
}

fn unknown_action(caller: &Caller) -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
         <Message>This server answers GetCallerIdentity only</Message></Error>\
         <RequestId>{}</RequestId></ErrorResponse>",
        caller.request_id
    )
}
