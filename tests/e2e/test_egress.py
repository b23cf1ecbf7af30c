"""What an agent in a microVM reaches outside, and what it does not: host, metadata, private ranges, other sandboxes."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness.aws import AgentSession, Aws, Runtime
from harness.internet import Internet
from harness.raw import Signer, send
from harness.server import Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

# Run by the agent. Sets `result`.
FETCH = """
import urllib.request
result = urllib.request.urlopen({url!r}, timeout=60).read().decode()
"""
POST = """
import urllib.request
result = urllib.request.urlopen({url!r}, data=b"x" * {size}, timeout=120).read().decode()
"""
DOWNLOAD = """
import time, urllib.request
begun = time.monotonic()
size = len(urllib.request.urlopen({url!r}, timeout=120).read())
result = size, time.monotonic() - begun
"""
DATAGRAM = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.sendto(b"over there?", ({host!r}, {port}))
result = s.recv(2000).decode()
"""
# What a connection, or the name before it, comes to.
CONNECT = """
import socket
def attempt(host, port):
    try:
        socket.create_connection((host, port), timeout=20).close()
        return "connected"
    except Exception as error:
        return type(error).__name__
result = [attempt(host, port) for host, port in {targets!r}]
"""


@pytest.fixture(scope="module")
def outside(internet: Internet | None) -> Internet:
    if internet is None:
        pytest.skip("needs root and ip(8): a network namespace stands for the internet")
    return internet


@pytest.fixture(scope="module")
def agent(toolbox: Runtime, outside: Internet) -> Iterator[AgentSession]:
    session = toolbox.session()
    yield session
    session.stop_if_running()


def run(agent: AgentSession, code: str, **values: Any) -> Any:
    return agent.do("python", code=code.format(**values))


def connect(agent: AgentSession, *targets: tuple[str, int]) -> list[str]:
    return run(agent, CONNECT, targets=list(targets))


def logged(server: Server, agent: AgentSession, text: str) -> None:
    """Waits until the session's log says so."""
    aws = agent.runtime.aws
    signer = Signer(server, aws.access_key, aws.secret_key)
    path = f"/_coracle/logs?runtime={agent.runtime.id}&session={agent.id}"

    def found() -> bool:
        return text in send(server, "GET", path, headers=signer.headers("GET", path, b"", {})).body.decode()

    wait_until(f"the session's log to say {text!r}", found, 30)


def test_an_agent_reaches_the_internet_by_name_and_by_address(agent: AgentSession, outside: Internet) -> None:
    assert f'"host": "{outside.host(1)}"' in run(agent, FETCH, url="http://host-1.example/hello")
    assert '"port": 8443' in run(agent, FETCH, url=f"http://{outside.host(2)}:8443/hello")
    assert run(agent, DATAGRAM, host=outside.host(1), port=7) == "over there?"


def test_much_passes_both_ways(agent: AgentSession, outside: Internet) -> None:
    size = 8 << 20
    digest = hashlib.sha256(b"x" * size).hexdigest()
    assert run(agent, POST, url=f"http://{outside.host(1)}/", size=size) == digest
    received, seconds = run(agent, DOWNLOAD, url=f"http://{outside.host(1)}/bytes/{size}")
    assert received == size
    print(f"{size / seconds / 1e6:.1f} MB/s into the sandbox")


def test_a_destination_says_no_itself(agent: AgentSession, outside: Internet) -> None:
    assert connect(agent, (outside.host(1), 81), ("nowhere.example", 80)) == ["ConnectionRefusedError", "gaierror"]


def test_what_is_closed_is_not_reached(agent: AgentSession, outside: Internet, server: Server) -> None:
    port = server.address[1]
    closed = [
        ("169.254.169.254", 443),
        ("169.254.170.2", 80),
        ("192.0.0.1", port),
        ("192.0.0.1", 4580),
        (outside.gateway, port),
        (outside.gateway, 22),
        ("10.0.0.1", 80),
        ("172.16.0.1", 80),
        ("192.168.0.1", 80),
        ("100.64.0.1", 80),
        ("::ffff:169.254.169.253", 80),
    ]
    assert set(connect(agent, *closed)) == {"ConnectionRefusedError"}
    assert "connected" not in connect(agent, ("fd00::2", port), ("fe80::1%eth0", port), ("ff02::1%eth0", port))
    assert "connected" not in connect(agent, ("at-169-254-169-254.example", 80), ("at-10-0-0-1.example", 80))
    logged(server, agent, f"connection to {outside.gateway}:22 refused: the host of the sandboxes is closed to them")
    logged(server, agent, "name at-10-0-0-1.example leads to 10.0.0.1")


def test_a_list_is_all_that_is_reached(toolbox: Runtime, server: Server, outside: Internet, tagged_egress: Any) -> None:
    tagged_egress(f"host-3.example:80 turns-5.example {outside.host(4)}:8443")
    session = toolbox.session()
    try:
        # An address without its name is nothing, until the name has been resolved to it.
        assert connect(session, (outside.host(3), 80)) == ["ConnectionRefusedError"]
        assert connect(session, ("host-3.example", 80), (outside.host(4), 8443)) == ["connected"] * 2
        denied = [("host-3.example", 8443), (outside.host(4), 80), (outside.host(1), 80)]
        assert set(connect(session, *denied)) == {"ConnectionRefusedError"}
        assert connect(session, ("host-1.example", 80)) == ["gaierror"]
        # A name that turns to the host's own loopback leads there neither the first time nor later.
        assert connect(session, ("turns-5.example", 80)) == ["connected"]
        assert "connected" not in connect(session, ("turns-5.example", 80))
        logged(server, session, f"connection to {outside.host(1)}:80 refused: it is not on the egress list")
        logged(server, session, "name host-1.example not resolved")
        logged(server, session, "name turns-5.example leads to 127.0.0.1")
    finally:
        session.stop_if_running()


def test_egress_can_be_off(toolbox: Runtime, outside: Internet, tagged_egress: Any) -> None:
    tagged_egress("off")
    session = toolbox.session()
    try:
        assert connect(session, ("host-1.example", 80), (outside.host(1), 80)) == ["gaierror", "ConnectionRefusedError"]
    finally:
        session.stop_if_running()


@pytest.fixture
def tagged_egress(toolbox: Runtime, aws: Aws) -> Iterator[Any]:
    """Sets the tag that says what the toolbox's new sessions may reach."""

    def tag(value: str) -> None:
        aws.control.tag_resource(resourceArn=toolbox.arn, tags={"coracle:egress": value})

    yield tag
    aws.control.untag_resource(resourceArn=toolbox.arn, tagKeys=["coracle:egress"])
