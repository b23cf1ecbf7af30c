"""A2A through `/invocations`, with the official clients of both versions and boto3 for the card."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.aws import AgentSession, Aws, Runtime
from harness.clients import run_python
from harness.packages import bundle
from harness.raw import SESSION_HEADER, Signer, invocation_path, signed
from harness.server import Server

AGENT = ("bedrock-agentcore[a2a-v1]==1.25.0",)
CURRENT = ("a2a-sdk==1.3.0",)
PREVIOUS = ("a2a-sdk==0.3.26",)


@pytest.fixture(scope="module")
def runtime(protocols: Aws) -> Runtime:
    configuration = {"serverProtocol": "A2A"}
    return protocols.deploy(bundle("ferry", AGENT, protocols.python), protocolConfiguration=configuration)


@pytest.fixture(scope="module")
def session(runtime: Runtime) -> Iterator[AgentSession]:
    """One session for the whole file, because a start takes long in emulation."""
    session = runtime.session()
    yield session
    session.stop_if_running()


def url(server: Server, runtime: Runtime) -> str:
    """Where the platform says that the agent is, to clients that begin with its card."""
    return server.url + invocation_path(runtime.arn) + "/"


def assert_complete(seen: dict[str, Any], server: Server, runtime: Runtime) -> None:
    assert seen["name"] == "ferry"
    assert set(seen["urls"]) == {url(server, runtime)}, "the card leads back to the platform"
    assert seen["sent"] == ["one", "two"]
    assert seen["streamed"] == ["three", "four"]
    assert seen["rest"], "something was left to come"
    assert seen["rest"] == seen["all"][-len(seen["rest"]) :]
    assert seen["all"] == ["five", "six", "seven", "eight", "nine", "ten"]


def test_boto3_gets_the_card(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    answer = protocols.data.get_agent_card(agentRuntimeArn=session.runtime.arn, runtimeSessionId=session.id)
    assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, session.id)
    assert answer["agentCard"]["name"] == "ferry"
    assert url(protocol_server, session.runtime) in json.dumps(answer["agentCard"])


def test_the_current_client(protocol_server: Server, session: AgentSession) -> None:
    target = url(protocol_server, session.runtime)
    seen = run_python(protocol_server, "a2a_current", CURRENT, target, session.id)
    assert_complete(seen, protocol_server, session.runtime)
    assert seen["finished"] == "TASK_STATE_COMPLETED"


def test_the_previous_client(protocol_server: Server, session: AgentSession) -> None:
    target = url(protocol_server, session.runtime)
    seen = run_python(protocol_server, "a2a_previous", PREVIOUS, target, session.id)
    assert_complete(seen, protocol_server, session.runtime)
    assert seen["finished"] == "completed"


def test_errors_of_agent_and_platform_are_told_apart(
    protocol_server: Server, protocols: Aws, session: AgentSession
) -> None:
    signer = Signer(protocol_server, protocols.access_key, protocols.secret_key)
    path = invocation_path(session.runtime.arn)
    body = json.dumps({"jsonrpc": "2.0", "id": "7", "method": "tasks/get", "params": {"id": "nothing"}}).encode()
    headers = {"Content-Type": "application/json", SESSION_HEADER: session.id}
    answer = signed(signer, "POST", path, body, headers)
    assert (answer.status, answer.json["error"]["code"]) == (200, -32001), "the agent knows no such task"
    answer = signed(signer, "POST", path, body, headers | {SESSION_HEADER: "short"})
    assert (answer.status, answer.json["id"], answer.json["error"]["code"]) == (400, "7", -32052)
