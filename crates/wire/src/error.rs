//! The failures callers see: an exception name of the service, a status and a JSON body.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::fields::{FieldError, FieldErrors};

/// Carries the exception name; SDKs look here first.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const INTERNAL_MESSAGE: &str = "The server failed while processing the request";

/// A failure to be told to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}", code = self.code.name())]
pub struct Error {
    code: ErrorCode,
    message: String,
    validation: Option<Validation>,
    /// When the same request may succeed.
    retry_after: Option<Duration>,
    /// What happened inside. Never shown to the caller.
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug)]
struct Validation {
    reason: ValidationReason,
    fields: Vec<FieldError>,
}

/// Which exception. Those of a signature that does not hold are `coracle-auth`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the service's")]
pub enum ErrorCode {
    Validation,
    Unauthorized,
    ServiceQuotaExceeded,
    AccessDenied,
    ResourceNotFound,
    Conflict,
    ConcurrentModification,
    RetryableConflict,
    RuntimeClient,
    Throttling,
    InternalServer,
    ServiceUnavailable,
    UnknownOperation,
}

impl ErrorCode {
    /// The exception's name on the wire.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        self.facts().1
    }

    fn facts(self) -> (&'static str, StatusCode) {
        match self {
            Self::Validation => ("ValidationException", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("UnauthorizedException", StatusCode::UNAUTHORIZED),
            Self::ServiceQuotaExceeded => ("ServiceQuotaExceededException", StatusCode::PAYMENT_REQUIRED),
            Self::AccessDenied => ("AccessDeniedException", StatusCode::FORBIDDEN),
            Self::ResourceNotFound => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
            Self::Conflict => ("ConflictException", StatusCode::CONFLICT),
            Self::ConcurrentModification => ("ConcurrentModificationException", StatusCode::CONFLICT),
            Self::RetryableConflict => ("RetryableConflictException", StatusCode::CONFLICT),
            Self::RuntimeClient => ("RuntimeClientError", StatusCode::FAILED_DEPENDENCY),
            Self::Throttling => ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
            Self::InternalServer => ("InternalServerException", StatusCode::INTERNAL_SERVER_ERROR),
            Self::ServiceUnavailable => ("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE),
            Self::UnknownOperation => ("UnknownOperationException", StatusCode::NOT_FOUND),
        }
    }
}

/// Why a request was invalid (`ValidationExceptionReason` of the model).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum ValidationReason {
    /// It could not be read at all.
    CannotParse,
    /// Members of it broke their constraints.
    FieldValidationFailed,
    /// Its client token was used before, with other parameters.
    #[serde(rename = "IdempotentParameterMismatchException")]
    IdempotentParameterMismatch,
    /// It concerns something that belongs to another session.
    EventInOtherSession,
    /// It contradicts the state of a resource.
    ResourceConflict,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ValidationReason>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    field_list: &'a [FieldError],
}

/// Makes constructors of errors that carry a text for the caller and nothing else.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident,)*) => {$(
        $(#[$doc])*
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(ErrorCode::$code, message)
        }
    )*};
}

