use jiff::Timestamp;

use crate::request::amz_date;

/// Why a request is not accepted. The display text is the message for the caller; [`AuthError::code`] and
/// [`AuthError::status`] are the rest of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither a signature nor a token was sent.
    #[error("Missing Authentication Token")]
    Missing,
    /// Something that a signed request must carry is absent or malformed.
    #[error("{0}")]
    Incomplete(String),
    /// More than one way of authentication was used in one request.
    #[error("Only one authentication mechanism is allowed per request")]
    Ambiguous,
    /// No such access key, or its session token is missing or not the one that belongs to it.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The temporary credentials have expired, or what they were for has ended.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// The signature is not the one this key gives for this request.
    #[error(
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
    /// The body is not the one that was signed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyMismatch,
    /// The date in the credential scope is not the date of the signature.
    #[error("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")]
    ScopeDate,
    /// The region in the credential scope cannot be one.
    #[error("Credential should be scoped to a valid region.")]
    ScopeRegion,
    /// The request was signed for another service than the one whose operation it asks for.
    #[error("Credential should be scoped to correct service: '{0}'.")]
    ScopeService(&'static str),
    /// The signature is older than the allowed difference of clocks.
    #[error(
        "Signature expired: {} is now earlier than {} ({} - 5 min.)",
        amz_date(*signed),
        amz_date(*earliest),
        amz_date(*now)
    )]
    TooOld {
        /// When the request says it was signed.
        signed: Timestamp,
        /// The oldest time accepted.
        earliest: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// The signature is from further in the future than the allowed difference of clocks.
    #[error(
        "Signature not yet current: {} is still later than {} ({} + 5 min.)",
        amz_date(*signed),
        amz_date(*latest),
        amz_date(*now)
    )]
    TooNew {
        /// When the request says it was signed.
        signed: Timestamp,
        /// The newest time accepted.
        latest: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// A presigned URL was used after its end.
    #[error("Signature expired: {} is now earlier than {}", amz_date(*expired), amz_date(*now))]
    UrlExpired {
        /// When the URL ended.
        expired: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
}

impl AuthError {
    /// The error code for `x-amzn-ErrorType`.
    ///
    /// A wrong clock is an `InvalidSignatureException`, as from the service: SDKs correct their clock on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) | Self::Ambiguous => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::ExpiredToken | Self::UrlExpired { .. } => "ExpiredTokenException",
            Self::Mismatch
            | Self::BodyMismatch
            | Self::ScopeDate
            | Self::ScopeRegion
            | Self::ScopeService(_)
            | Self::TooOld { .. }
            | Self::TooNew { .. } => "InvalidSignatureException",
        }
    }

    /// The HTTP status of the answer: 400 for a signature that cannot be read, otherwise 403.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Incomplete(_) | Self::Ambiguous => http::StatusCode::BAD_REQUEST,
            _ => http::StatusCode::FORBIDDEN,
        }
    }

    pub(crate) fn incomplete(message: impl Into<String>) -> Self {
        Self::Incomplete(message.into())
    }
}
