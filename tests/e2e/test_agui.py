"""AG-UI through `/invocations` and over a WebSocket: the official client, and the events on the wire."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.aws import AgentSession, Aws, Runtime
from harness.clients import run_node
from harness.packages import bundle
from harness.raw import SESSION_HEADER, Signer, invocation_path, signed
from harness.server import Server
from harness.sockets import closing, presigned

AGENT = ("bedrock-agentcore[ag-ui]==1.25.0",)
CLIENT = ("@ag-ui/client@1.0.0",)
WORDS = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"]


@pytest.fixture(scope="module")
def runtime(protocols: Aws) -> Runtime:
    configuration = {"serverProtocol": "AGUI"}
    return protocols.deploy(bundle("stage", AGENT, protocols.python), protocolConfiguration=configuration)


@pytest.fixture(scope="module")
def session(runtime: Runtime) -> Iterator[AgentSession]:
    """One session for the whole file, because a start takes long in emulation; the last test ends it."""
    session = runtime.session()
    yield session
    session.stop_if_running()


def test_the_official_client_sees_a_run(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    target = protocol_server.url + invocation_path(session.runtime.arn)
    seen = run_node(protocol_server, protocols, "agui", CLIENT, target, session.id, "to be")
    assert seen["events"] == ["RUN_STARTED", *WORDS, "RUN_FINISHED"]
    assert (seen["failure"], seen["messages"]) == (None, ["to be", "to be "])
    seen = run_node(protocol_server, protocols, "agui", CLIENT, target, session.id, "please fall")
    assert seen["events"][-1] == "RUN_ERROR"
    assert "the stage is too small" in seen["failure"]


def test_failures_on_the_wire_are_events(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    signer = Signer(protocol_server, protocols.access_key, protocols.secret_key)
    path = invocation_path(session.runtime.arn)
    answer = signed(signer, "POST", path, b"{}", {"Content-Type": "application/json", SESSION_HEADER: session.id})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    event = json.loads(answer.body.decode().removeprefix("data: "))
    assert (event["type"], event["code"]) == ("RUN_ERROR", "AGENT_ERROR"), "the agent refused the input"
    answer = signed(signer, "POST", path, b"{}", {SESSION_HEADER: "short"})
    event = json.loads(answer.body.decode().removeprefix("data: "))
    assert (answer.status, event["type"], event["code"]) == (400, "RUN_ERROR", "VALIDATION_ERROR")


def test_the_same_events_come_over_a_websocket(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    message = {"id": "u1", "role": "user", "content": "to be"}
    run: dict[str, Any] = {"threadId": "t", "runId": "r", "state": {}, "messages": [message]}
    run |= {"tools": [], "context": [], "forwardedProps": {}}
    with presigned(protocol_server, protocols, session) as connection:
        connection.send(json.dumps(run))
        events = [json.loads(connection.recv(60).removeprefix("data: ")) for _ in range(6)]
        assert [event["type"] for event in events] == ["RUN_STARTED", *WORDS, "RUN_FINISHED"]
        assert closing(connection)[0] == 1000


def test_a_stopped_session_closes_its_connections(
    protocol_server: Server, protocols: Aws, session: AgentSession
) -> None:
    with presigned(protocol_server, protocols, session) as connection:
        assert connection.ping().wait(60)
        session.stop()
        assert closing(connection) == (1001, "the session was stopped")
