"""What an agent is given: its environment and the headers and bodies of a request."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.aws import AgentSession, Runtime


@pytest.fixture(scope="module")
def one(toolbox: Runtime):
    session = toolbox.session()
    yield session
    session.stop_if_running()


def test_environment(one: AgentSession) -> None:
    environment = one.do("environment")
    assert environment["AGENT_VERSION"] == "1"
    assert environment["DOCKER_CONTAINER"] == "1"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert f"{one.runtime.arn}/runtime-endpoint/DEFAULT" in environment["OTEL_RESOURCE_ATTRIBUTES"]


def test_headers(one: AgentSession) -> None:
    answer = one.invoke(
        json.dumps({"do": "headers"}).encode(),
        contentType="application/json",
        accept="application/json",
        runtimeUserId="somebody",
        traceParent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        baggage="a=b",
    )
    headers = {name.lower(): text for name, text in json.loads(answer["response"].read()).items()}
    prefix = "x-amzn-bedrock-agentcore-runtime-"
    assert headers[f"{prefix}session-id"] == one.id
    assert headers[f"{prefix}user-id"] == "somebody"
    assert headers[f"{prefix}request-id"]
    assert headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736")
    assert headers["baggage"] == "a=b"
    assert headers["accept"] == "application/json"
    assert headers["host"], "servers of HTTP/1.1 refuse requests without it"
    assert "authorization" not in headers
    assert "x-amz-date" not in headers


def test_no_content_type_reaches_the_agent_as_json(one: AgentSession) -> None:
    answer = one.invoke(json.dumps({"do": "headers"}).encode())
    headers = {name.lower(): text for name, text in json.loads(answer["response"].read()).items()}
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_a_body_arrives_byte_for_byte(one: AgentSession, size: int) -> None:
    body = bytes(number % 251 for number in range(min(size, 10_000))) * (size // 10_000 + 1)
    body = body[:size]
    answer = one.invoke(body, contentType="application/octet-stream")
    assert json.loads(answer["response"].read()) == {
        "size": size,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.parametrize("code", [200, 201, 204, 206])
def test_a_status_of_success_passes_through(one: AgentSession, code: int) -> None:
    assert one.start("status", code=code)["statusCode"] == code


def test_many_invocations_at_once_in_one_session(one: AgentSession) -> None:
    with ThreadPoolExecutor(16) as pool:
        bodies = [f"{number}".encode() * 1000 for number in range(64)]
        answers = pool.map(lambda body: one.invoke(body, contentType="text/plain"), bodies)
        digests = [json.loads(answer["response"].read())["sha256"] for answer in answers]
    assert digests == [hashlib.sha256(body).hexdigest() for body in bodies]
