//! What is wrong with a request is said completely, in the service's style, and without repeating secrets.

use coracle_types::SessionId;
use coracle_wire::data::operations::InvokeAgentRuntime;
use coracle_wire::{Error, ErrorCode, FieldErrors, ValidationReason, parse_head, route};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{Exchange, exchange};

fn valid() -> Value {
    json!({
        "agentRuntimeName": "hello",
        "agentRuntimeArtifact": {"codeConfiguration": {
            "code": {"s3": {"bucket": "agents", "prefix": "hello.zip"}},
            "runtime": "PYTHON_3_13",
            "entryPoint": ["main.py"],
        }},
        "roleArn": "arn:aws:iam::000000000000:role/agent",
    })
}

fn put(body: &str) -> Exchange {
    let request = http::Request::builder()
        .method("PUT")
        .uri("/runtimes/")
        .body(body)
        .unwrap();
    let answer = json!({
        "agentRuntimeArn": "arn",
        "agentRuntimeId": "hello-AbCdEf0123",
        "agentRuntimeVersion": "1",
        "createdAt": "2026-11-21T03:17:15Z",
        "status": "CREATING",
    });
    exchange(request, answer)
}

/// The valid body with the member at a JSON pointer replaced, or removed if `value` is null.
fn create_with(changes: &[(&str, Value)]) -> Exchange {
    let mut body = valid();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(name);
        } else {
            parent.insert(name.to_owned(), value.clone());
        }
    }
    put(&body.to_string())
}

fn fields(exchange: &Exchange) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let body = exchange.body();
    let list = body["fieldList"].as_array().unwrap();
    list.iter()
        .map(|field| (text(&field["name"]), text(&field["message"])))
        .collect()
}

