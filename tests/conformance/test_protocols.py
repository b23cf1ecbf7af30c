"""MCP, A2A and AG-UI through InvokeAgentRuntime, and runtimes with an authorizer."""

import json
import re
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from suite.asserting import HEADERS, headers_at_agent, invocations, policy, refusal
from suite.raw import Answer, Raw
from suite.server import ACCOUNT, Aws, new_session

FAIL = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "do": "answer", "status": 500}).encode()
BOTH = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def speaking_arn(aws: Aws, protocol: str) -> str:
    return aws.deploy(protocolConfiguration={"serverProtocol": protocol})["agentRuntimeArn"]


def speaking(aws: Aws, protocol: str) -> str:
    return invocations(speaking_arn(aws, protocol))


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
    for nobody in ("nobody", "not%20a%20name"):
        answer = raw.send("POST", f"{target}?qualifier={nobody}", BOTH, FAIL)
        assert (answer.status, answer.error) == (200, "ResourceNotFoundException")
        assert (answer.json["id"], answer.json["error"]["code"]) == (7, -32004)
    for method in ("GET", "DELETE"):
        answer = raw.send(method, target, BOTH)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a2a_errors_are_json_rpc_with_their_status(raw: Raw, aws: Aws) -> None:
    target = speaking(aws, "A2A")
    answer = raw.send("POST", target + "/", body=FAIL)
    assert (answer.status, answer.error) == (424, "RuntimeClientError")
    assert (answer.json["id"], answer.json["error"]["code"]) == (7, -32055)
    answer = raw.send("POST", f"{target}?qualifier=nobody", body=FAIL)
    assert (answer.status, answer.json["error"]["code"]) == (404, -32051)
    answer = raw.send("POST", target, {"A2A-Version": "1.0"}, HEADERS)
    assert headers_at_agent(answer)["a2a-version"] == "1.0"
    assert raw.send("GET", target).error == "UnknownOperationException"


def test_only_a2a_agents_have_a_card(raw: Raw, aws: Aws) -> None:
    card = "/.well-known/agent-card.json"
    answer = raw.send("GET", speaking(aws, "A2A") + card)
    assert (answer.status, answer.error) == (424, "RuntimeClientError"), "the simulated agent has no such page"
    assert "404" in answer.json["message"]
    answer = raw.send("GET", invocations(aws.deploy()["agentRuntimeArn"]) + card)
    assert (answer.status, answer.fields) == (400, {"agentRuntimeArn"})
    assert raw.send("GET", speaking(aws, "A2A") + card, sign=False).error == "MissingAuthenticationTokenException"


def test_ag_ui_errors_are_events(raw: Raw, aws: Aws) -> None:
    answer = raw.send("POST", speaking(aws, "AGUI"), body=FAIL)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    event = json.loads(answer.body.removeprefix(b"data: "))
    assert (event["type"], event["code"]) == ("RUN_ERROR", "AGENT_ERROR")


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_websocket_that_cannot_be_opened_is_an_http_error(raw: Raw, aws: Aws) -> None:
    target = f"/runtimes/{quote(aws.deploy()['agentRuntimeArn'], safe='')}/ws"
    answer = raw.send("GET", target, UPGRADE)
    assert (answer.status, answer.error) == (424, "RuntimeClientError"), "the simulated agent has no such page"
    assert "404" in answer.json["message"]
    for broken in (
        {},
        UPGRADE | {"Upgrade": "h2c"},
        UPGRADE | {"Sec-WebSocket-Version": "8"},
        UPGRADE | {"Sec-WebSocket-Key": "short"},
    ):
        answer = raw.send("GET", target, broken)
        assert (answer.status, answer.error, answer.fields) == (400, "ValidationException", {"Upgrade"})
    session = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
    for answer in (
        raw.send("GET", target, UPGRADE | {session: "short"}),
        raw.send("GET", f"{target}?{session}=short", UPGRADE),
    ):
        assert (answer.status, answer.fields) == (400, {"runtimeSessionId"})
    assert raw.send("GET", f"{target}?qualifier=nobody", UPGRADE).status == 404
    answer = raw.send("GET", target, UPGRADE, sign=False)
    assert (answer.status, answer.error) == (403, "MissingAuthenticationTokenException")
    token = "base64UrlBearerAuthorization.YS5iLmM, base64UrlBearerAuthorization"
    for bearer in ({"Authorization": "Bearer a.b.c"}, {"Sec-WebSocket-Protocol": token}):
        answer = raw.send("GET", target, UPGRADE | bearer, sign=False)
        assert (answer.status, answer.error) == (403, "AccessDeniedException")
    other = f"/runtimes/{quote(speaking_arn(aws, 'MCP'), safe='')}/ws"
    assert raw.send("GET", other, UPGRADE).fields == {"agentRuntimeArn"}


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