impl Error {
    /// An error of this code with a text for the caller.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            validation: None,
            retry_after: None,
            source: None,
        }
    }

    constructors! {
        /// 401 `UnauthorizedException`.
        unauthorized => Unauthorized,
        /// 402 `ServiceQuotaExceededException`.
        quota_exceeded => ServiceQuotaExceeded,
        /// 403 `AccessDeniedException`.
        access_denied => AccessDenied,
        /// 404 `ResourceNotFoundException`.
        not_found => ResourceNotFound,
        /// 409 `ConflictException`.
        conflict => Conflict,
        /// 409 `RetryableConflictException`; SDKs retry it.
        retryable_conflict => RetryableConflict,
        /// 424 `RuntimeClientError`: the agent failed, not the server.
        runtime_client => RuntimeClient,
        /// 429 `ThrottlingException`; SDKs retry it.
        throttling => Throttling,
        /// 503 `ServiceUnavailableException`; SDKs retry it.
        unavailable => ServiceUnavailable,
        /// 404 `UnknownOperationException`.
        unknown_operation => UnknownOperation,
    }

    /// 400 `ValidationException` that concerns no single member.
    pub fn validation(reason: ValidationReason, message: impl Into<String>) -> Self {
        let validation = Some(Validation {
            reason,
            fields: Vec::new(),
        });
        Self {
            validation,
            ..Self::new(ErrorCode::Validation, message)
        }
    }

    /// 400 `ValidationException` for one member; see [`FieldErrors`] for the form of `path` and for several.
    pub fn validation_field(path: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::new();
        errors.push(path, message);
        Self::fields_invalid(errors)
    }

    /// 400 `ValidationException` for everything collected.
    pub(crate) fn fields_invalid(errors: FieldErrors) -> Self {
        let mut error = Self::validation(ValidationReason::FieldValidationFailed, errors.message());
        if let Some(validation) = &mut error.validation {
            validation.fields = errors.into_vec();
        }
        error
    }

    /// 500 `InternalServerException`. The caller learns nothing of the cause; it is this error's source.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(cause.into()),
            ..Self::new(ErrorCode::InternalServer, INTERNAL_MESSAGE)
        }
    }

    /// The same error with a `Retry-After`, in whole seconds and at least one.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    /// Which exception this is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The text for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why the request was invalid, if it was.
    pub fn reason(&self) -> Option<ValidationReason> {
        self.validation.as_ref().map(|validation| validation.reason)
    }

    /// The members that were invalid, if any.
    pub fn fields(&self) -> &[FieldError] {
        self.validation
            .as_ref()
            .map_or(&[], |validation| &validation.fields)
    }

    /// The JSON body.
    pub fn body(&self) -> Bytes {
        let body = Body {
            message: &self.message,
            reason: self.reason(),
            field_list: self.fields(),
        };
        serde_json::to_vec(&body).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }

    /// The response that tells the caller.
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers() {
            headers.insert(name, value);
        }
        response
    }

    /// What every form of this error says in its head: which exception, and when to try again.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let seconds = |after: Duration| after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let retry = self
            .retry_after
            .map(|after| (RETRY_AFTER, HeaderValue::from(seconds(after).max(1))));
        [(ERROR_TYPE, HeaderValue::from_static(self.code.name()))]
            .into_iter()
            .chain(retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_the_exception_in_its_header_and_the_text_in_its_body() {
        let response = Error::not_found("no such runtime").into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(
            response.headers()["x-amzn-errortype"],
            "ResourceNotFoundException"
        );
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.body(), r#"{"message":"no such runtime"}"#);
    }

    #[test]
    fn a_validation_error_lists_its_fields() {
        let response = Error::validation_field("name", "Member must not be null").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.body(),
            concat!(
                r#"{"message":"1 validation error detected: Value at 'name' failed to satisfy constraint: "#,
                r#"Member must not be null","reason":"FieldValidationFailed","#,
                r#""fieldList":[{"name":"name","message":"Member must not be null"}]}"#
            )
        );
    }

    #[test]
    fn a_throttled_caller_is_told_when_to_come_back() {
        for (millis, header) in [(1, "1"), (1000, "1"), (1001, "2")] {
            let error = Error::throttling("slow down").retry_after(Duration::from_millis(millis));
            assert_eq!(error.into_response().headers()["retry-after"], header);
        }
    }

    #[test]
    fn the_cause_of_an_internal_failure_stays_inside() {
        let error = Error::internal("disk /var/x is full");
        assert!(std::error::Error::source(&error).is_some());
        let response = error.into_response();
        assert_eq!(response.status(), 500);
        assert!(!String::from_utf8_lossy(response.body()).contains("disk"));
    }
}