#[test]
fn each_broken_constraint_is_named() {
    let code = "/agentRuntimeArtifact/codeConfiguration";
    let cases: Vec<(String, Value, &str, &str)> = vec![
        (
            "/agentRuntimeName".into(),
            json!("my-agent"),
            "agentRuntimeName",
            "Member must satisfy regular expression pattern: [a-zA-Z][a-zA-Z0-9_]{0,47}",
        ),
        (
            "/agentRuntimeName".into(),
            json!("a".repeat(49)),
            "agentRuntimeName",
            "pattern",
        ),
        (
            "/agentRuntimeName".into(),
            json!("hello\n"),
            "agentRuntimeName",
            "pattern",
        ),
        (
            "/agentRuntimeName".into(),
            json!(7),
            "agentRuntimeName",
            "Member must be a string",
        ),
        (
            "/agentRuntimeName".into(),
            Value::Null,
            "agentRuntimeName",
            "Member must not be null",
        ),
        (
            format!("{code}/runtime"),
            json!("RUBY_4"),
            "agentRuntimeArtifact.codeConfiguration.runtime",
            "Member must satisfy enum value set: [PYTHON_3_10, ",
        ),
        (
            format!("{code}/entryPoint"),
            json!([]),
            "agentRuntimeArtifact.codeConfiguration.entryPoint",
            "Member must have length greater than or equal to 1",
        ),
        (
            format!("{code}/entryPoint"),
            json!(["a", "b", "c"]),
            "agentRuntimeArtifact.codeConfiguration.entryPoint",
            "Member must have length less than or equal to 2",
        ),
        (
            format!("{code}/entryPoint"),
            json!(["a", null]),
            "agentRuntimeArtifact.codeConfiguration.entryPoint.2",
            "Member must not be null",
        ),
        (
            format!("{code}/entryPoint"),
            json!(["é".repeat(129)]),
            "agentRuntimeArtifact.codeConfiguration.entryPoint.1",
            "Member must have length less than or equal to 128",
        ),
        (
            format!("{code}/code"),
            json!({}),
            "agentRuntimeArtifact.codeConfiguration.code",
            "Member must have exactly one of these set: [s3]",
        ),
        (
            "/agentRuntimeArtifact".into(),
            json!({}),
            "agentRuntimeArtifact",
            "AgentArtifact must have exactly one configuration",
        ),
        (
            "/agentRuntimeArtifact".into(),
            json!([]),
            "agentRuntimeArtifact",
            "Member must be an object",
        ),
        (
            "/agentRuntimeArtifact/containerConfiguration".into(),
            json!({"containerUri": "x"}),
            "agentRuntimeArtifact",
            "AgentArtifact must have exactly one configuration",
        ),
        (
            "/lifecycleConfiguration".into(),
            json!({"maxLifetime": 59}),
            "lifecycleConfiguration.maxLifetime",
            "Member must have value greater than or equal to 60",
        ),
        (
            "/lifecycleConfiguration".into(),
            json!({"maxLifetime": 1_209_601}),
            "lifecycleConfiguration.maxLifetime",
            "Member must have value less than or equal to 1209600",
        ),
        (
            "/lifecycleConfiguration".into(),
            json!({"maxLifetime": 60.5}),
            "lifecycleConfiguration.maxLifetime",
            "Member must be an integer of 32 bits",
        ),
        (
            "/lifecycleConfiguration".into(),
            json!({"maxLifetime": 5_000_000_000_u64}),
            "lifecycleConfiguration.maxLifetime",
            "Member must be an integer of 32 bits",
        ),
        (
            "/networkConfiguration".into(),
            json!({"networkMode": "VPC", "networkModeConfig": {"securityGroups": ["sg-1"], "subnets": ["subnet-01234567"]}}),
            "networkConfiguration.networkModeConfig.securityGroups.1",
            "pattern",
        ),
        (
            "/networkConfiguration".into(),
            json!({"networkMode": "VPC", "networkModeConfig": {"securityGroups": ["sg-01234567"], "subnets": ["subnet-01234567"], "requireServiceS3Endpoint": "yes"}}),
            "networkConfiguration.networkModeConfig.requireServiceS3Endpoint",
            "Member must be true or false",
        ),
        ("/tags".into(), json!({"team": "a*"}), "tags.team", "pattern"),
        (
            "/allowedPorts".into(),
            json!([{"port": 8000, "portRange": {"from": 8000, "to": 8001}}]),
            "allowedPorts.1",
            "exactly one",
        ),
        (
            "/clientToken".into(),
            json!("short"),
            "clientToken",
            "Member must have length greater than or equal to 33",
        ),
    ];
    for (pointer, value, name, message) in cases {
        let exchange = create_with(&[(&pointer, value.clone())]);
        assert_eq!(
            exchange.response.status(),
            400,
            "{pointer} = {value} was accepted"
        );
        assert_eq!(exchange.header("x-amzn-errortype"), "ValidationException");
        assert_eq!(exchange.body()["reason"], "FieldValidationFailed");
        let found = fields(&exchange);
        assert_eq!(found.len(), 1, "{pointer} = {value}: {found:?}");
        assert_eq!(found[0].0, name);
        assert!(found[0].1.contains(message), "{pointer} = {value}: {found:?}");
        assert!(exchange.input.is_none(), "the handler was called");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let exchange = create_with(&[
        ("/agentRuntimeName", json!("my-agent")),
        ("/roleArn", Value::Null),
        (
            "/agentRuntimeArtifact/codeConfiguration/runtime",
            json!("PYTHON_2_7"),
        ),
    ]);
    let names: Vec<String> = fields(&exchange).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "agentRuntimeName",
            "agentRuntimeArtifact.codeConfiguration.runtime",
            "roleArn"
        ]
    );
    let body = exchange.body();
    let message = body["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "3 validation errors detected: Value at 'agentRuntimeName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z][a-zA-Z0-9_]{0,47}; Value at "
        ),
        "{message}"
    );
}

