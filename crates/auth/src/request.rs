//! What a request claims about its signature, in the header form (`Authorization: AWS4-HMAC-SHA256 …`) or
//! the query form (a presigned URL). Reading proves nothing.

use coracle_types::Region;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::canonical::{percent_decode, query_pairs};
use crate::{AccessKeyId, AuthError};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// The service with payloads of its own kinds.
const S3: &str = "s3";
/// Longest `Authorization` header read.
const MAX_AUTHORIZATION: usize = 8 * 1024;
/// Most headers a signature may cover.
const MAX_SIGNED_HEADERS: usize = 100;
/// Most parameters in the query of a signed request.
const MAX_QUERY_PAIRS: usize = 1000;
/// Longest life of a presigned URL, in seconds: seven days.
const MAX_EXPIRES: u32 = 604_800;

/// How the body takes part in the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The SHA-256 of the body is signed but not sent; it must be computed.
    Computed,
    /// The SHA-256 of the body was sent, and signed.
    Literal([u8; 32]),
    /// The body is not covered by the signature.
    Unsigned,
    /// The body is an `aws-chunked` stream that carries signatures of its own (`STREAMING-…`); S3 only. The
    /// signature of the request can be verified; the chunks are the business of whoever decodes them.
    Streaming(String),
}

/// The signature of a request, as claimed by it.
#[derive(Debug, Clone)]
pub struct SigV4Request {
    pub(crate) access_key: AccessKeyId,
    pub(crate) scope: Scope,
    pub(crate) signed_at: Timestamp,
    /// Seconds a presigned URL lives; `None` in the header form.
    pub(crate) expires: Option<u32>,
    pub(crate) signed_headers: Vec<HeaderName>,
    pub(crate) signature: [u8; 32],
    pub(crate) payload: Payload,
    session_token: Option<String>,
}

/// `<date>/<region>/<service>/aws4_request`
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) date: String,
    pub(crate) region: Region,
    pub(crate) service: String,
}

impl SigV4Request {
    /// Reads the signature of a request. `None` when it does not use SigV4 at all.
    ///
    /// # Errors
    /// When a signature is there but cannot be read, or there is more than one way of authentication.
    pub fn parse(parts: &Parts) -> Result<Option<Self>, AuthError> {
        let authorization = single_header(parts, &AUTHORIZATION)?;
        let in_header = authorization.is_some_and(|value| value.starts_with("AWS4-"));
        let query = parts.uri.query().unwrap_or_default();
        let in_query = query_pairs(query).any(|(name, _)| name == "X-Amz-Algorithm");
        if !in_header && !in_query {
            return Ok(None);
        }
        if query_pairs(query).count() > MAX_QUERY_PAIRS {
            return Err(AuthError::incomplete("The query has too many parameters."));
        }
        match authorization {
            None => from_query(parts, query).map(Some),
            Some(authorization) if !in_query => from_header(parts, authorization).map(Some),
            Some(_) => Err(AuthError::Ambiguous),
        }
    }

    /// The access key the request claims to be signed with.
    pub fn access_key(&self) -> &AccessKeyId {
        &self.access_key
    }

    /// The region it was signed for.
    pub fn region(&self) -> &Region {
        &self.scope.region
    }

    /// The service it was signed for: `bedrock-agentcore`, `s3`, `logs`, …
    pub fn service(&self) -> &str {
        &self.scope.service
    }

    /// Whether the signature is in the query.
    pub fn is_presigned(&self) -> bool {
        self.expires.is_some()
    }

    /// When it says it was signed.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// The headers the signature covers, in order.
    pub fn signed_headers(&self) -> &[HeaderName] {
        &self.signed_headers
    }

    /// How the body takes part.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The token of temporary credentials, if one was sent.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }
}

fn from_header(parts: &Parts, authorization: &str) -> Result<SigV4Request, AuthError> {
    if authorization.len() > MAX_AUTHORIZATION {
        return Err(AuthError::incomplete("The Authorization header is too long."));
    }
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    check_algorithm(algorithm)?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in rest.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => {
                return Err(AuthError::incomplete(
                    "Authorization header holds something other than Credential, SignedHeaders and Signature.",
                ));
            }
        };
        if slot.replace(value).is_some() {
            return Err(AuthError::incomplete(format!(
                "Authorization header has '{name}' twice."
            )));
        }
    }
    let missing = |name| AuthError::incomplete(format!("Authorization header requires '{name}' parameter."));
    let date = single_header(parts, &HeaderName::from_static("x-amz-date"))?.ok_or_else(|| {
        AuthError::incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
    })?;
    let (access_key, scope) = parse_credential(credential.ok_or_else(|| missing("Credential"))?)?;
    let content_sha256 = single_header(parts, &HeaderName::from_static(CONTENT_SHA256))?;
    let payload = content_sha256.map_or(Ok(Payload::Computed), |text| parse_payload(text, &scope.service))?;
    Ok(SigV4Request {
        access_key,
        scope,
        signed_at: parse_date(date)?,
        expires: None,
        signed_headers: parse_signed_headers(signed_headers.ok_or_else(|| missing("SignedHeaders"))?)?,
        signature: parse_signature(signature.ok_or_else(|| missing("Signature"))?)?,
        payload,
        session_token: single_header(parts, &HeaderName::from_static("x-amz-security-token"))?
            .map(str::to_owned),
    })
}

