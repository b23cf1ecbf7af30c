//! For each implemented operation, a request as boto3 sends it, what the handler gets, and what boto3 gets back.

use coracle_types::{ResourceStatus, RuntimeKind, VersionNumber};
use coracle_wire::control::{self, AgentRuntimeArtifact, Code, CreateAgentRuntimeRequest};
use coracle_wire::data::operations::InvokeAgentRuntime;
use coracle_wire::data::{InvokeAgentRuntimeResponse, Streaming};
use coracle_wire::{OperationId, Sensitive, parse_head, respond, response_head, route};
use serde_json::{Value, json};

use crate::exchange::{Exchange, exchange};

const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/hello-AbCdEf0123";
const ARN_ESCAPED: &str =
    "arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A000000000000%3Aruntime%2Fhello-AbCdEf0123";
const TOKEN: &str = "0a1b2c3d-0000-4000-8000-000000000000";
const SESSION: &str = "session-0123456789-0123456789-0123456789";
const NOW: &str = "2026-11-21T03:17:15.123456Z";

fn request<'a>(method: &str, target: &str, body: &'a str) -> http::Request<&'a str> {
    http::Request::builder()
        .method(method)
        .uri(target)
        .body(body)
        .unwrap()
}

/// Sends a request and checks that the handler's answer arrives whole, under this status.
fn succeeds(method: &str, target: &str, body: &Value, status: u16, answer: &Value) -> Exchange {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let exchange = exchange(request(method, target, &body), answer.clone());
    assert_eq!(
        exchange.response.status(),
        status,
        "{:?}",
        exchange.response.body()
    );
    assert_eq!(exchange.header("content-type"), "application/json");
    assert_eq!(exchange.body(), *answer);
    exchange
}

fn artifact() -> Value {
    json!({"codeConfiguration": {
        "code": {"s3": {"bucket": "agents", "prefix": "hello.zip"}},
        "runtime": "PYTHON_3_13",
        "entryPoint": ["opentelemetry-instrument", "main.py"],
    }})
}

fn full_configuration() -> Value {
    json!({
        "agentRuntimeArtifact": artifact(),
        "roleArn": "arn:aws:iam::000000000000:role/agent",
        "networkConfiguration": {"networkMode": "PUBLIC"},
        "clientToken": TOKEN,
        "description": "says hello",
        "authorizerConfiguration": {"customJWTAuthorizer": {
            "discoveryUrl": "https://id.example.com/.well-known/openid-configuration",
            "allowedScopes": ["agent/run"],
        }},
        "requestHeaderConfiguration": {"requestHeaderAllowlist": ["Authorization"]},
        "protocolConfiguration": {"serverProtocol": "AGUI", "port": 8080, "path": "/invocations"},
        "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 60, "maxLifetime": 1_209_600},
        "hooksConfiguration": {"build": {"warmup": {"action": {"httpPost": {"path": "/warm"}}}}},
        "environmentVariables": {"API_KEY": "hush"},
        "filesystemConfigurations": [{"sessionStorage": {"mountPath": "/mnt/data"}}],
        "platformVersion": "V2",
        "allowedPorts": [{"port": 8000}, {"portRange": {"from": 9000, "to": 9100}}],
        "resourceConfigurations": [{"minimumMemoryInMiB": 512}],
    })
}

fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else {
        panic!("not an object")
    };
    object.as_object_mut().unwrap().extend(members);
    object
}

#[test]
fn create_agent_runtime() {
    let body = with(
        full_configuration(),
        json!({"agentRuntimeName": "hello", "tags": {"team": "a b"}}),
    );
    let answer = json!({
        "agentRuntimeArn": ARN,
        "agentRuntimeId": "hello-AbCdEf0123",
        "agentRuntimeVersion": "1",
        "createdAt": NOW,
        "status": "CREATING",
        "workloadIdentityDetails": {"workloadIdentityArn": "arn:aws:bedrock-agentcore:x"},
    });
    let exchange = succeeds("PUT", "/runtimes/", &body, 202, &answer);
    assert_eq!(exchange.input, Some(body));
}

