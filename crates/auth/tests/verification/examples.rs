use aws_sigv4::http_request::SignableBody;
use coracle_auth::{AuthError, HostAliases, Payload, SigV4Request};
use http::{HeaderValue, Request};
use secrecy::SecretString;

use crate::draft::{ACCESS_KEY, Draft, INVOCATION, SECRET, at, verdict, verdict_at};

#[test]
fn the_claims_of_both_forms_are_read() {
    for presigned in [None, Some(300)] {
        let (parts, _) = Draft {
            presigned,
            ..Draft::get(INVOCATION)
        }
        .sign();
        let request = SigV4Request::parse(&parts).unwrap().unwrap();
        assert_eq!(request.access_key().as_str(), ACCESS_KEY);
        assert_eq!(request.region().as_str(), "eu-west-1");
        assert_eq!(request.service(), "bedrock-agentcore");
        assert_eq!(request.signed_at(), at(0));
        assert_eq!(request.is_presigned(), presigned.is_some());
        assert_eq!(*request.payload(), Payload::Computed);
    }
}

#[test]
fn requests_without_a_signature_are_not_ours() {
    for authorization in [
        None,
        Some("Bearer abc"),
        Some("AWS AKID:c2ln"),
        Some("Basic YTpi"),
    ] {
        let mut request = Request::builder().uri("/?X-Amz-Date=x");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        assert!(
            SigV4Request::parse(&parts).unwrap().is_none(),
            "{authorization:?}"
        );
    }
}

#[test]
fn two_ways_of_authentication_are_refused() {
    let (mut parts, body) = Draft {
        presigned: Some(300),
        ..Draft::get("/")
    }
    .sign();
    parts
        .headers
        .insert("authorization", HeaderValue::from_static("Bearer abc"));
    assert_eq!(verdict(&parts, &body), Err(AuthError::Ambiguous));
}

#[test]
fn what_cannot_be_read_is_an_incomplete_signature() {
    let (good, _) = Draft::get("/").sign();
    let authorization = good.headers["authorization"].to_str().unwrap().to_owned();
    let bad = [
        authorization.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        authorization.replace("host;", ""),
        authorization.replace("host;x-amz-date", "x-amz-date;host"),
        authorization.replace("host;", "host;host;"),
        authorization.replace("host;", "Host;"),
        authorization.replace("aws4_request", "aws5_request"),
        authorization.replace("/eu-west-1", ""),
        authorization.replace("Signature=", "Sig="),
        format!("{authorization}, Signature=00"),
        "AWS4-HMAC-SHA256".to_owned(),
        format!("AWS4-HMAC-SHA256 {}", "a".repeat(20_000)),
    ];
    for value in bad {
        let mut parts = good.clone();
        parts.headers.insert("authorization", value.parse().unwrap());
        let error = verdict(&parts, b"").unwrap_err();
        assert_eq!(
            (error.code(), error.status().as_u16()),
            ("IncompleteSignatureException", 400),
            "{value:.80}"
        );
    }
    let mut parts = good;
    parts.headers.remove("x-amz-date");
    assert_eq!(
        verdict(&parts, b"").unwrap_err().code(),
        "IncompleteSignatureException"
    );
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let (parts, body) = Draft::get("/").sign();
    let verdict = |seconds| verdict_at(&parts, &body, at(seconds), &HostAliases::default());
    assert_eq!((verdict(300), verdict(-300)), (Ok(()), Ok(())));
    let old = verdict(301).unwrap_err();
    assert_eq!(old.code(), "InvalidSignatureException");
    assert_eq!(
        old.to_string(),
        "Signature expired: 20261121T100000Z is now earlier than 20261121T100001Z (20261121T100501Z - 5 min.)"
    );
    let new = verdict(-301).unwrap_err();
    assert!(
        new.to_string()
            .starts_with("Signature not yet current: 20261121T100000Z"),
        "{new}"
    );
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let (parts, body) = Draft {
        presigned: Some(3600),
        ..Draft::get(INVOCATION)
    }
    .sign();
    let verdict = |seconds| verdict_at(&parts, &body, at(seconds), &HostAliases::default());
    assert_eq!((verdict(3600), verdict(-300)), (Ok(()), Ok(())));
    assert_eq!(verdict(3601).unwrap_err().code(), "ExpiredTokenException");
    assert!(matches!(verdict(-301), Err(AuthError::TooNew { .. })));
}

