//! Errors in the form that clients of the agent's protocol read. What AWS SDKs read is in the head of all of them.

use bytes::Bytes;
use coracle_types::ServerProtocol;
use coracle_wire::{Error, ErrorCode};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::mcp::RpcHead;
use crate::gateway::body::{ResponseBody, full};

/// The answer to a request that failed, to a client of this protocol; `body` is the request's, if it is small.
pub(super) fn wrap(protocol: ServerProtocol, error: Error, body: Option<&Bytes>) -> Response<ResponseBody> {
    match protocol {
        ServerProtocol::Mcp => {
            let (status, code) = mcp(error.code());
            rpc(&error, status, code, body)
        }
        ServerProtocol::A2a => match a2a(error.code()) {
            Some((status, code)) => rpc(&error, status, code, body),
            None => error.into_response().map(full),
        },
        ServerProtocol::Agui => run_error(&error),
        ServerProtocol::Http => error.into_response().map(full),
    }
}

/// The answer to an MCP client that does not take both forms of answers.
pub(super) fn not_acceptable(body: Option<&Bytes>) -> Response<ResponseBody> {
    let text = "Not Acceptable: the client must accept both application/json and text/event-stream";
    let error = Error::validation_field("accept", text);
    rpc(&error, StatusCode::NOT_ACCEPTABLE, -32011, body)
}

fn mcp(code: ErrorCode) -> (StatusCode, i32) {
    match code {
        ErrorCode::Unauthorized => (StatusCode::UNAUTHORIZED, -32001),
        ErrorCode::AccessDenied => (StatusCode::FORBIDDEN, -32002),
        ErrorCode::Throttling | ErrorCode::ServiceQuotaExceeded => (StatusCode::OK, -32003),
        ErrorCode::ResourceNotFound => (StatusCode::OK, -32004),
        ErrorCode::Conflict | ErrorCode::RetryableConflict => (StatusCode::OK, -32005),
        ErrorCode::Validation => (StatusCode::OK, -32006),
        ErrorCode::RuntimeClient => (StatusCode::OK, -32010),
        _ => (StatusCode::OK, -32603),
    }
}

/// `None` where the answer is no JSON-RPC.
fn a2a(code: ErrorCode) -> Option<(StatusCode, i32)> {
    match code {
        ErrorCode::AccessDenied | ErrorCode::Unauthorized => None,
        ErrorCode::ResourceNotFound => Some((StatusCode::NOT_FOUND, -32051)),
        ErrorCode::Validation => Some((StatusCode::BAD_REQUEST, -32052)),
        ErrorCode::Throttling | ErrorCode::ServiceQuotaExceeded => {
            Some((StatusCode::TOO_MANY_REQUESTS, -32053))
        }
        ErrorCode::Conflict | ErrorCode::RetryableConflict => Some((StatusCode::CONFLICT, -32054)),
        ErrorCode::RuntimeClient => Some((StatusCode::FAILED_DEPENDENCY, -32055)),
        _ => Some((StatusCode::INTERNAL_SERVER_ERROR, -32603)),
    }
}

fn ag_ui(code: ErrorCode) -> (StatusCode, &'static str) {
    match code {
        ErrorCode::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        ErrorCode::AccessDenied => (StatusCode::FORBIDDEN, "ACCESS_DENIED"),
        ErrorCode::Validation => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        ErrorCode::Throttling => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED"),
        ErrorCode::ServiceQuotaExceeded => (StatusCode::TOO_MANY_REQUESTS, "SERVICE_QUOTA_EXCEEDED"),
        ErrorCode::Conflict | ErrorCode::RetryableConflict => (StatusCode::CONFLICT, "SESSION_BUSY"),
        ErrorCode::RuntimeClient => (StatusCode::OK, "AGENT_ERROR"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}

fn rpc(error: &Error, status: StatusCode, code: i32, body: Option<&Bytes>) -> Response<ResponseBody> {
    let id = body.map(|body| RpcHead::read(body).id).unwrap_or_default();
    let answer = json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {"code": code, "message": error.message()},
    });
    respond(error, status, "application/json", answer.to_string())
}

fn run_error(error: &Error) -> Response<ResponseBody> {
    let (status, code) = ag_ui(error.code());
    let event = json!({"type": "RUN_ERROR", "code": code, "message": error.message()});
    respond(error, status, "text/event-stream", format!("data: {event}\n\n"))
}

fn respond(
    error: &Error,
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<ResponseBody> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in error.headers() {
        headers.insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    async fn answered(
        protocol: ServerProtocol,
        error: Error,
        request: &'static str,
    ) -> (u16, String, String) {
        let body = Bytes::from_static(request.as_bytes());
        let response = wrap(protocol, error, Some(&body));
        let name = response.headers()["x-amzn-errortype"]
            .to_str()
            .unwrap()
            .to_owned();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, name, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn json_rpc_clients_get_their_id_back() {
        let request = r#"{"jsonrpc":"2.0","id":"seven","method":"tools/call"}"#;
        for (protocol, status, code) in [
            (ServerProtocol::Mcp, 200, -32010),
            (ServerProtocol::A2a, 424, -32055),
        ] {
            let (answered_status, name, body) =
                answered(protocol, Error::runtime_client("it failed"), request).await;
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((answered_status, name.as_str()), (status, "RuntimeClientError"));
            assert_eq!(body["error"], json!({"code": code, "message": "it failed"}));
            assert_eq!(body["id"], "seven");
        }
        let (_, _, body) = answered(ServerProtocol::Mcp, Error::not_found("no"), "not json").await;
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["id"], Value::Null);
    }

    #[tokio::test]
    async fn what_a2a_forbids_is_plain() {
        let (status, _, body) = answered(ServerProtocol::A2a, Error::access_denied("no"), "{}").await;
        assert_eq!((status, body.as_str()), (403, r#"{"message":"no"}"#));
    }

    #[tokio::test]
    async fn ag_ui_clients_get_an_event() {
        let busy = Error::retryable_conflict("wait");
        let (status, name, body) = answered(ServerProtocol::Agui, busy, "{}").await;
        assert_eq!((status, name.as_str()), (409, "RetryableConflictException"));
        let event = body.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(
            event,
            json!({"type": "RUN_ERROR", "code": "SESSION_BUSY", "message": "wait"})
        );
    }
}
