//! What is answered to which request. Without I/O.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use tokio::time::Instant;

use super::tokens::Tokens;
use super::{Identity, SessionCredentials};

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const VALID_FOR: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TOKENS: &str = "/latest/api/token";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials";
/// Longest time that a token may be valid, in seconds.
const LONGEST: u64 = 21_600;

pub(super) type Body = Full<Bytes>;

/// The answer to a request.
pub(super) fn to(
    request: &Parts,
    tokens: &mut Tokens,
    now: Instant,
    identity: Option<&dyn Identity>,
) -> Response<Body> {
    if request.headers.contains_key(FORWARDED_FOR) {
        return only(StatusCode::FORBIDDEN);
    }
    let path = request.uri.path();
    match (&request.method, path) {
        (&Method::PUT, TOKENS) => give_token(&request.headers, tokens, now),
        (&Method::GET, TOKENS) => only(StatusCode::METHOD_NOT_ALLOWED),
        (&Method::GET, _) if !has_token(&request.headers, tokens, now) => only(StatusCode::UNAUTHORIZED),
        (&Method::GET, _) => identity
            .and_then(|identity| about(identity, path))
            .unwrap_or_else(|| only(StatusCode::NOT_FOUND)),
        _ => only(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The answer to one request too many.
pub(super) fn too_many() -> Response<Body> {
    only(StatusCode::SERVICE_UNAVAILABLE)
}

fn give_token(headers: &HeaderMap, tokens: &mut Tokens, now: Instant) -> Response<Body> {
    let valid_for = text(headers, &VALID_FOR)
        .and_then(|seconds| seconds.parse().ok())
        .filter(|seconds| (1..=LONGEST).contains(seconds));
    let Some(seconds) = valid_for else {
        return only(StatusCode::BAD_REQUEST);
    };
    let token = tokens.give(Duration::from_secs(seconds), now);
    let mut response = answer("text/plain", token);
    response.headers_mut().insert(VALID_FOR, seconds.into());
    response
}

fn has_token(headers: &HeaderMap, tokens: &Tokens, now: Instant) -> bool {
    text(headers, &TOKEN).is_some_and(|token| tokens.have(token, now))
}

/// The one header of this name.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn about(identity: &dyn Identity, path: &str) -> Option<Response<Body>> {
    let region = identity.region();
    if let Some(rest) = path.strip_prefix(CREDENTIALS) {
        return match rest {
            "" | "/" => Some(answer("text/plain", identity.role().to_owned())),
            _ if rest.strip_prefix('/') == Some(identity.role()) => json(&Found::of(&identity.credentials())),
            _ => None,
        };
    }
    match path {
        "/latest/meta-data/placement/region" => Some(answer("text/plain", region.to_owned())),
        "/latest/meta-data/placement/availability-zone"
        | "/latest/meta-data/placement/availability-zone/" => Some(answer("text/plain", zone(region))),
        "/latest/dynamic/instance-identity/document" => json(&Document {
            account_id: identity.account(),
            region,
            availability_zone: zone(region),
            version: "2017-09-30",
        }),
        _ => None,
    }
}

fn zone(region: &str) -> String {
    format!("{region}a")
}

/// Credentials, as clients read them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    code: &'static str,
    last_updated: String,
    #[serde(rename = "Type")]
    kind: &'static str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

impl<'a> Found<'a> {
    fn of(credentials: &'a SessionCredentials) -> Self {
        Self {
            code: "Success",
            last_updated: seconds(credentials.made),
            kind: "AWS-HMAC",
            access_key_id: &credentials.access_key,
            secret_access_key: credentials.secret.expose_secret(),
            token: credentials.token.expose_secret(),
            expiration: seconds(credentials.expires),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    account_id: &'a str,
    region: &'a str,
    availability_zone: String,
    version: &'static str,
}

/// Clients read whole seconds only.
fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn json(value: &impl Serialize) -> Option<Response<Body>> {
    Some(answer("application/json", serde_json::to_vec(value).ok()?))
}

fn answer(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::testing::Front;
    use super::*;

    struct Service {
        tokens: Tokens,
        now: Instant,
        identity: Option<&'static dyn Identity>,
    }

    impl Service {
        fn of(identity: Option<&'static dyn Identity>) -> Self {
            Self {
                tokens: Tokens::default(),
                now: Instant::now(),
                identity,
            }
        }

        fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
            let mut request = http::Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap().into_parts().0;
            let response = to(&request, &mut self.tokens, self.now, self.identity);
            let status = response.status().as_u16();
            let body = futures::executor::block_on(response.into_body().collect()).unwrap();
            (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
        }

        fn token(&mut self, seconds: &str) -> String {
            let asked = self.ask("PUT", TOKENS, &[(VALID_FOR.as_str(), seconds)]);
            assert_eq!(asked.0, 200);
            asked.1
        }

        fn get(&mut self, path: &str, token: &str) -> (u16, String) {
            self.ask("GET", path, &[(TOKEN.as_str(), token)])
        }
    }

    #[test]
    fn a_client_finds_its_role_credentials_and_region() {
        let mut service = Service::of(Some(&Front));
        let token = service.token("21600");
        for path in [CREDENTIALS.to_owned(), format!("{CREDENTIALS}/")] {
            assert_eq!(service.get(&path, &token), (200, "front".to_owned()));
        }
        let (status, found) = service.get(&format!("{CREDENTIALS}/front"), &token);
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(status, 200);
        for (name, value) in [
            ("Code", "Success"),
            ("AccessKeyId", "ASIA"),
            ("SecretAccessKey", "secret"),
            ("Token", "token"),
            ("Expiration", "1970-01-01T01:00:00Z"),
        ] {
            assert_eq!(found[name], value, "{name}");
        }
        let zone = service.get("/latest/meta-data/placement/availability-zone/", &token);
        assert_eq!(zone, (200, "us-east-1a".to_owned()));
        let (_, document) = service.get("/latest/dynamic/instance-identity/document", &token);
        assert_eq!(
            serde_json::from_str::<Value>(&document).unwrap()["region"],
            "us-east-1"
        );
        for other in ["/other", "/front/", "front"] {
            assert_eq!(
                service.get(&format!("{CREDENTIALS}{other}"), &token).0,
                404,
                "{other}"
            );
        }
    }

    #[test]
    fn a_sandbox_without_an_identity_is_a_machine_without_a_role() {
        let mut service = Service::of(None);
        let token = service.token("60");
        for path in [CREDENTIALS, "/latest/meta-data/placement/region", "/"] {
            assert_eq!(service.get(path, &token).0, 404, "{path}");
        }
    }

    #[test]
    fn who_has_no_token_or_comes_through_a_proxy_gets_nothing() {
        let mut service = Service::of(Some(&Front));
        let token = service.token("60");
        let (name, from) = (TOKEN, FORWARDED_FOR);
        let path = format!("{CREDENTIALS}/front");
        let (token, forwarded) = ((name.as_str(), token.as_str()), (from.as_str(), "192.0.2.1"));
        assert_eq!(service.ask("GET", &path, &[]).0, 401);
        assert_eq!(service.ask("GET", &path, &[(TOKEN.as_str(), "")]).0, 401);
        assert_eq!(service.ask("GET", &path, &[token, token]).0, 401);
        assert_eq!(service.ask("GET", &path, &[token, forwarded]).0, 403);
        assert_eq!(
            service
                .ask("PUT", TOKENS, &[(VALID_FOR.as_str(), "60"), forwarded])
                .0,
            403
        );
        assert_eq!(service.ask("POST", &path, &[token]).0, 405);
        for seconds in ["0", "21601", "-1", "x", ""] {
            assert_eq!(
                service.ask("PUT", TOKENS, &[(VALID_FOR.as_str(), seconds)]).0,
                400,
                "{seconds}"
            );
        }
        assert_eq!(service.ask("PUT", TOKENS, &[]).0, 400);
    }

    #[test]
    fn tokens_expire_and_the_oldest_goes_first() {
        let mut service = Service::of(Some(&Front));
        let (short, long) = (service.token("1"), service.token("60"));
        service.now += Duration::from_secs(2);
        assert_eq!(service.get(CREDENTIALS, &short).0, 401);
        assert_eq!(service.get(CREDENTIALS, &long).0, 200);
        let newest = (0..500).map(|_| service.token("60")).last().unwrap();
        assert_eq!(service.get(CREDENTIALS, &long).0, 401);
        assert_eq!(service.get(CREDENTIALS, &newest).0, 200);
    }

    proptest! {
        #[test]
        fn without_a_token_nothing_is_told(path in "/[a-z/-]{0,60}", token in "[a-f0-9]{0,60}") {
            let mut service = Service::of(Some(&Front));
            service.token("60");
            let (status, body) = service.get(&path, &token);
            prop_assert!(status == 401 || path == TOKENS);
            prop_assert!(body.is_empty());
        }
    }
}