#[test]
fn a_presigned_url_cannot_live_longer_than_a_week() {
    let (mut parts, body) = Draft {
        presigned: Some(300),
        ..Draft::get("/")
    }
    .sign();
    let target = parts
        .uri
        .to_string()
        .replace("X-Amz-Expires=300", "X-Amz-Expires=604801");
    parts.uri = target.parse().unwrap();
    assert_eq!(
        verdict(&parts, &body).unwrap_err().code(),
        "IncompleteSignatureException"
    );
}

#[test]
fn the_scope_must_be_of_the_day_of_the_signature() {
    let (mut parts, body) = Draft::get("/").sign();
    parts
        .headers
        .insert("x-amz-date", HeaderValue::from_static("20261122T000000Z"));
    let now = "2026-11-22T00:00:00Z".parse().unwrap();
    assert_eq!(
        verdict_at(&parts, &body, now, &HostAliases::default()),
        Err(AuthError::ScopeDate)
    );
}

#[test]
fn the_host_may_be_signed_without_its_port_or_under_an_alias() {
    let aliases = HostAliases::new(["bedrock-agentcore.eu-west-1.amazonaws.com".to_owned()]);
    for (signed, sent, accepted) in [
        ("localhost", "localhost:4580", true),
        ("localhost:4580", "localhost", false),
        ("[::1]", "[::1]:4580", true),
        ("example.com", "EXAMPLE.com:80", true),
        ("bedrock-agentcore.eu-west-1.amazonaws.com", "10.0.0.7:4580", true),
        ("elsewhere.com", "localhost:4580", false),
    ] {
        for presigned in [None, Some(300)] {
            let (mut parts, body) = Draft {
                host: signed,
                presigned,
                ..Draft::get(INVOCATION)
            }
            .sign();
            parts.headers.insert("host", HeaderValue::from_static(sent));
            let verdict = verdict_at(&parts, &body, at(0), &aliases);
            assert_eq!(
                verdict.is_ok(),
                accepted,
                "signed for {signed}, sent to {sent}: {verdict:?}"
            );
        }
    }
}

#[test]
fn each_of_several_host_headers_is_tried() {
    let (mut parts, body) = Draft {
        host: "agents.test",
        ..Draft::get(INVOCATION)
    }
    .sign();
    parts
        .headers
        .insert("host", HeaderValue::from_static("127.0.0.1:4580"));
    parts
        .headers
        .append("host", HeaderValue::from_static("agents.test"));
    assert_eq!(verdict(&parts, &body), Ok(()));
}

#[test]
fn a_signed_header_must_be_there_and_others_are_free() {
    let draft = Draft {
        headers: vec![("x-custom", "1".to_owned())],
        ..Draft::get("/")
    };
    let (mut parts, body) = draft.sign();
    parts
        .headers
        .insert("traceparent", HeaderValue::from_static("added on the way"));
    assert_eq!(verdict(&parts, &body), Ok(()));
    parts.headers.remove("x-custom");
    assert_eq!(verdict(&parts, &body), Err(AuthError::Mismatch));
}

#[test]
fn a_sent_body_hash_proves_the_caller_before_the_body_is_read() {
    let mut draft = Draft {
        method: "POST",
        body: b"hello".to_vec(),
        ..Draft::get(INVOCATION)
    };
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    draft.headers.push(("x-amz-content-sha256", hash.to_owned()));
    let (parts, body) = draft.sign();
    let request = SigV4Request::parse(&parts).unwrap().unwrap();
    let start = || {
        request
            .verify(
                &parts,
                &SecretString::from(SECRET),
                at(0),
                &HostAliases::default(),
            )
            .unwrap()
    };
    assert!(start().is_authentic());
    assert_eq!(start().finish_with(&body), Ok(()));
    assert_eq!(start().finish_with(b"hellO"), Err(AuthError::BodyMismatch));
}