def test_a_runtime_with_an_authorizer_takes_no_signature_and_no_nonsense(raw: Raw, aws: Aws) -> None:
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
    socket = f"/runtimes/{quote(arn, safe='')}/ws"
    token = "base64UrlBearerAuthorization.YS5iLmM, base64UrlBearerAuthorization"
    answer = raw.send("GET", socket, UPGRADE | {"Sec-WebSocket-Protocol": token}, sign=False)
    assert (answer.status, answer.error) == (401, "UnauthorizedException")
    assert "not a JSON Web Token" in answer.json["message"]
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


def test_who_brings_no_good_token_is_told_so_in_the_protocols_form(raw: Raw, aws: Aws) -> None:
    authorizer = {"discoveryUrl": "https://idp.example.com/.well-known/openid-configuration", "allowedClients": ["a"]}
    members = {"authorizerConfiguration": {"customJWTAuthorizer": authorizer}}

    def refused(protocol: str) -> tuple[Answer, Answer]:
        found = aws.deploy(**members, protocolConfiguration={"serverProtocol": protocol})
        target = invocations(found["agentRuntimeArn"])
        without = raw.send("POST", target, BOTH, FAIL, sign=False)
        bad = raw.send("POST", target, BOTH | {"Authorization": "Bearer a.b.c"}, FAIL, sign=False)
        for answer in (without, bad):
            assert (answer.status, answer.error) == (401, "UnauthorizedException")
            assert answer.headers["www-authenticate"].startswith("Bearer resource_metadata=")
        stop = raw.send("POST", target.replace("/invocations", "/stopruntimesession"), sign=False)
        assert (stop.status, set(stop.json)) == (401, {"message"})
        return without, bad

    for answer in refused("MCP"):
        assert (answer.json["id"], answer.json["error"]["code"]) == (None, -32001)
    for answer in refused("AGUI"):
        assert json.loads(answer.body.removeprefix(b"data: "))["code"] == "UNAUTHORIZED"
    for answer in refused("A2A"):
        assert set(answer.json) == {"message"}
    mismatch = raw.send("POST", speaking(aws, "MCP"), BOTH | {"Authorization": "Bearer a.b.c"}, FAIL, sign=False)
    assert (mismatch.status, mismatch.json["error"]["code"]) == (403, -32002)


def test_a_token_for_what_is_not_there_is_told_so(raw: Raw, aws: Aws) -> None:
    bearer = {"Authorization": "Bearer a.b.c"}
    found = aws.deploy()
    missing = invocations(found["agentRuntimeArn"].replace(found["agentRuntimeId"], "none-0123456789"))
    for target in (missing, invocations(found["agentRuntimeArn"]) + "?qualifier=nobody"):
        answer = raw.send("POST", target, bearer, b"{}", sign=False)
        assert (answer.status, answer.error) == (404, "ResourceNotFoundException")
        assert raw.send("POST", target, {}, b"{}", sign=False).error == "MissingAuthenticationTokenException"


def test_a_runtime_without_one_takes_no_tokens(raw: Raw, aws: Aws) -> None:
    target = invocations(aws.deploy()["agentRuntimeArn"])
    answer = raw.send("POST", target, {"Authorization": "Bearer a.b.c"}, b"{}", sign=False)
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
    assert "mismatch" in answer.json["message"]
    answer = raw.send("POST", target, {}, b"{}", sign=False)
    assert (answer.status, answer.error) == (403, "MissingAuthenticationTokenException")
    assert answer.headers["connection"] == "close", "its body has not been read"
    assert "www-authenticate" not in answer.headers
