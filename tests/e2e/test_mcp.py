"""MCP through `/invocations`, with the official clients of two languages and three kinds of the protocol."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.aws import Aws, Runtime, new_session_id
from harness.clients import run_node, run_python
from harness.packages import bundle
from harness.raw import SESSION_HEADER, Answer, Signer, invocation_path, signed
from harness.server import Server

CURRENT = ("mcp==2.3.0",)
PREVIOUS = ("mcp==1.30.0",)
TYPESCRIPT = ("@modelcontextprotocol/sdk@1.32.2",)
TOOLS = ["cross", "recall", "remember", "row", "sink", "think"]
BOTH = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def package(protocols: Aws) -> bytes:
    return bundle("boats", CURRENT, protocols.python)


@pytest.fixture(scope="module")
def stateful(protocols: Aws, package: bytes) -> Runtime:
    # From a template, because every client has a session of its own.
    configuration = {"serverProtocol": "MCP"}
    return protocols.deploy(package, timeout=240, platformVersion="V2", protocolConfiguration=configuration)


@pytest.fixture(scope="module")
def stateless(protocols: Aws, package: bytes) -> Runtime:
    members = {"protocolConfiguration": {"serverProtocol": "MCP"}, "environmentVariables": {"STATELESS": "1"}}
    return protocols.deploy(package, **members)


@pytest.fixture(scope="module")
def signer(protocol_server: Server, protocols: Aws) -> Signer:
    return Signer(protocol_server, protocols.access_key, protocols.secret_key)


def url(server: Server, runtime: Runtime) -> str:
    return server.url + invocation_path(runtime.arn)


def assert_complete(seen: dict[str, Any]) -> None:
    assert seen["tools"] == TOOLS
    assert (seen["remember"], seen["recall"]) == ([False, "tea"], [False, "tea"])
    assert seen["row"] == [False, "there"]
    assert seen["strokes"] == [[1, 3], [2, 3], [3, 3]]
    assert seen["sink"] == [True, "Error executing tool sink"]


def assert_asked_back(seen: dict[str, Any]) -> None:
    """The server could ask the client, in the middle of a call: elicitation and sampling."""
    assert seen["cross"] == [False, "accept: the other side"]
    assert seen["think"] == [False, "a thought about tea"]


def test_the_current_python_client(protocol_server: Server, stateful: Runtime) -> None:
    seen = run_python(protocol_server, "mcp_current", CURRENT, url(protocol_server, stateful), "legacy", "")
    assert seen["protocol"] == "2025-11-25"
    assert_complete(seen)
    assert_asked_back(seen)


def test_the_previous_python_client(protocol_server: Server, stateful: Runtime) -> None:
    seen = run_python(protocol_server, "mcp_previous", PREVIOUS, url(protocol_server, stateful))
    assert seen["protocol"] == "2025-11-25"
    assert_complete(seen)
    assert_asked_back(seen)


def test_the_typescript_client(protocol_server: Server, protocols: Aws, stateful: Runtime) -> None:
    seen = run_node(protocol_server, protocols, "mcp", TYPESCRIPT, url(protocol_server, stateful))
    assert_complete(seen)
    assert_asked_back(seen)


@pytest.mark.slow
def test_the_protocol_without_sessions(protocol_server: Server, stateless: Runtime, stateless_session: str) -> None:
    target = url(protocol_server, stateless)
    seen = run_python(protocol_server, "mcp_current", CURRENT, target, "2026-07-28", stateless_session)
    assert seen["protocol"] == "2026-07-28"
    assert_complete(seen)


@pytest.fixture(scope="module")
def stateless_session(stateless: Runtime, signer: Signer) -> Iterator[str]:
    """The id of a session that the platform made, because neither client nor server did."""
    answer = call(signer, stateless, initialize("2025-03-26"), {})
    assert answer.status == 200
    session = answer.headers["Mcp-Session-Id"]
    assert session == answer.headers[SESSION_HEADER]
    yield session
    stateless.session(session).stop_if_running()


def initialize(version: str) -> dict[str, Any]:
    client = {"name": "tests", "version": "1"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def call(signer: Signer, runtime: Runtime, body: dict[str, Any], headers: dict[str, str]) -> Answer:
    return signed(signer, "POST", invocation_path(runtime.arn), json.dumps(body).encode(), BOTH | headers)


def result(answer: Answer) -> Any:
    """The result in an answer that is an event stream or JSON."""
    if "event-stream" not in answer.headers["Content-Type"]:
        return answer.json["result"]
    data = [line for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    return json.loads(data[-1].removeprefix("data: "))["result"]


def test_older_versions_notifications_and_ends_on_the_wire(signer: Signer, stateful: Runtime) -> None:
    begun = call(signer, stateful, initialize("2025-03-26"), {SESSION_HEADER: new_session_id()})
    assert result(begun)["protocolVersion"] == "2025-03-26"
    session = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"], "Mcp-Protocol-Version": "2025-03-26"}
    assert begun.headers["Mcp-Session-Id"] != begun.headers[SESSION_HEADER], "the server makes its own"
    notified = call(signer, stateful, {"jsonrpc": "2.0", "method": "notifications/initialized"}, session)
    assert (notified.status, notified.body) == (202, b"")
    # SDKs of AWS fill in a new runtime session each time; it leads nowhere.
    another = session | {SESSION_HEADER: new_session_id()}
    listed = call(signer, stateful, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, another)
    assert len(result(listed)["tools"]) == len(TOOLS)
    assert listed.headers[SESSION_HEADER] == begun.headers[SESSION_HEADER]
    stateful.session(begun.headers[SESSION_HEADER]).stop()
    stopped = stateful.session(begun.headers[SESSION_HEADER])
    gone = call(signer, stateful, {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}, session)
    assert gone.status == 404, "so that a client begins anew"
    stopped.stop_if_running()