fn from_query(parts: &Parts, query: &str) -> Result<SigV4Request, AuthError> {
    let optional = |name: &str| single_parameter(query, name);
    let required = |name: &str| {
        optional(name)?.ok_or_else(|| {
            AuthError::incomplete(format!("AWS query-string parameters must include '{name}'."))
        })
    };
    check_algorithm(&required("X-Amz-Algorithm")?)?;
    let (access_key, scope) = parse_credential(&required("X-Amz-Credential")?)?;
    let expires = required("X-Amz-Expires")?
        .parse()
        .ok()
        .filter(|seconds| *seconds <= MAX_EXPIRES)
        .ok_or_else(|| {
            AuthError::incomplete(format!(
                "X-Amz-Expires must be a number of seconds from 0 to {MAX_EXPIRES}."
            ))
        })?;
    let content_sha256 = match single_header(parts, &HeaderName::from_static(CONTENT_SHA256))? {
        Some(value) => Some(value.to_owned()),
        None => optional("X-Amz-Content-Sha256")?,
    };
    let payload = match content_sha256 {
        Some(value) => parse_payload(&value, &scope.service)?,
        // Presigned URLs of S3 never cover a body.
        None if scope.service == S3 => Payload::Unsigned,
        None => Payload::Computed,
    };
    Ok(SigV4Request {
        access_key,
        scope,
        signed_at: parse_date(&required("X-Amz-Date")?)?,
        expires: Some(expires),
        signed_headers: parse_signed_headers(&required("X-Amz-SignedHeaders")?)?,
        signature: parse_signature(&required("X-Amz-Signature")?)?,
        payload,
        session_token: optional("X-Amz-Security-Token")?,
    })
}

fn single_header<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, AuthError> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::incomplete(format!(
            "The header '{name}' was sent twice."
        )));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| AuthError::incomplete(format!("The header '{name}' is not ASCII text.")))
}

fn single_parameter(query: &str, name: &str) -> Result<Option<String>, AuthError> {
    let mut values = query_pairs(query)
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::incomplete(format!(
            "The query parameter '{name}' was sent twice."
        )));
    }
    String::from_utf8(percent_decode(value))
        .map(Some)
        .map_err(|_| AuthError::incomplete(format!("The query parameter '{name}' is not text.")))
}

fn check_algorithm(algorithm: &str) -> Result<(), AuthError> {
    if algorithm == ALGORITHM {
        Ok(())
    } else {
        Err(AuthError::incomplete(format!(
            "Unsupported AWS 'algorithm': '{algorithm}'."
        )))
    }
}

fn parse_credential(text: &str) -> Result<(AccessKeyId, Scope), AuthError> {
    let malformed = || {
        AuthError::incomplete(
            "Credential must have exactly 5 slash-delimited elements, \
             e.g. keyid/date/region/service/aws4_request.",
        )
    };
    let parts: Vec<&str> = text.splitn(6, '/').collect();
    let [access_key, date, region, service, "aws4_request"] = parts[..] else {
        return Err(malformed());
    };
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let is_service = (1..=64).contains(&service.len())
        && service
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_date || !is_service {
        return Err(malformed());
    }
    let scope = Scope {
        date: date.to_owned(),
        region: region.parse().map_err(|_| AuthError::ScopeRegion)?,
        service: service.to_owned(),
    };
    Ok((access_key.parse().map_err(|_| malformed())?, scope))
}

/// Signers sort the list; one that is sorted has no duplicates and one canonical form.
fn parse_signed_headers(text: &str) -> Result<Vec<HeaderName>, AuthError> {
    let names: Vec<&str> = text.split(';').take(MAX_SIGNED_HEADERS + 1).collect();
    if names.len() > MAX_SIGNED_HEADERS {
        return Err(AuthError::incomplete("SignedHeaders names too many headers."));
    }
    if !names.is_sorted_by(|one, next| one < next) {
        return Err(AuthError::incomplete(
            "SignedHeaders must be sorted, without repetition.",
        ));
    }
    if !names.contains(&"host") {
        return Err(AuthError::incomplete(
            "'Host' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    names
        .into_iter()
        .map(|name| {
            HeaderName::from_lowercase(name.as_bytes())
                .map_err(|_| AuthError::incomplete("SignedHeaders must be header names in lower case."))
        })
        .collect()
}

/// Text that cannot be a signature is the signature of nothing.
fn parse_signature(text: &str) -> Result<[u8; 32], AuthError> {
    parse_digest(text).ok_or(AuthError::Mismatch)
}

fn parse_payload(text: &str, service: &str) -> Result<Payload, AuthError> {
    if text == "UNSIGNED-PAYLOAD" {
        return Ok(Payload::Unsigned);
    }
    if text.starts_with("STREAMING-") {
        return if service == S3 {
            Ok(Payload::Streaming(text.to_owned()))
        } else {
            Err(AuthError::incomplete(format!(
                "x-amz-content-sha256 is {text}, which only S3 takes."
            )))
        };
    }
    parse_digest(text).map(Payload::Literal).ok_or_else(|| {
        AuthError::incomplete("x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a SHA-256 in lower case.")
    })
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut digest).is_ok()).then_some(digest)
}

/// Reads `20150830T123600Z`.
fn parse_date(text: &str) -> Result<Timestamp, AuthError> {
    let malformed = || AuthError::incomplete("Date must be in ISO-8601 'basic format', as 20150830T123600Z.");
    let shape = text.len() == 16
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return Err(malformed());
    }
    DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| malformed())
}

/// Writes `20150830T123600Z`.
pub(crate) fn amz_date(time: Timestamp) -> impl std::fmt::Display {
    time.strftime("%Y%m%dT%H%M%SZ")
}
