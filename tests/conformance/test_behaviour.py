"""What the model cannot say: state machines, repeated requests, pages, accounts, headers, envelopes."""

import http.client
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from suite.raw import Answer, Raw
from suite.server import (
    ACCOUNT,
    COLLEAGUE,
    REGION,
    ROOT,
    SECOND,
    SECOND_ACCOUNT,
    Aws,
    Server,
    new_name,
    new_session,
    until,
)

HEADERS = json.dumps({"do": "headers"}).encode()
OwnServer = Callable[..., Server]


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    """Status and code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def invocations(arn: str) -> str:
    return f"/runtimes/{urllib.parse.quote(arn, safe='')}/invocations"


def raw_of(server: Server, keys: dict[str, str] | None = None, region: str = REGION) -> Raw:
    return Raw(server.url, keys or server.keys(), region)


# State machines


def test_a_runtime_under_way_takes_neither_update_nor_delete(aws: Aws) -> None:
    slow = {"environmentVariables": {"SIMULATED_PREPARE": "refuse:too old"}}
    runtime = aws.create(**slow)["agentRuntimeId"]
    found = aws.settled(runtime)
    assert (found["status"], found["failureReason"]) == ("CREATE_FAILED", "too old")
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    assert refusal(lambda: aws.control.update_agent_runtime(**update)) == (409, "ConflictException")
    default = aws.control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName="DEFAULT")
    assert default["status"] == "CREATE_FAILED"
    assert "liveVersion" not in default
    answer = aws.control.delete_agent_runtime(agentRuntimeId=runtime)
    assert (answer["status"], answer["agentRuntimeId"]) == ("DELETING", runtime)


def test_a_failed_update_leaves_what_is_live_and_can_be_tried_again(aws: Aws) -> None:
    found = aws.deploy()
    runtime = found["agentRuntimeId"]
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    bad = {"environmentVariables": {"SIMULATED_PREPARE": "refuse:broken"}}
    aws.control.update_agent_runtime(**update, **bad)
    assert aws.settled(runtime)["status"] == "UPDATE_FAILED"
    default = aws.control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName="DEFAULT")
    assert (default["status"], default["liveVersion"], default["targetVersion"]) == ("UPDATE_FAILED", "1", "2")
    assert default["failureReason"]
    assert aws.invoke(found["agentRuntimeArn"])["statusCode"] == 200
    aws.control.update_agent_runtime(**update)
    assert aws.settled(runtime)["status"] == "READY"
    default = aws.settled_endpoint(runtime, "DEFAULT")
    assert (default["liveVersion"], default["targetVersion"]) == ("3", "3")


def test_default_cannot_be_made_changed_or_deleted_by_itself(aws: Aws) -> None:
    named = {"agentRuntimeId": aws.deploy()["agentRuntimeId"], "endpointName": "DEFAULT"}
    create = {"agentRuntimeId": named["agentRuntimeId"], "name": "DEFAULT"}
    for call in (
        lambda: aws.control.create_agent_runtime_endpoint(**create),
        lambda: aws.control.update_agent_runtime_endpoint(**named),
        lambda: aws.control.delete_agent_runtime_endpoint(**named),
    ):
        assert refusal(call) == (409, "ConflictException")


def test_a_runtime_with_endpoints_and_a_version_in_use_stay(aws: Aws) -> None:
    runtime = aws.deploy()["agentRuntimeId"]
    aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="prod")
    aws.settled_endpoint(runtime, "prod")
    delete = aws.control.delete_agent_runtime
    assert refusal(lambda: delete(agentRuntimeId=runtime)) == (409, "ConflictException")
    assert refusal(lambda: delete(agentRuntimeId=runtime, agentRuntimeVersion="1")) == (409, "ConflictException")
    assert refusal(lambda: delete(agentRuntimeId=runtime, agentRuntimeVersion="7"))[0] == 404


def test_a_name_is_taken_once(aws: Aws) -> None:
    name = new_name()
    aws.create(agentRuntimeName=name)
    assert refusal(lambda: aws.create(agentRuntimeName=name)) == (409, "ConflictException")


# Repeated requests


def test_a_repeated_create_has_one_effect_also_across_a_restart(own_server: OwnServer) -> None:
    server = own_server()
    aws, token = server.aws(), str(uuid.uuid4())
    request = {"agentRuntimeName": new_name(), "clientToken": token, "agentRuntimeArtifact": aws.artifact()}
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: aws.create(**request), range(16)))
    server.kill()
    server.start()
    aws = server.aws()
    answers.append(aws.create(**request))
    for answer in answers:
        del answer["ResponseMetadata"]
        assert answer == answers[0]
    assert len(aws.control.list_agent_runtimes()["agentRuntimes"]) == 1
    with pytest.raises(ClientError) as caught:
        aws.create(**request, description="another")
    error = caught.value.response
    assert error["Error"]["Code"] == "ValidationException"
    assert error["reason"] == "IdempotentParameterMismatchException"


def test_repeated_updates_endpoints_and_stops_have_one_effect(aws: Aws) -> None:
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    session = new_session()
    stop = {"agentRuntimeArn": arn, "runtimeSessionId": session}
    endpoint = {"agentRuntimeId": runtime, "name": "prod"}
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (aws.control.update_agent_runtime, update),
        (aws.control.create_agent_runtime_endpoint, endpoint),
        (aws.data.stop_runtime_session, stop),
    ]
    for call, request in calls:
        aws.invoke(arn, runtimeSessionId=session)
        token = str(uuid.uuid4())
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _, c=call, r=request, t=token: c(**r, clientToken=t), range(8)))
        for answer in answers:
            del answer["ResponseMetadata"]
            assert answer == answers[0]
        aws.settled(runtime)
    assert aws.settled(runtime)["agentRuntimeVersion"] == "2"
    other = {"agentRuntimeArn": arn, "runtimeSessionId": new_session(), "clientToken": token}
    with pytest.raises(ClientError) as caught:
        aws.data.stop_runtime_session(**other)
    assert caught.value.response["reason"] == "IdempotentParameterMismatchException"
    assert refusal(lambda: aws.data.stop_runtime_session(**stop)) == (404, "ResourceNotFoundException")


# Pages


def test_pages_show_everything_once_while_runtimes_come_and_go(own_server: OwnServer) -> None:
    aws = own_server().aws()
    kept = {aws.deploy()["agentRuntimeId"] for _ in range(6)}
    going = [aws.deploy()["agentRuntimeId"] for _ in range(2)]
    seen: list[str] = []
    pages = aws.control.get_paginator("list_agent_runtimes").paginate(PaginationConfig={"PageSize": 1})
    for number, page in enumerate(pages):
        seen += [item["agentRuntimeId"] for item in page["agentRuntimes"]]
        if number in (1, 3):
            aws.control.delete_agent_runtime(agentRuntimeId=going.pop())
            aws.deploy()
    assert len(seen) == len(set(seen))
    assert kept <= set(seen)


def test_a_token_of_another_list_or_of_nobody_is_refused(aws: Aws) -> None:
    runtime = aws.deploy()["agentRuntimeId"]
    for index in range(2):
        aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name=f"e{index}")
    first = aws.control.list_agent_runtime_endpoints(agentRuntimeId=runtime, maxResults=1)
    for token in (first["nextToken"], "made-up", "x" * 2048):
        assert refusal(lambda token=token: aws.control.list_agent_runtimes(nextToken=token)) == (
            400,
            "ValidationException",
        )


# Accounts and regions


def test_another_account_and_another_region_see_nothing(server: Server, aws: Aws) -> None:
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    session = new_session()
    aws.invoke(arn, runtimeSessionId=session)
    second, elsewhere = server.aws(SECOND), server.aws(region="eu-west-1")
    assert second.sts.get_caller_identity()["Account"] == SECOND_ACCOUNT
    for other, status in ((second, 403), (elsewhere, 404)):
        assert runtime not in str(other.control.list_agent_runtimes())
        named = {"agentRuntimeId": runtime}
        assert refusal(lambda o=other, n=named: o.control.get_agent_runtime(**n))[0] == 404
        assert refusal(lambda o=other, n=named: o.control.delete_agent_runtime(**n))[0] == 404
        assert refusal(lambda o=other, n=named: o.control.list_agent_runtime_versions(**n))[0] == 404
        assert other.control.list_agent_runtime_endpoints(**named)["runtimeEndpoints"] == []
        assert refusal(lambda o=other: o.control.list_tags_for_resource(resourceArn=arn))[0] == status
        assert refusal(lambda o=other: o.control.put_resource_policy(resourceArn=arn, policy="{}"))[0] == status
        assert refusal(lambda o=other: o.invoke(arn))[0] == status
        stop = {"agentRuntimeArn": arn, "runtimeSessionId": session}
        assert refusal(lambda o=other, s=stop: o.data.stop_runtime_session(**s))[0] == status
        own = other.create(agentRuntimeName=found["agentRuntimeName"])
        assert own["agentRuntimeArn"] != arn
    bucket = found["agentRuntimeArtifact"]["codeConfiguration"]["code"]["s3"]["bucket"]
    assert bucket not in str(second.s3.list_buckets()["Buckets"])
    assert refusal(lambda: second.s3.get_object(Bucket=bucket, Key="code.zip"))[0] in (403, 404)
    stolen = second.create(agentRuntimeArtifact=found["agentRuntimeArtifact"])["agentRuntimeId"]
    assert second.settled(stolen)["status"] == "CREATE_FAILED"


def test_only_the_operators_account_reaches_the_operator_api(server: Server, raw: Raw) -> None:
    assert raw.send("GET", "/_coracle/sessions").status == 200
    assert raw_of(server, COLLEAGUE).send("GET", "/_coracle/sessions").status == 200
    assert raw_of(server, SECOND).send("GET", "/_coracle/sessions").status == 403


def test_a_caller_learns_who_it_is(server: Server) -> None:
    identity = server.aws(COLLEAGUE).sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/colleague"


# Policies


def policy(arn: str, effect: str, principal: str, action: str = "bedrock-agentcore:*") -> str:
    named = {"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [named]})


def test_policies_deny_and_open(server: Server, aws: Aws) -> None:
    arn = aws.deploy()["agentRuntimeArn"]
    default = f"{arn}/runtime-endpoint/DEFAULT"
    second, colleague = server.aws(SECOND), server.aws(COLLEAGUE)
    put, remove = aws.control.put_resource_policy, aws.control.delete_resource_policy

    put(resourceArn=default, policy=policy(default, "Deny", f"arn:aws:iam::{ACCOUNT}:user/colleague"))
    assert refusal(lambda: colleague.invoke(arn)) == (403, "AccessDeniedException")
    assert aws.invoke(arn)["statusCode"] == 200
    remove(resourceArn=default)
    assert colleague.invoke(arn)["statusCode"] == 200

    put(resourceArn=arn, policy=policy(arn, "Allow", SECOND_ACCOUNT))
    assert refusal(lambda: second.invoke(arn))[0] == 403, "the endpoint's policy must allow it, too"
    put(resourceArn=default, policy=policy(default, "Allow", SECOND_ACCOUNT))
    assert second.invoke(arn)["statusCode"] == 200
    assert refusal(lambda: second.control.delete_agent_runtime(agentRuntimeId=arn.split("/")[1]))[0] == 404

    only = "bedrock-agentcore:InvokeAgentRuntime"
    put(resourceArn=arn, policy=policy(arn, "Allow", SECOND_ACCOUNT, only))
    assert second.invoke(arn)["statusCode"] == 200
    assert refusal(lambda: second.invoke(arn, runtimeUserId="somebody"))[0] == 403
    stop = {"agentRuntimeArn": arn, "runtimeSessionId": new_session()}
    assert refusal(lambda: second.data.stop_runtime_session(**stop))[0] == 403


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "{}",
        '{"Statement": []}',
        '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}',
    ],
)
def test_what_is_no_policy_for_the_resource_is_refused(text: str, aws: Aws) -> None:
    arn = aws.deploy()["agentRuntimeArn"]
    with pytest.raises(ClientError) as caught:
        aws.control.put_resource_policy(resourceArn=arn, policy=text)
    assert caught.value.response["fieldList"][0]["name"] == "policy"


# Quotas and rates


def test_quotas_hold_for_their_account(own_server: OwnServer) -> None:
    server = own_server(
        f"""
        [quotas.general]
        runtimes = 2
        versions_per_runtime = 2
        endpoints_per_runtime = 1
        active_sessions = 2
        [quotas.accounts.{SECOND_ACCOUNT}]
        """
    )
    aws, second = server.aws(), server.aws(SECOND)
    quota = (402, "ServiceQuotaExceededException")
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    aws.deploy()
    assert refusal(aws.create) == quota
    server.aws(region="eu-west-1").create()
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    aws.control.update_agent_runtime(**update)
    aws.settled(runtime)
    assert refusal(lambda: aws.control.update_agent_runtime(**update)) == quota
    aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="one")
    assert refusal(lambda: aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="two")) == quota

    def invoke(_: int) -> str:
        try:
            aws.invoke(arn, runtimeSessionId=(session := new_session()))
        except ClientError as error:
            return error.response["Error"]["Code"]
        return session

    with ThreadPoolExecutor(8) as threads:
        sessions = list(threads.map(invoke, range(8)))
    running = [session for session in sessions if session != quota[1]]
    assert len(running) == 2, sessions
    assert aws.invoke(arn, runtimeSessionId=running[0])["statusCode"] == 200
    aws.data.stop_runtime_session(agentRuntimeArn=arn, runtimeSessionId=running[0])
    until("the place of the stopped session", lambda: invoke(0) != quota[1])
    for _ in range(4):
        own = second.deploy()["agentRuntimeArn"]
        assert second.invoke(own)["statusCode"] == 200


def test_rates_hold_per_account_once_turned_on(own_server: OwnServer) -> None:
    server = own_server("[rate_limits]\nenabled = true\nlists = 2\nnew_sessions = 1\n")
    raw, second = raw_of(server), raw_of(server, SECOND)
    answers = [raw.send("POST", "/runtimes/") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].error == "ThrottlingException"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert second.send("POST", "/runtimes/").status == 200
    aws = server.aws()
    arn = aws.deploy()["agentRuntimeArn"]
    session = new_session()
    aws.invoke(arn, runtimeSessionId=session)
    assert refusal(lambda: aws.invoke(arn)) == (429, "ThrottlingException")
    assert aws.invoke(arn, runtimeSessionId=session)["statusCode"] == 200


def test_nothing_is_limited_unless_configured(raw: Raw) -> None:
    assert {raw.send("POST", "/runtimes/").status for _ in range(60)} == {200}


# Headers


def headers_at_agent(answer: Answer) -> dict[str, str]:
    values = {name.lower(): value for name, value in answer.json.items()}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}


def test_trace_headers_are_made_where_absent_and_agree(raw: Raw, aws: Aws) -> None:
    target = invocations(aws.deploy()["agentRuntimeArn"])
    answer = raw.send("POST", target, body=HEADERS)
    trace, parent = answer.headers["x-amzn-trace-id"], answer.headers["traceparent"]
    root = re.fullmatch(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=1", trace)
    assert root, trace
    assert parent == f"00-{root[1]}{root[2]}-{root[3]}-01"
    at_agent = headers_at_agent(answer)
    assert (at_agent["x-amzn-trace-id"], at_agent["traceparent"]) == (trace, parent)
    given = "00-58406520a006649127e371903a2de979-4c721bf33e3caf8f-00"
    answer = raw.send("POST", target, {"traceparent": given}, HEADERS)
    assert answer.headers["traceparent"] == given
    assert "1-58406520-a006649127e371903a2de979" in answer.headers["x-amzn-trace-id"]


def test_allow_listed_headers_cross_and_no_others(raw: Raw, aws: Aws) -> None:
    custom = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Team"
    listed = {"requestHeaderConfiguration": {"requestHeaderAllowlist": ["X-Mine", custom]}}
    target = invocations(aws.deploy(**listed)["agentRuntimeArn"])
    sent = {"X-Mine": "m", custom: "boats", "X-Other": "o", "Cookie": "c", "Content-Type": "text/plain"}
    answer = raw.send("POST", target, sent, HEADERS)
    at_agent = headers_at_agent(answer)
    assert (at_agent["x-mine"], at_agent[custom.lower()], at_agent["content-type"]) == ("m", "boats", "text/plain")
    for dropped in ("x-other", "cookie", "authorization", "x-amz-date"):
        assert dropped not in at_agent
    assert at_agent["x-amzn-bedrock-agentcore-runtime-request-id"] == answer.headers["x-amzn-requestid"]
    assert raw.send("POST", target, {"X-Mine": "m" * 4096}, HEADERS).status == 200
    answer = raw.send("POST", target, {"X-Mine": "m" * 4097}, HEADERS)
    assert (answer.status, answer.fields) == (400, {"X-Mine"})


def test_without_a_content_type_the_agent_sees_json(raw: Raw, aws: Aws) -> None:
    answer = raw.send("POST", invocations(aws.deploy()["agentRuntimeArn"]), body=HEADERS)
    assert headers_at_agent(answer)["content-type"] == "application/json"


def test_every_answer_has_a_request_id_of_its_own(server: Server, raw: Raw, aws: Aws) -> None:
    answers = [
        raw.send("GET", "/healthz", sign=False),
        raw.send("GET", "/nowhere"),
        raw.send("GET", "/runtimes/sample-AbCdEf0123/"),
        raw.send("GET", "/runtimes/sample-AbCdEf0123/", sign=False),
        raw.send("POST", "/runtimes/"),
    ]
    ids = {str(uuid.UUID(answer.headers["x-amzn-requestid"])) for answer in answers}
    ids.add(aws.s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    ids.add(aws.sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    with pytest.raises(ClientError) as caught:
        aws.s3.get_object(Bucket="conformance-nowhere", Key="k")
    ids.add(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    assert len(ids) == 8


def test_browsers_of_allowed_origins_get_in(own_server: OwnServer) -> None:
    server = own_server('[cors]\nallowed_origins = ["https://app.example.com"]\n')
    raw, target = raw_of(server), "/runtimes/"
    asks = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-amz-date",
    }
    answer = raw.send("OPTIONS", target, asks, sign=False)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == asks["Origin"]
    assert answer.headers["access-control-allow-headers"] == "authorization,x-amz-date"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert raw.send("OPTIONS", target, asks | {"Origin": "https://evil.example"}, sign=False).status == 403
    answer = raw.send("POST", target, {"Origin": asks["Origin"]})
    assert answer.headers["access-control-allow-origin"] == asks["Origin"]
    assert "x-amzn-requestid" in answer.headers["access-control-expose-headers"]
    answer = raw.send("POST", target, {"Origin": asks["Origin"]}, sign=False)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, asks["Origin"])
    answer = raw.send("POST", target, {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_without_configured_origins_nothing_is_said_of_cors(raw: Raw) -> None:
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    answer = raw.send("OPTIONS", "/runtimes/", asks, sign=False)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


# Other protocols

FAIL = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "do": "answer", "status": 500}).encode()
BOTH = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def speaking(aws: Aws, protocol: str) -> str:
    return invocations(aws.deploy(protocolConfiguration={"serverProtocol": protocol})["agentRuntimeArn"])


def test_mcp_errors_are_json_rpc(raw: Raw, aws: Aws) -> None:
    target = speaking(aws, "MCP")
    answer = raw.send("POST", target, BOTH, FAIL)
    assert (answer.status, answer.error) == (200, "RuntimeClientError")
    assert (answer.json["id"], answer.json["error"]["code"]) == (7, -32010)
    short = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "short"}
    answer = raw.send("POST", target, BOTH | short, FAIL)
    assert (answer.status, answer.json["error"]["code"]) == (200, -32006)
    for accept in ({}, {"Accept": "application/json"}):
        answer = raw.send("POST", target, accept, FAIL)
        assert (answer.status, answer.json["error"]["code"]) == (406, -32011)
    for method in ("GET", "DELETE"):
        answer = raw.send(method, target, BOTH)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a2a_errors_are_json_rpc_with_their_status(raw: Raw, aws: Aws) -> None:
    target = speaking(aws, "A2A")
    answer = raw.send("POST", target + "/", body=FAIL)
    assert (answer.status, answer.error) == (424, "RuntimeClientError")
    assert (answer.json["id"], answer.json["error"]["code"]) == (7, -32055)
    answer = raw.send("POST", target, {"A2A-Version": "1.0"}, HEADERS)
    assert headers_at_agent(answer)["a2a-version"] == "1.0"
    assert raw.send("GET", target).error == "UnknownOperationException"


def test_ag_ui_errors_are_events(raw: Raw, aws: Aws) -> None:
    answer = raw.send("POST", speaking(aws, "AGUI"), body=FAIL)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    event = json.loads(answer.body.removeprefix(b"data: "))
    assert (event["type"], event["code"]) == ("RUN_ERROR", "AGENT_ERROR")


def test_an_mcp_session_is_known_by_its_own_id(raw: Raw, aws: Aws) -> None:
    target = speaking(aws, "MCP")
    session = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
    remember = json.dumps({"do": "remember", "value": "boat"}).encode()
    recall = json.dumps({"do": "recall"}).encode()
    made = raw.send("POST", target, BOTH, remember).headers["mcp-session-id"]
    answer = raw.send("POST", target, BOTH | {"Mcp-Session-Id": made, session: new_session()}, recall)
    assert answer.json == {"value": "boat"}
    assert answer.headers["mcp-session-id"] == made
    assert raw.send("POST", target, BOTH | {session: new_session()}, recall).json == {"value": None}
    assert raw.send("POST", target, BOTH | {"Mcp-Session-Id": "short"}, remember).status == 200
    assert raw.send("POST", target, BOTH | {"Mcp-Session-Id": "short"}, recall).json == {"value": "boat"}
    at_agent = headers_at_agent(raw.send("POST", target, BOTH, HEADERS))
    assert at_agent["mcp-session-id"] == at_agent[session.lower()]
    gone = json.dumps({"do": "answer", "status": 404, "body": "no session"}).encode()
    answer = raw.send("POST", target, BOTH | {"Mcp-Session-Id": made}, gone)
    assert (answer.status, answer.body) == (404, b"no session")


# Authorizers


def test_a_runtime_with_an_authorizer_takes_no_signatures_and_no_token_yet(raw: Raw, aws: Aws) -> None:
    authorizer = {
        "discoveryUrl": "https://idp.example.com/tenant/.well-known/openid-configuration",
        "allowedScopes": ["read", "write"],
        "advertisedScopeMapping": {"read": "api/read"},
    }
    arn = aws.deploy(authorizerConfiguration={"customJWTAuthorizer": authorizer})["agentRuntimeArn"]
    with pytest.raises(ClientError, match="method mismatch") as caught:
        aws.invoke(arn)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    target = invocations(arn)
    for headers in ({}, {"Authorization": "Bearer a.b.c"}):
        answer = raw.send("POST", target, headers, b"{}", sign=False)
        assert (answer.status, answer.error) == (401, "UnauthorizedException")
        challenge = answer.headers["www-authenticate"]
        found = re.fullmatch(r'Bearer resource_metadata="http://[^/"]+(/[^"]+)"', challenge)
        assert found, challenge
        document = raw.send("GET", found[1], sign=False)
        assert document.status == 200
        assert document.json["authorization_servers"] == ["https://idp.example.com/tenant"]
        assert document.json["scopes_supported"] == ["api/read", "write"]
    only_all = policy(arn, "Allow", ACCOUNT)
    assert refusal(lambda: aws.control.put_resource_policy(resourceArn=arn, policy=only_all))[0] == 400


def test_a_runtime_without_one_takes_no_tokens(raw: Raw, aws: Aws) -> None:
    target = invocations(aws.deploy()["agentRuntimeArn"])
    answer = raw.send("POST", target, {"Authorization": "Bearer a.b.c"}, b"{}", sign=False)
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
    assert "mismatch" in answer.json["message"]
    answer = raw.send("POST", target, {}, b"{}", sign=False)
    assert (answer.status, answer.error) == (403, "MissingAuthenticationTokenException")
    assert answer.headers["connection"] == "close", "its body has not been read"
    assert "www-authenticate" not in answer.headers


# What is not there


def test_an_operation_that_is_not_there_is_named(aws: Aws) -> None:
    with pytest.raises(ClientError) as caught:
        aws.control.list_memories()
    error = caught.value.response["Error"]
    assert error["Code"] == "UnknownOperationException"
    assert "ListMemories" in error["Message"]


def test_every_operation_of_the_models_is_answered_by_its_state(aws: Aws, raw: Raw) -> None:
    """What docs/coverage.md calls implemented is, and nothing else."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\S+) \|$", (ROOT / "docs" / "coverage.md").read_text(), re.MULTILINE)
    states = dict(rows)
    models = [aws.control.meta.service_model, aws.data.meta.service_model]
    assert sum(len(model.operation_names) for model in models) == 250
    for model in models:
        for name in model.operation_names:
            operation = model.operation_model(name)
            target = re.sub(r"\{[^}]+\}", "sample-AbCdEf0123", operation.http["requestUri"])
            answer = raw.send(operation.http["method"], target)
            unknown = answer.error == "UnknownOperationException"
            assert unknown == (states[name] == "–"), f"{name}: {states[name]}, {answer.status} {answer.error}"
            if unknown:
                assert name in answer.json["message"]


# Malformed requests


def test_broken_http_does_no_harm(server: Server, raw: Raw) -> None:
    host, port = server.address.split(":")
    for junk in (b"\x00\xff" * 200, b"GET / HTTP/9.9\r\n\r\n", b"PUT /runtimes/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.connect()
        connection.sock.sendall(junk)
        connection.sock.shutdown(1)
        while connection.sock.recv(4096):
            pass
        connection.close()
    assert raw.send("POST", "/runtimes/").status == 200
