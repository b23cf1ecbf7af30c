"""WebSockets: all ways in, what passes, limits, and ends, with an agent on the `bedrock-agentcore` SDK."""

import json
import socket
import ssl
from collections.abc import Iterator

import boto3
import pytest
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from authority import DATA_PLANE, Authority
from harness import processes
from harness.aws import AgentSession, Aws, Runtime
from harness.packages import bundle
from harness.raw import SESSION_HEADER
from harness.server import Server
from harness.sockets import OPEN_TIMEOUT, ask, closing, presigned, redirected
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def runtime(protocols: Aws) -> Runtime:
    return protocols.deploy(bundle("sockets", ("bedrock-agentcore==1.25.0",), protocols.python), timeout=240)


@pytest.fixture(scope="module")
def session(runtime: Runtime) -> Iterator[AgentSession]:
    """One session for the whole file, because a start takes long in emulation; the last test ends it."""
    session = runtime.session()
    yield session
    session.stop_if_running()


@pytest.fixture(scope="module")
def sdk(protocols: Aws) -> AgentCoreRuntimeClient:
    """The SDK's own client, which knows only the service's host names."""
    keys = {"aws_access_key_id": protocols.access_key, "aws_secret_access_key": protocols.secret_key}
    return AgentCoreRuntimeClient(session=boto3.Session(region_name="us-east-1", **keys))


def closings(session: AgentSession) -> list[dict]:
    return json.loads(session.invoke(b"{}")["response"].read())["closings"]


def seen_by_agent(session: AgentSession, code: int, reason: str) -> None:
    """Waits until the agent has seen a connection of its own end like this."""
    wanted = {"code": code, "reason": reason}
    wait_until(f"the agent to see {wanted}", lambda: wanted in closings(session), 30)


def counted(server: Server, ending: str) -> None:
    """Waits until a connection is counted that ended like this."""
    line = f'coracle_websocket_endings_total{{ending="{ending}"}}'
    wait_until(f"a connection to end as {ending}", lambda: line in server.metrics(), 60)


def test_the_sdk_connects_with_signed_headers(
    protocol_server: Server, session: AgentSession, sdk: AgentCoreRuntimeClient
) -> None:
    url, headers = sdk.generate_ws_connection(session.runtime.arn, session_id=session.id)
    # As the SDK's examples do: it repeats the handshake's own headers.
    with redirected(protocol_server, url, additional_headers=headers) as connection:
        assert connection.response.headers[SESSION_HEADER] == session.id
        for message in ("hello", "äöü", b"\x00\xff", "x" * 65_000):
            connection.send(message)
            assert connection.recv(30) == message
        assert connection.ping().wait(30)


def test_the_sdk_connects_over_tls_at_the_services_host_name(
    protocol_server: Server, authority: Authority, session: AgentSession, sdk: AgentCoreRuntimeClient
) -> None:
    url, headers = sdk.generate_ws_connection(session.runtime.arn, session_id=session.id)
    assert url.startswith(f"wss://{DATA_PLANE}/")
    place = (protocol_server.data / "tls-address").read_text().rsplit(":", 1)
    # As name resolution would lead there.
    here = socket.create_connection((place[0], int(place[1])), timeout=30)
    trust = ssl.create_default_context(cafile=authority.certificate)
    with connect(url, sock=here, ssl=trust, additional_headers=headers, open_timeout=OPEN_TIMEOUT) as connection:
        connection.send("hello")
        assert connection.recv(30) == "hello"


def test_the_sdk_connects_with_a_presigned_url(
    protocol_server: Server, session: AgentSession, sdk: AgentCoreRuntimeClient
) -> None:
    custom = {"X-Amzn-Bedrock-AgentCore-Runtime-Custom-Tone": "very polite", "unknown": "dropped"}
    url = sdk.generate_presigned_url(session.runtime.arn, session.id, "DEFAULT", custom)
    with redirected(protocol_server, url) as connection:
        headers = ask(connection, "headers")
    assert headers["x-amzn-bedrock-agentcore-runtime-custom-tone"] == "very polite"
    assert headers[SESSION_HEADER.lower()] == session.id
    assert headers["traceparent"]
    for absent in ("unknown", "authorization", "sec-websocket-extensions", "origin", "cookie"):
        assert absent not in headers


def test_connections_and_invocations_of_a_session_meet_the_same_agent(
    protocol_server: Server, protocols: Aws, session: AgentSession
) -> None:
    before = len(closings(session))
    for _ in range(2):
        with presigned(protocol_server, protocols, session) as connection:
            connection.send("hello")
            assert connection.recv(30) == "hello"
    wait_until("both to be over", lambda: len(closings(session)) == before + 2, 30)


def test_close_codes_pass_both_ways(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    with presigned(protocol_server, protocols, session) as connection:
        connection.close(4001, "enough")
    seen_by_agent(session, 4001, "enough")
    with presigned(protocol_server, protocols, session) as connection:
        connection.send(json.dumps({"do": "close", "code": 4002, "reason": "closing time"}))
        assert closing(connection) == (4002, "closing time")


def test_a_frame_over_the_limit_is_too_big(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    with presigned(protocol_server, protocols, session) as connection:
        connection.send(b"x" * 65_536)
        assert len(connection.recv(30)) == 65_536
        connection.send(b"x" * 65_537)
        code, reason = closing(connection)
        assert (code, "65537" in reason) == (1009, True)
    with presigned(protocol_server, protocols, session) as connection:
        # In pieces a message may be as long as it likes; the agent answers with one frame.
        connection.send([b"x" * 60_000] * 5)
        assert closing(connection) == (1009, "from the agent: a frame has 300000 bytes, over the limit of 65536")


def test_a_flood_of_frames_is_against_the_rules(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    with presigned(protocol_server, protocols, session) as connection:
        with pytest.raises(ConnectionClosed):
            # Pings, because their answers need no reader.
            for _ in range(100_000):
                connection.ping()
        assert closing(connection) == (1008, "more than 250 frames per second")
    counted(protocol_server, "policy")


def test_a_client_that_does_not_read_costs_no_memory(
    protocol_server: Server, protocols: Aws, session: AgentSession
) -> None:
    def resident() -> int:
        return processes.memory_kib(protocol_server.pid, "VmRSS")

    before = resident()
    with presigned(protocol_server, protocols, session) as connection:
        connection.close_timeout = 0
        # The client library stops reading when its own queue is full.
        connection.send(json.dumps({"do": "flood", "bytes": 1 << 30}))
        counted(protocol_server, "client_gone")
    assert resident() - before < 32 * 1024


def test_an_agent_that_dies_is_named(protocol_server: Server, protocols: Aws, session: AgentSession) -> None:
    with presigned(protocol_server, protocols, session) as connection:
        connection.send(json.dumps({"do": "exit", "code": 3}))
        assert closing(connection) == (1011, "the agent exited with code 3")
    wait_until("all connections to be over", lambda: "coracle_websockets 0" in protocol_server.metrics(), 30)