#[test]
fn an_unsigned_payload_leaves_the_body_open() {
    let mut draft = Draft {
        method: "PUT",
        service: "s3",
        ..Draft::get("/bucket/a//b%3Ac")
    };
    draft
        .headers
        .push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD".to_owned()));
    let (parts, _) = draft.sign_body(SignableBody::UnsignedPayload);
    assert_eq!(verdict(&parts, b"anything"), Ok(()));
    let (parts, _) = Draft {
        presigned: Some(300),
        headers: Vec::new(),
        ..draft
    }
    .sign_body(SignableBody::UnsignedPayload);
    assert_eq!(
        *SigV4Request::parse(&parts).unwrap().unwrap().payload(),
        Payload::Unsigned
    );
    assert_eq!(verdict(&parts, b"anything"), Ok(()));
}

#[test]
fn a_streaming_payload_is_named() {
    let mut draft = Draft {
        method: "PUT",
        service: "s3",
        ..Draft::get("/bucket/key")
    };
    draft.headers.push((
        "x-amz-content-sha256",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
    ));
    let (parts, _) = draft.sign_body(SignableBody::StreamingUnsignedPayloadTrailer);
    let request = SigV4Request::parse(&parts).unwrap().unwrap();
    assert_eq!(
        *request.payload(),
        Payload::Streaming("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned())
    );
    assert_eq!(verdict(&parts, b"chunks"), Ok(()));
}

#[test]
fn only_s3_takes_a_payload_in_signed_pieces() {
    let mut draft = Draft {
        method: "POST",
        ..Draft::get(INVOCATION)
    };
    let kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    draft.headers.push(("x-amz-content-sha256", kind.to_owned()));
    let (parts, _) = draft.sign_body(SignableBody::Precomputed(kind.to_owned()));
    let error = verdict(&parts, b"chunks").unwrap_err();
    assert_eq!(error.code(), "IncompleteSignatureException");
}

#[test]
fn text_that_is_no_signature_does_not_match() {
    let (good, _) = Draft::get("/").sign();
    let authorization = good.headers["authorization"].to_str().unwrap().to_owned();
    let (rest, signature) = authorization.split_once("Signature=").unwrap();
    for bad in [
        "",
        "0",
        "no hexadecimal digits",
        &signature[1..],
        &format!("0{signature}"),
        &signature.to_uppercase(),
    ] {
        let mut parts = good.clone();
        let value = format!("{rest}Signature={bad}");
        parts.headers.insert("authorization", value.parse().unwrap());
        assert_eq!(verdict(&parts, b""), Err(AuthError::Mismatch), "{bad}");
    }
}

#[test]
fn a_scope_without_a_region_is_named() {
    let (mut parts, _) = Draft::get("/").sign();
    let authorization = parts.headers["authorization"].to_str().unwrap().to_owned();
    let elsewhere = authorization.replace("/eu-west-1/", "/EU West/");
    parts.headers.insert("authorization", elsewhere.parse().unwrap());
    let error = verdict(&parts, b"").unwrap_err();
    assert_eq!(
        (error.code(), error.status().as_u16()),
        ("InvalidSignatureException", 403)
    );
    assert!(error.to_string().contains("region"), "{error}");
}

#[test]
fn a_body_is_judged_at_its_end_however_it_is_cut() {
    let draft = Draft {
        method: "POST",
        body: vec![7; 100_000],
        ..Draft::get(INVOCATION)
    };
    let (parts, body) = draft.sign();
    let request = SigV4Request::parse(&parts).unwrap().unwrap();
    let mut check = request
        .verify(
            &parts,
            &SecretString::from(SECRET),
            at(0),
            &HostAliases::default(),
        )
        .unwrap();
    assert!(!check.is_authentic());
    body.chunks(4096).for_each(|chunk| check.update(chunk));
    assert_eq!(check.finish(), Ok(()));
}
