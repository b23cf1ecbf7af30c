use aws_sigv4::http_request::SignableBody;
use coracle_auth::{HostAliases, SigV4Request};
use http::request::Parts;
use http::{HeaderValue, Request};
use proptest::prelude::*;
use secrecy::SecretString;

use crate::draft::{Draft, verdict};

/// One byte of a request to change.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Path,
    Query,
    Header,
    Body,
    Method,
}

fn mutate(parts: &mut Parts, body: &mut [u8], mutation: Mutation, index: prop::sample::Index) -> bool {
    // An underscore means itself everywhere, so putting one in place of another byte changes the meaning.
    let underscore = |bytes: &mut [u8], from: usize| {
        let Some(length) = bytes.len().checked_sub(from).filter(|length| *length > 0) else {
            return false;
        };
        let byte = &mut bytes[from + index.index(length)];
        std::mem::replace(byte, b'_') != b'_'
    };
    let (mut path, mut query) = (
        parts.uri.path().as_bytes().to_vec(),
        parts.uri.query().unwrap_or_default().as_bytes().to_vec(),
    );
    let changed = match mutation {
        Mutation::Path => underscore(&mut path, 1),
        Mutation::Query => underscore(&mut query, 0),
        Mutation::Body => underscore(body, 0),
        Mutation::Method => std::mem::replace(&mut parts.method, http::Method::PATCH) != http::Method::PATCH,
        Mutation::Header => {
            let Some(value) = parts.headers.get_mut("x-custom") else {
                return false;
            };
            let mut bytes = value.as_bytes().to_vec();
            let changed = underscore(&mut bytes, 0);
            *value = HeaderValue::from_bytes(&bytes).unwrap();
            changed
        }
    };
    let (path, query) = (
        String::from_utf8(path).unwrap(),
        String::from_utf8(query).unwrap(),
    );
    let separator = if query.is_empty() { "" } else { "?" };
    parts.uri = format!("{path}{separator}{query}").parse().unwrap();
    changed
}

fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9_~-]{1,6}",
        1 => Just("%3A".to_owned()),
        1 => Just("%2F".to_owned()),
        1 => Just("%C3%A9".to_owned()),
        1 => "[:@$!*',;()&=.]x",
    ];
    let segment = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    (prop::collection::vec(segment, 0..5), any::<bool>())
        .prop_map(|(segments, slash)| format!("/{}{}", segments.join("/"), if slash { "/" } else { "" }))
}

fn query() -> impl Strategy<Value = String> {
    let text = || {
        prop::collection::vec(
            prop_oneof![
                "[a-zA-Z0-9._~-]{1,5}",
                Just("%3A".to_owned()),
                Just("%20".to_owned()),
                Just("%26".to_owned())
            ],
            0..3,
        )
        .prop_map(|pieces| pieces.concat())
    };
    prop::collection::vec(("[a-zA-Z]{1,4}", text()), 0..5).prop_map(|pairs| {
        let pairs: Vec<String> = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    })
}

fn draft() -> impl Strategy<Value = Draft> {
    (
        prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        path(),
        query(),
        prop::option::of("[!-~]([ -~]{0,20}[!-~])?"),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec!["bedrock-agentcore", "s3"]),
        prop::option::of(1..604_800u64),
    )
        .prop_map(|(method, path, query, header, body, service, presigned)| Draft {
            method,
            host: "localhost:4580",
            target: if query.is_empty() {
                path
            } else {
                format!("{path}?{query}")
            },
            headers: header.map(|value| ("x-custom", value)).into_iter().collect(),
            // A presigned URL of S3 does not cover its body.
            body: if service == "s3" && presigned.is_some() {
                Vec::new()
            } else {
                body
            },
            service,
            presigned,
        })
}

fn signed(draft: &Draft) -> (Parts, Vec<u8>) {
    if draft.service == "s3" && draft.presigned.is_some() {
        draft.sign_body(SignableBody::UnsignedPayload)
    } else {
        draft.sign()
    }
}

proptest! {
    #[test]
    fn what_an_sdk_signs_is_accepted(draft in draft()) {
        let (parts, body) = signed(&draft);
        prop_assert_eq!(verdict(&parts, &body), Ok(()));
    }

    #[test]
    fn a_request_changed_by_one_byte_is_refused(
        draft in draft(),
        mutation in prop::sample::select(vec![
            Mutation::Path, Mutation::Query, Mutation::Header, Mutation::Body, Mutation::Method,
        ]),
        index: prop::sample::Index,
    ) {
        let (mut parts, mut body) = signed(&draft);
        if mutate(&mut parts, &mut body, mutation, index) {
            prop_assert!(verdict(&parts, &body).is_err());
        }
    }

    #[test]
    fn any_head_is_judged_without_panic(
        authorization in prop::option::of("AWS4-HMAC-SHA256 [ -~]{0,120}|[ -~]{0,40}"),
        date in "[0-9TZ]{14,17}",
        query in "[!$-;=@-_a-z~]{0,60}",
    ) {
        let mut request = Request::builder().uri(format!("/?{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256"));
        if let Some(value) = authorization {
            request = request.uri("/").header("authorization", value);
        }
        let parts = request.header("x-amz-date", date).body(()).unwrap().into_parts().0;
        prop_assert!(verdict(&parts, b"").is_err());
    }

    #[test]
    fn whatever_claims_to_be_signed_is_judged_without_panic_and_refused(
        target in "/[a-zA-Z0-9%:/._~-]{0,40}(\\?([a-zA-Z-]{0,20}=[a-zA-Z0-9%/]{0,20}&?){0,5})?",
        authorization in "AWS4-HMAC-SHA256 (Credential=[a-zA-Z0-9/_-]{0,60}, ?|SignedHeaders=[a-z;-]{0,30}, ?|Signature=[0-9a-f]{0,64},?|[ -~]{0,20}){0,5}",
        date in "[0-9]{8}T[0-9]{6}Z|[ -~]{0,20}",
        hash in "UNSIGNED-PAYLOAD|[0-9a-f]{64}|[ -~]{0,20}",
    ) {
        let request = Request::builder()
            .uri(target)
            .header("host", "localhost")
            .header("authorization", authorization)
            .header("x-amz-date", date)
            .header("x-amz-content-sha256", hash)
            .body(());
        // What is no URI or header value never gets this far.
        let Ok(request) = request else { return Ok(()) };
        let (parts, ()) = request.into_parts();
        if let Ok(Some(signed)) = SigV4Request::parse(&parts) {
            let secret = SecretString::from("secret");
            let judged = signed.verify(&parts, &secret, signed.signed_at(), &HostAliases::default());
            prop_assert!(judged.and_then(|check| check.finish_with(b"")).is_err());
        }
    }
}
