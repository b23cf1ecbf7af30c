use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use coracle_auth::{AuthError, HostAliases, SigV4Request};
use http::request::Parts;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

pub(crate) const ACCESS_KEY: &str = "CRCLAAAABBBBCCCCDDDD";
pub(crate) const SECRET: &str = "0123456789012345678901234567890123456789";
pub(crate) const SIGNED_AT: &str = "2026-11-21T10:00:00Z";

pub(crate) const INVOCATION: &str = "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu-west-1%3A000000000000%3Aruntime%2Fhello-AbCdEf0123/invocations";

/// A request before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) service: &'static str,
    /// Life in seconds of a presigned URL; `None` for the header form.
    pub(crate) presigned: Option<u64>,
}

impl Draft {
    pub(crate) fn get(target: &str) -> Self {
        Self {
            method: "GET",
            host: "localhost:4580",
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            service: "bedrock-agentcore",
            presigned: None,
        }
    }

    pub(crate) fn sign(&self) -> (Parts, Vec<u8>) {
        self.sign_body(SignableBody::Bytes(&self.body))
    }

    /// Signs with AWS's own signer, then turns the request into what a server sees.
    pub(crate) fn sign_body(&self, body: SignableBody<'_>) -> (Parts, Vec<u8>) {
        let mut settings = SigningSettings::default();
        if let Some(seconds) = self.presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let identity = Credentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(self.service)
            .time(SystemTime::from(at(0)))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("http://{}{}", self.host, self.target);
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new(self.method, &uri, headers, body).unwrap();
        let mut request = Request::builder().method(self.method).uri(&uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(()).unwrap();
        sign(signable, &params)
            .unwrap()
            .into_parts()
            .0
            .apply_to_request_http1x(&mut request);
        let mut parts = request.into_parts().0;
        parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
        parts.headers.insert("host", HeaderValue::from_static(self.host));
        (parts, self.body.clone())
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    SIGNED_AT.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn verdict_at(
    parts: &Parts,
    body: &[u8],
    now: Timestamp,
    aliases: &HostAliases,
) -> Result<(), AuthError> {
    let request = SigV4Request::parse(parts)?.ok_or(AuthError::Missing)?;
    request
        .verify(parts, &SecretString::from(SECRET), now, aliases)?
        .finish_with(body)
}

pub(crate) fn verdict(parts: &Parts, body: &[u8]) -> Result<(), AuthError> {
    verdict_at(parts, body, at(0), &HostAliases::default())
}