#[test]
fn a_typed_request_hides_what_is_sensitive() {
    let body = with(full_configuration(), json!({"agentRuntimeName": "hello"}));
    let input: CreateAgentRuntimeRequest = serde_json::from_value(body).unwrap();
    let AgentRuntimeArtifact::CodeConfiguration(code) = &input.agent_runtime_artifact else {
        panic!("not a code artifact");
    };
    let Code::S3(object) = &code.code;
    assert_eq!(
        (object.bucket.as_str(), code.runtime),
        ("agents", RuntimeKind::Python313)
    );
    assert_eq!(input.environment_variables.as_deref().unwrap()["API_KEY"], "hush");
    let debug = format!("{input:?}");
    assert!(
        debug.contains("agents") && !debug.contains("hush") && !debug.contains("says hello"),
        "{debug}"
    );
}

#[test]
fn a_typed_response_is_what_the_model_says() {
    let response = control::CreateAgentRuntimeResponse {
        agent_runtime_arn: ARN.to_owned(),
        workload_identity_details: None,
        agent_runtime_id: "hello-AbCdEf0123".parse().unwrap(),
        agent_runtime_version: VersionNumber::FIRST,
        created_at: NOW.parse().unwrap(),
        status: ResourceStatus::Creating,
    };
    let response = respond::<control::operations::CreateAgentRuntime>(&response).unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(
        serde_json::from_slice::<Value>(response.body()).unwrap(),
        json!({
            "agentRuntimeArn": ARN,
            "agentRuntimeId": "hello-AbCdEf0123",
            "agentRuntimeVersion": "1",
            "createdAt": NOW,
            "status": "CREATING",
        })
    );
}

#[test]
fn update_agent_runtime() {
    let body = with(
        full_configuration(),
        json!({"metadataConfiguration": {"requireMMDSV2": true}}),
    );
    let answer = json!({
        "agentRuntimeArn": ARN,
        "agentRuntimeId": "hello-AbCdEf0123",
        "agentRuntimeVersion": "2",
        "createdAt": NOW,
        "lastUpdatedAt": NOW,
        "status": "UPDATING",
    });
    let exchange = succeeds("PUT", "/runtimes/hello-AbCdEf0123/", &body, 202, &answer);
    assert_eq!(
        exchange.input,
        Some(with(body, json!({"agentRuntimeId": "hello-AbCdEf0123"})))
    );
}

#[test]
fn get_agent_runtime() {
    let mut answer = full_configuration();
    answer.as_object_mut().unwrap().remove("clientToken");
    let answer = with(
        answer,
        json!({
            "agentRuntimeArn": ARN,
            "agentRuntimeId": "hello-AbCdEf0123",
            "agentRuntimeName": "hello",
            "agentRuntimeVersion": "12",
            "createdAt": NOW,
            "lastUpdatedAt": NOW,
            "status": "UPDATE_FAILED",
            "failureReason": "the agent did not start",
            "metadataConfiguration": {"requireMMDSV2": true},
        }),
    );
    let exchange = succeeds(
        "GET",
        "/runtimes/hello-AbCdEf0123/?version=12",
        &Value::Null,
        200,
        &answer,
    );
    let input = json!({"agentRuntimeId": "hello-AbCdEf0123", "agentRuntimeVersion": "12"});
    assert_eq!(exchange.input, Some(input));
}

#[test]
fn delete_agent_runtime() {
    let target = format!("/runtimes/hello-AbCdEf0123/?version=2&clientToken={TOKEN}");
    let answer =
        json!({"status": "DELETING", "agentRuntimeId": "hello-AbCdEf0123", "agentRuntimeVersion": "2"});
    let exchange = succeeds("DELETE", &target, &Value::Null, 202, &answer);
    let input =
        json!({"agentRuntimeId": "hello-AbCdEf0123", "agentRuntimeVersion": "2", "clientToken": TOKEN});
    assert_eq!(exchange.input, Some(input));
}

