"""The URL of a session: servers beside the agent, over HTTP and WebSocket, and everything that is refused."""

import dataclasses
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.aws import AgentSession, Aws, new_session_id
from harness.packages import bundle
from harness.raw import SESSION_HEADER, Answer, Signer, send, signed
from harness.server import Server
from harness.sockets import opened

MIRROR, SOCKET, PRIVATE, UNUSED = 9001, 9002, 9003, 9004
ALLOWED = [{"port": UNUSED}, {"portRange": {"from": MIRROR, "to": SOCKET}}]


@pytest.fixture(scope="module")
def session(aws: Aws) -> Iterator[AgentSession]:
    """One session for the whole file; the last test ends it."""
    runtime = aws.deploy(bundle("harbour", ("websockets==17.4",), aws.python), allowedPorts=ALLOWED)
    session = runtime.session()
    yield session
    session.stop_if_running()


@pytest.fixture(scope="module")
def url(session: AgentSession) -> str:
    """The path of the session's URL."""
    answer = session.invoke(b"{}")
    url = answer["sessionEndpointUrl"]
    assert url.startswith(session.runtime.aws.server.url + "/")
    assert len(url) <= 128
    assert session.invoke(b"{}")["sessionEndpointUrl"] == url
    return urlsplit(url).path


@pytest.fixture(scope="module")
def keys(server: Server, aws: Aws) -> Signer:
    return Signer(server, aws.access_key, aws.secret_key)


def refused(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal, which has no body."""
    assert answer.body == b""
    assert answer.headers["x-amzn-error-message"]
    return answer.status, answer.error


def test_any_method_path_query_and_body(keys: Signer, session: AgentSession, url: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        body = b"" if method == "GET" else b"cargo"
        answer = signed(keys, method, f"{url}/{MIRROR}/a%2Fb/c?x=1&y=%20&x", body, {"X-Mine": "m", "Cookie": "c=1"})
        assert (answer.status, answer.headers["X-Harbour"]) == (200, "open")
        assert answer.headers[SESSION_HEADER] == session.id
        seen: dict[str, Any] = answer.json
        assert (seen["method"], seen["path"], seen["body"]) == (method, "/a%2Fb/c?x=1&y=%20&x", body.decode())
        assert (seen["headers"]["x-mine"], seen["headers"]["cookie"]) == ("m", "c=1")
        assert seen["headers"]["x-forwarded-prefix"] == f"{url}/{MIRROR}"
        assert not {"authorization", "x-amz-date"} & seen["headers"].keys()
    head = signed(keys, "HEAD", f"{url}/{MIRROR}")
    assert (head.status, head.body, head.headers["X-Harbour"]) == (200, b"", "open")
    # In the query, as in a link; of which the server sees nothing.
    linked = send(keys.server, "GET", keys.presigned("GET", f"{url}/{MIRROR}/page?x=1"))
    assert linked.json["path"] == "/page?x=1"


def test_an_answer_of_any_status_is_passed_on_with_its_body(keys: Signer, url: str) -> None:
    for status in (201, 302, 404, 500):
        answer = signed(keys, "GET", f"{url}/{MIRROR}/status/{status}")
        assert (answer.status, answer.json["method"], answer.error) == (status, "GET", "")


def test_a_long_body_arrives_whole(keys: Signer, url: str) -> None:
    body = b"x" * 1_000_000
    assert len(signed(keys, "POST", f"{url}/{MIRROR}/", body).json["body"]) == len(body)


def test_events_come_as_they_are_made(keys: Signer, session: AgentSession, url: str) -> None:
    path = f"{url}/{MIRROR}/events"
    connection = http.client.HTTPConnection(*keys.server.address, timeout=120)
    connection.request("GET", path, headers=keys.headers("GET", path, b"", {}))
    answer = connection.getresponse()
    assert answer.readline() == b"data: first\n"
    # Only now does the server in the session say the second.
    assert json.load(session.invoke(b"{}")["response"]) == "the gate is open"
    assert answer.read() == b"\ndata: second\n\n"
    connection.close()


def test_a_websocket_with_the_subprotocol_of_its_server(keys: Signer, session: AgentSession, url: str) -> None:
    path = f"{url}/{SOCKET}/any/path?x=1"
    headers = keys.headers("GET", path, b"", {})
    with opened(keys.server, path, additional_headers=headers, subprotocols=["ship", "boat"]) as connection:
        assert connection.subprotocol == "boat"
        assert connection.response.headers[SESSION_HEADER] == session.id
        for message in ("hello", b"\x00\xff", "x" * 65_000):
            connection.send(message)
            assert connection.recv(60) == message
    with opened(keys.server, keys.presigned("GET", path), subprotocols=["boat"]) as connection:
        connection.send("hello")
        assert connection.recv(60) == "hello"


def test_what_is_not_allowed_is_refused_without_a_body(keys: Signer, url: str) -> None:
    # The agent's own port is not in the list either.
    for port in (PRIVATE, 8080, 22):
        assert refused(signed(keys, "GET", f"{url}/{port}/")) == (403, "AccessDenied")
    nobody = signed(keys, "GET", f"{url}/{UNUSED}/")
    assert refused(nobody) == (424, "RuntimeClientError")
    assert f"must listen on 0.0.0.0:{UNUSED}" in nobody.headers["x-amzn-error-message"]
    assert refused(signed(keys, "GET", url)) == (400, "ValidationException")
    for method, body in (("GET", None), ("POST", b"x" * 100_000)):
        assert refused(send(keys.server, method, f"{url}/{MIRROR}/", body)) == (401, "AuthenticationRequired")
    wrong = dataclasses.replace(keys, secret_key="wrong")
    assert refused(signed(wrong, "GET", f"{url}/{MIRROR}/")) == (403, "AccessDenied")
    elsewhere = dataclasses.replace(keys, region="eu-north-1")
    assert refused(signed(elsewhere, "GET", f"{url}/{MIRROR}/")) == (404, "ResourceNotFoundException")


def test_a_session_that_is_no_more_has_no_url(keys: Signer, session: AgentSession, url: str) -> None:
    session.stop()
    for gone in (url, "/sessions/" + "0" * 32, "/sessions/" + new_session_id()):
        assert refused(signed(keys, "GET", f"{gone}/{MIRROR}/")) == (404, "ResourceNotFoundException")
    # And none was started.
    assert session.stopped()
