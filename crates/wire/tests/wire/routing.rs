//! Which request reaches which operation, with which labels.

use coracle_wire::{Error, ErrorCode, OPERATIONS, RouteError, Service, match_path, route, route_in};
use http::Method;
use proptest::prelude::*;

const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";

fn escape(text: &str, lower: bool) -> String {
    let escaped = text.replace(':', "%3A").replace('/', "%2F");
    if lower {
        escaped.replace("%3A", "%3a").replace("%2F", "%2f")
    } else {
        escaped
    }
}

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

/// The path of an operation with every label set to something.
fn example(uri: &str) -> String {
    let segments = uri.split('/').map(|segment| {
        if segment.starts_with('{') {
            "some-label"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn every_operation_of_the_model_is_found_by_its_own_path() {
    for operation in OPERATIONS {
        let path = example(operation.uri);
        let without_slash = path.trim_end_matches('/');
        for target in [without_slash.to_owned(), format!("{without_slash}/?a=b")] {
            let found = match route(&method(operation.method), &target) {
                Ok(route) => route.operation.name,
                Err(RouteError::NotImplemented(name)) => name,
                Err(error) => panic!("{} {target}: {error}", operation.method),
            };
            assert_eq!(found, operation.name, "{} {target}", operation.method);
        }
    }
}

#[test]
fn what_is_not_implemented_is_named_in_the_answer() {
    let error = Error::from(route(&Method::POST, "/memories/create").unwrap_err());
    assert_eq!(
        (error.code(), error.status().as_u16()),
        (ErrorCode::UnknownOperation, 404)
    );
    assert!(error.message().contains("CreateMemory"), "{error}");

    for (method, target) in [
        (Method::GET, "/"),
        (Method::PATCH, "/runtimes/"),
        (Method::GET, "/runtimes//"),
        (Method::POST, "/runtimes//invocations"),
        (Method::GET, "/runtimes/a/b/c"),
        (Method::POST, "runtimes%2F"),
    ] {
        assert_eq!(
            route(&method, target).unwrap_err(),
            RouteError::Unknown,
            "{method} {target}"
        );
    }
    assert_eq!(
        route(&Method::GET, "/runtimes/%ff/").unwrap_err(),
        RouteError::NotUtf8
    );
}

#[test]
fn operations_that_share_a_path_are_told_by_their_method() {
    let name = |method: Method, target: &str| route(&method, target).unwrap().operation.name;
    assert_eq!(name(Method::PUT, "/runtimes"), "CreateAgentRuntime");
    assert_eq!(name(Method::POST, "/runtimes/"), "ListAgentRuntimes");
    assert_eq!(
        name(Method::PUT, "http://127.0.0.1:4580/runtimes/?x=/y"),
        "CreateAgentRuntime"
    );
    assert_eq!(
        name(Method::POST, "/runtimes/hello-AbCdEf0123/versions"),
        "ListAgentRuntimeVersions"
    );
    assert_eq!(
        name(Method::POST, "/runtimes/hello-AbCdEf0123/invocations/"),
        "InvokeAgentRuntime"
    );
}

#[test]
fn a_service_is_only_searched_for_its_own_operations() {
    assert!(route_in(Service::Control, &Method::PUT, "/runtimes/").is_ok());
    assert_eq!(
        route_in(Service::Data, &Method::PUT, "/runtimes/").unwrap_err(),
        RouteError::Unknown
    );
}

#[test]
fn paths_outside_the_model_match_by_the_same_rules() {
    const WS: &str = "/runtimes/{agentRuntimeArn}/ws";
    for target in [
        format!("/runtimes/{ARN}/ws"),
        format!("/runtimes/{}/ws/?qualifier=a", escape(ARN, false)),
    ] {
        assert_eq!(
            match_path(WS, &target).unwrap().get("agentRuntimeArn"),
            Some(ARN),
            "{target}"
        );
    }
    assert_eq!(match_path(WS, "/runtimes/x/y/ws"), Err(RouteError::Unknown));
    assert_eq!(match_path(WS, "/runtimes/x/ws/shells"), Err(RouteError::Unknown));
}

#[test]
fn a_label_is_decoded_once() {
    let route = route(&Method::GET, "/runtimes/a%2541/").unwrap();
    assert_eq!(route.labels.get("agentRuntimeId"), Some("a%41"));
}

proptest! {
    #[test]
    fn no_target_panics(target in "(/|%2F|%3a|[a-z:{}%?#.]|runtimes|invocations|arn:|\\PC){0,30}", name in "GET|PUT|POST|DELETE") {
        drop(route(&method(&name), &target));
    }

    #[test]
    fn an_arn_means_the_same_however_it_is_encoded(
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        id in "[a-zA-Z][a-zA-Z0-9_]{0,20}-[a-zA-Z0-9]{10}",
        endpoint in prop::option::of("[a-zA-Z][a-zA-Z0-9_]{0,20}"),
        verb in "invocations|stopruntimesession",
        slash in "/?",
    ) {
        let endpoint = endpoint.map(|name| format!("/runtime-endpoint/{name}")).unwrap_or_default();
        let arn = format!("arn:aws:bedrock-agentcore:{region}:000000000000:runtime/{id}{endpoint}");
        let colons_only = arn.replace(':', "%3A");
        for form in [arn.clone(), escape(&arn, false), escape(&arn, true), colons_only] {
            let route = route(&Method::POST, &format!("/runtimes/{form}/{verb}{slash}?qualifier=x")).unwrap();
            prop_assert_eq!(route.labels.get("agentRuntimeArn"), Some(arn.as_str()));
        }
    }
}