#[test]
fn list_agent_runtimes_and_their_versions() {
    let item = json!({
        "agentRuntimeArn": ARN,
        "agentRuntimeId": "hello-AbCdEf0123",
        "agentRuntimeVersion": "2",
        "agentRuntimeName": "hello",
        "description": "",
        "lastUpdatedAt": NOW,
        "status": "READY",
    });
    let answer = json!({"agentRuntimes": [item], "nextToken": "bmV4dA=="});
    let exchange = succeeds(
        "POST",
        "/runtimes/?maxResults=5&nextToken=a%2Bb%3D",
        &Value::Null,
        200,
        &answer,
    );
    assert_eq!(
        exchange.input,
        Some(json!({"maxResults": 5, "nextToken": "a+b="}))
    );

    let answer = json!({"agentRuntimes": []});
    let exchange = succeeds(
        "POST",
        "/runtimes/hello-AbCdEf0123/versions/",
        &Value::Null,
        200,
        &answer,
    );
    assert_eq!(
        exchange.input,
        Some(json!({"agentRuntimeId": "hello-AbCdEf0123"}))
    );
}

#[test]
fn create_and_update_agent_runtime_endpoint() {
    let mut answer = json!({
        "targetVersion": "2",
        "agentRuntimeEndpointArn": format!("{ARN}/runtime-endpoint/prod"),
        "agentRuntimeArn": ARN,
        "agentRuntimeId": "hello-AbCdEf0123",
        "endpointName": "prod",
        "status": "CREATING",
        "createdAt": NOW,
    });
    let body =
        json!({"name": "prod", "agentRuntimeVersion": "2", "clientToken": TOKEN, "tags": {"tier": "gold"}});
    let target = "/runtimes/hello-AbCdEf0123/runtime-endpoints/";
    let exchange = succeeds("PUT", target, &body, 202, &answer);
    assert_eq!(
        exchange.input,
        Some(with(body, json!({"agentRuntimeId": "hello-AbCdEf0123"})))
    );

    answer = json!({
        "liveVersion": "2",
        "targetVersion": "3",
        "agentRuntimeEndpointArn": format!("{ARN}/runtime-endpoint/prod"),
        "agentRuntimeArn": ARN,
        "status": "UPDATING",
        "createdAt": NOW,
        "lastUpdatedAt": NOW,
    });
    let body = json!({"agentRuntimeVersion": "3", "description": "newer"});
    let exchange = succeeds(
        "PUT",
        "/runtimes/hello-AbCdEf0123/runtime-endpoints/prod/",
        &body,
        202,
        &answer,
    );
    let labels = json!({"agentRuntimeId": "hello-AbCdEf0123", "endpointName": "prod"});
    assert_eq!(exchange.input, Some(with(body, labels)));
}

#[test]
fn get_delete_and_list_agent_runtime_endpoints() {
    let item = json!({
        "name": "prod",
        "liveVersion": "2",
        "targetVersion": "2",
        "agentRuntimeEndpointArn": format!("{ARN}/runtime-endpoint/prod"),
        "agentRuntimeArn": ARN,
        "status": "READY",
        "id": "prod-0123456789",
        "createdAt": NOW,
        "lastUpdatedAt": NOW,
    });
    let target = "/runtimes/hello-AbCdEf0123/runtime-endpoints/prod/";
    let input = json!({"agentRuntimeId": "hello-AbCdEf0123", "endpointName": "prod"});
    assert_eq!(
        succeeds("GET", target, &Value::Null, 200, &item).input.as_ref(),
        Some(&input)
    );

    let answer = json!({"status": "DELETING", "agentRuntimeId": "hello-AbCdEf0123", "endpointName": "prod"});
    assert_eq!(
        succeeds("DELETE", target, &Value::Null, 202, &answer)
            .input
            .as_ref(),
        Some(&input)
    );

    let target = "/runtimes/hello-AbCdEf0123/runtime-endpoints/?maxResults=100";
    let exchange = succeeds(
        "POST",
        target,
        &Value::Null,
        200,
        &json!({"runtimeEndpoints": [item]}),
    );
    assert_eq!(
        exchange.input,
        Some(json!({"agentRuntimeId": "hello-AbCdEf0123", "maxResults": 100}))
    );
}