#[test]
fn secrets_are_not_repeated() {
    let exchange = create_with(&[
        (
            "/environmentVariables",
            json!({"SECRET_NAME": "s3cr3t".repeat(1000), "": 5}),
        ),
        ("/description", json!("x".repeat(5000))),
    ]);
    let text = String::from_utf8_lossy(exchange.response.body()).into_owned();
    assert_eq!(exchange.response.status(), 400);
    for secret in ["s3cr3t", "SECRET_NAME", "xxxx"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(fields(&exchange).contains(&(
        "environmentVariables".to_owned(),
        "Member must have length less than or equal to 5000".to_owned()
    )));
}

#[test]
fn the_answer_stays_small_however_much_is_wrong() {
    let mut body = valid();
    body["authorizerConfiguration"] = json!({"customJWTAuthorizer": {
        "discoveryUrl": "https://id.example.com/.well-known/openid-configuration",
        "allowedAudience": vec![0; 10_000],
    }});
    let exchange = put(&body.to_string());
    assert_eq!(fields(&exchange).len(), 100);
    assert!(
        exchange.body()["message"]
            .as_str()
            .unwrap()
            .starts_with("10000 validation errors detected: ")
    );
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_invalid() {
    let too_large = " ".repeat(2_000_000);
    for body in [
        "{",
        "[]",
        "null",
        r#""text""#,
        r#"{"roleArn":"a","roleArn":"b"}"#,
        &too_large,
    ] {
        let exchange = put(body);
        assert_eq!(exchange.response.status(), 400, "{body:.20}");
        assert_eq!(exchange.body()["reason"], "CannotParse", "{body:.20}");
        assert!(exchange.body().get("fieldList").is_none());
    }
    assert_eq!(put("").body()["reason"], "FieldValidationFailed");
}

#[test]
fn unknown_and_null_members_are_ignored_even_in_unions() {
    let exchange = create_with(&[
        ("/newMember", json!({"of": "a newer SDK"})),
        ("/agentRuntimeArtifact/__type", json!("x")),
    ]);
    assert_eq!(exchange.response.status(), 202);
    assert_eq!(exchange.input, Some(valid()));

    let mut body = valid();
    body["agentRuntimeArtifact"]["containerConfiguration"] = Value::Null;
    body["description"] = Value::Null;
    assert_eq!(put(&body.to_string()).input, Some(valid()));
}

#[test]
fn any_oci_reference_is_accepted() {
    let mut body = valid();
    let artifact =
        json!({"containerConfiguration": {"containerUri": "registry.example.com:5000/team/agent@sha256:00"}});
    body["agentRuntimeArtifact"] = artifact;
    assert_eq!(put(&body.to_string()).response.status(), 202);
}

#[test]
fn a_body_cannot_replace_what_the_path_says() {
    let mut body = valid();
    body.as_object_mut().unwrap().remove("agentRuntimeName");
    body["agentRuntimeId"] = json!("other-0000000000");
    let body = body.to_string();
    let request = http::Request::builder()
        .method("PUT")
        .uri("/runtimes/hello-AbCdEf0123")
        .body(body.as_str())
        .unwrap();
    let answer = json!({
        "agentRuntimeArn": "arn",
        "agentRuntimeId": "hello-AbCdEf0123",
        "agentRuntimeVersion": "1",
        "createdAt": "2026-11-21T03:17:15Z",
        "lastUpdatedAt": "2026-11-21T03:17:15Z",
        "status": "UPDATING",
    });
    assert_eq!(
        exchange(request, answer).input.unwrap()["agentRuntimeId"],
        "hello-AbCdEf0123"
    );
}

#[test]
fn paths_queries_and_headers_are_validated_together() {
    let target = "/runtimes/no-id/versions/?maxResults=many&nextToken=a%20b";
    let request = http::Request::builder()
        .method("POST")
        .uri(target)
        .body("")
        .unwrap();
    let found = fields(&exchange(request, Value::Null));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["agentRuntimeId", "maxResults", "nextToken"]);
    assert_eq!(found[1].1, "Member must be an integer of 32 bits");

    for (target, name, message) in [
        (
            "/runtimes/?maxResults=0",
            "maxResults",
            "Member must have value greater than or equal to 1",
        ),
        (
            "/runtimes/?maxResults=101",
            "maxResults",
            "Member must have value less than or equal to 100",
        ),
        (
            "/runtimes/?maxResults=1&maxResults=2",
            "maxResults",
            "Member must be given only once",
        ),
        ("/runtimes/?nextToken=%ff", "nextToken", "Member must be UTF-8"),
    ] {
        let request = http::Request::builder()
            .method("POST")
            .uri(target)
            .body("")
            .unwrap();
        let found = fields(&exchange(request, Value::Null));
        assert_eq!(found, [(name.to_owned(), message.to_owned())], "{target}");
    }
}

fn invoke_with_sessions(sessions: &[&[u8]]) -> Result<(), Error> {
    let mut request = http::Request::builder()
        .method("POST")
        .uri("/runtimes/hello-AbCdEf0123/invocations");
    for session in sessions {
        request = request.header("x-amzn-bedrock-agentcore-runtime-session-id", *session);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let route = route(&parts.method, &parts.uri.to_string()).unwrap();
    parse_head::<InvokeAgentRuntime>(&route.labels, &parts).map(drop)
}

#[test]
fn two_session_ids_are_refused() {
    let error = invoke_with_sessions(&[&[b'a'; 40], &[b'b'; 40]]).unwrap_err();
    assert_eq!(error.fields()[0].name, "runtimeSessionId");
    assert_eq!(error.fields()[0].message, "Member must be given only once");
}

#[test]
fn a_session_to_stop_must_be_named() {
    let request = http::Request::builder()
        .method("POST")
        .uri("/runtimes/x/stopruntimesession")
        .body("")
        .unwrap();
    let found = fields(&exchange(request, Value::Null));
    assert_eq!(
        found,
        [(
            "runtimeSessionId".to_owned(),
            "Member must not be null".to_owned()
        )]
    );
}

#[test]
fn rules_across_members_are_reported_like_the_rest() {
    let mut errors = FieldErrors::new();
    assert!(errors.is_empty());
    let text = "idleRuntimeSessionTimeout must be less than or equal to maxLifeTime";
    errors.push("lifecycleConfiguration.idleRuntimeSessionTimeout", text);
    let error = errors.into_result().unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (
            ErrorCode::Validation,
            Some(ValidationReason::FieldValidationFailed)
        )
    );
    assert!(error.message().contains(text));
    assert!(FieldErrors::new().into_result().is_ok());
}

proptest! {
    /// The pattern given to the shape in `operations.toml` and the domain type agree, so that what validation lets
    /// through always becomes a typed input.
    #[test]
    fn session_ids_are_valid_exactly_if_the_domain_says_so(session in "[ -~]{30,40}|[!-~]{250,260}|.{33,40}") {
        prop_assume!(!session.chars().any(char::is_control));
        let valid = session.parse::<SessionId>().is_ok();
        match invoke_with_sessions(&[session.as_bytes()]) {
            Ok(()) => prop_assert!(valid),
            Err(error) => {
                prop_assert!(!valid, "{error}");
                prop_assert_eq!(error.code(), ErrorCode::Validation);
            }
        }
    }

    #[test]
    fn any_body_gets_an_answer(body in ".{0,200}") {
        prop_assert_eq!(put(&body).response.status(), 400);
    }

    #[test]
    fn a_valid_body_with_anything_in_one_member_never_fails_inside(
        member in prop::sample::select(vec!["agentRuntimeName", "protocolConfiguration", "platformVersion", "clientToken"]),
        text in ".{0,60}",
        number in any::<i64>(),
    ) {
        for value in [json!(text), json!(number), json!({"serverProtocol": text, "port": number})] {
            let status = create_with(&[(&format!("/{member}"), value)]).response.status();
            prop_assert!(status == 400 || status == 202, "{}", status);
        }
    }
}
