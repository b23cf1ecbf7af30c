//! SigV4 for one request, with the two dialects in use: S3 signs the path as it is and declares the payload's
//! digest in a header; the other services encode the path once more and declare nothing.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Call, ClientError, Service};
use crate::settings::Settings;

/// What is known of a request's payload when it is signed.
pub(super) enum Payload<'a> {
    Bytes(&'a [u8]),
    /// SHA-256 in hexadecimal, of a body that is streamed.
    Digest(&'a str),
}

/// The call's headers together with those that sign them.
pub(super) fn signed_headers(
    settings: &Settings,
    call: &Call,
    payload: &Payload<'_>,
) -> Result<HeaderMap, ClientError> {
    let keys = &settings.keys.as_ref().ok_or(ClientError::NoKeys)?.value;
    let token = keys
        .session_token
        .as_ref()
        .map(|token| token.expose_secret().to_owned());
    let identity = Credentials::new(
        &keys.access_key,
        keys.secret_key.expose_secret(),
        token,
        None,
        "agentcore",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(settings.region.value.as_str())
        .name(call.service.signing_name())
        .time(SystemTime::now())
        .settings(dialect(call.service))
        .build()
        .map_err(|error| ClientError::Sign(error.into()))?
        .into();
    let body = match payload {
        Payload::Bytes(bytes) => SignableBody::Bytes(bytes),
        Payload::Digest(digest) => SignableBody::Precomputed((*digest).to_owned()),
    };
    let visible = call
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new(call.method.as_str(), call.url.as_str(), visible, body)
        .map_err(|error| ClientError::Sign(error.into()))?;
    let (instructions, _signature) = sign(request, &params)
        .map_err(|error| ClientError::Sign(error.into()))?
        .into_parts();
    let mut headers = call.headers.clone();
    for header in instructions.into_parts().0 {
        let name = HeaderName::from_static(header.name());
        let mut value =
            HeaderValue::from_str(header.value()).map_err(|error| ClientError::Sign(error.into()))?;
        value.set_sensitive(header.sensitive());
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The call's headers together with a bearer token.
pub(super) fn bearer_headers(call: &Call, token: &SecretString) -> Result<HeaderMap, ClientError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| ClientError::BadRequest("the bearer token has characters that no header may have"))?;
    value.set_sensitive(true);
    let mut headers = call.headers.clone();
    headers.insert(header::AUTHORIZATION, value);
    Ok(headers)
}

fn dialect(service: Service) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == Service::S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}