#[test]
fn stop_runtime_session() {
    let body = json!({"clientToken": TOKEN}).to_string();
    let mut request = request(
        "POST",
        &format!("/runtimes/{ARN_ESCAPED}/stopruntimesession?qualifier=prod"),
        &body,
    );
    let session = SESSION.parse().unwrap();
    request
        .headers_mut()
        .insert("x-amzn-bedrock-agentcore-runtime-session-id", session);
    let exchange = exchange(request, json!({"runtimeSessionId": SESSION, "statusCode": 200}));
    assert_eq!(exchange.response.status(), 200);
    assert_eq!(
        exchange.header("x-amzn-bedrock-agentcore-runtime-session-id"),
        SESSION
    );
    assert_eq!(exchange.response.body(), "{}");
    let input = json!({
        "runtimeSessionId": SESSION,
        "agentRuntimeArn": ARN,
        "qualifier": "prod",
        "clientToken": TOKEN,
    });
    assert_eq!(exchange.input, Some(input));
}

#[test]
fn invoke_agent_runtime() {
    let (parts, ()) = http::Request::builder()
        .method("POST")
        .uri(format!(
            "/runtimes/{ARN_ESCAPED}/invocations?qualifier=DEFAULT&accountId=000000000000"
        ))
        .header("content-type", "application/json")
        .header("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)
        .header("x-amzn-bedrock-agentcore-runtime-user-id", "ann")
        .header("mcp-session-id", "")
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .body(())
        .unwrap()
        .into_parts();
    let route = route(&parts.method, &parts.uri.to_string()).unwrap();
    assert_eq!(
        route.id,
        OperationId::DataStreaming(Streaming::InvokeAgentRuntime)
    );
    let input = parse_head::<InvokeAgentRuntime>(&route.labels, &parts).unwrap();
    assert_eq!(
        serde_json::to_value(&input).unwrap(),
        json!({
            "agentRuntimeArn": ARN,
            "qualifier": "DEFAULT",
            "accountId": "000000000000",
            "contentType": "application/json",
            "runtimeSessionId": SESSION,
            "runtimeUserId": "ann",
            "traceState": "a=1,b=2",
        })
    );

    let output = InvokeAgentRuntimeResponse {
        runtime_session_id: Some(SESSION.to_owned()),
        session_endpoint_url: None,
        mcp_session_id: Some("m".to_owned()),
        mcp_protocol_version: None,
        trace_id: None,
        trace_parent: None,
        trace_state: None,
        baggage: None,
        content_type: "text/event-stream".to_owned(),
        status_code: Some(206),
    };
    let head = response_head::<InvokeAgentRuntime>(&output).unwrap();
    assert_eq!(head.status, 206);
    let headers: Vec<(&str, &str)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(headers.len(), 3, "{headers:?}");
    for header in [
        ("content-type", "text/event-stream"),
        ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION),
        ("mcp-session-id", "m"),
    ] {
        assert!(
            headers.contains(&header),
            "{header:?} is missing from {headers:?}"
        );
    }
}

#[test]
fn a_response_that_cannot_be_said_in_http_is_an_internal_failure() {
    let stop = |session: &str, status: i32| {
        respond::<coracle_wire::data::operations::StopRuntimeSession>(
            &coracle_wire::data::StopRuntimeSessionResponse {
                runtime_session_id: Some(session.to_owned()),
                status_code: Some(status),
            },
        )
    };
    assert_eq!(stop("a\r\nset-cookie: b", 200).unwrap_err().status(), 500);
    assert_eq!(stop("a", -1).unwrap_err().status(), 500);
    assert_eq!(stop("a", 70_000).unwrap_err().status(), 500);
    assert_eq!(*Sensitive::from(1), 1);
}
