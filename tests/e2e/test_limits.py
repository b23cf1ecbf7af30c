"""Large bodies pass through without being held, and larger ones are refused."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.aws import AgentSession, Aws, agent_zip
from harness.processes import PeakMemory
from harness.raw import SESSION_HEADER, Signer, connect, invocation_path, send
from harness.server import SMALL_SANDBOXES, Server

MAX_BODY = 100_000_000
MAX_GROWTH_MIB = 16
PIECE = 1 << 20


def zeros(size: int) -> Iterator[bytes]:
    while size:
        part = min(size, PIECE)
        yield bytes(part)
        size -= part


def sha256_of_zeros(size: int) -> str:
    digest = hashlib.sha256()
    for piece in zeros(size):
        digest.update(piece)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def one(toolbox) -> Iterator[AgentSession]:
    session = toolbox.session()
    session.do("recall")
    yield session
    session.stop_if_running()


@pytest.fixture
def raw(server: Server, aws: Aws) -> Signer:
    return Signer(server, aws.access_key, aws.secret_key)


def headers_for(raw: Signer, session: AgentSession, sha256: str) -> tuple[str, dict[str, str]]:
    """Path and signed headers of an invocation whose body is not in memory."""
    path = invocation_path(session.runtime.arn)
    given = {
        SESSION_HEADER: session.id,
        "Content-Type": "application/octet-stream",
        "X-Amz-Content-SHA256": sha256,
    }
    return path, raw.headers("POST", path, b"", given)


def test_a_hundred_megabytes(one: AgentSession, server: Server, raw: Signer) -> None:
    memory = PeakMemory(server.pid)
    sha256 = sha256_of_zeros(MAX_BODY)
    path, headers = headers_for(raw, one, sha256)
    answer = send(server, "POST", path, zeros(MAX_BODY), headers | {"Transfer-Encoding": "chunked"})
    assert answer.status == 200, answer.body
    assert answer.json == {"size": MAX_BODY, "sha256": sha256}
    assert memory.growth_mib() < MAX_GROWTH_MIB


def test_a_hundred_megabytes_of_answer(one: AgentSession, server: Server) -> None:
    memory = PeakMemory(server.pid)
    stream = one.start("big", size=MAX_BODY)["response"]
    received = 0
    while piece := stream.read(PIECE):
        received += len(piece)
    assert received == MAX_BODY
    assert memory.growth_mib() < MAX_GROWTH_MIB


def test_ten_times_a_hundred_megabytes_at_once(one: AgentSession, server: Server, raw: Signer) -> None:
    memory = PeakMemory(server.pid)
    sha256 = sha256_of_zeros(MAX_BODY)

    def invoke(_: int) -> dict:
        path, headers = headers_for(raw, one, sha256)
        chunked = headers | {"Transfer-Encoding": "chunked"}
        return send(server, "POST", path, zeros(MAX_BODY), chunked, timeout=240).json

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(invoke, range(10)))
    assert answers == [{"size": MAX_BODY, "sha256": sha256}] * 10
    assert memory.growth_mib() < MAX_GROWTH_MIB


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_one_byte_more_is_refused(one: AgentSession, server: Server, raw: Signer, declared: bool) -> None:
    memory = PeakMemory(server.pid)
    path, headers = headers_for(raw, one, "UNSIGNED-PAYLOAD")
    length = {"Content-Length": str(MAX_BODY + 1)} if declared else {"Transfer-Encoding": "chunked"}
    if declared:
        answer = send(server, "POST", path, b"x", headers | length)  # refused before it is sent
    else:
        answer = send(server, "POST", path, zeros(MAX_BODY + 1), headers | length)
    assert (answer.status, answer.error) == (400, "ValidationException"), answer.body
    assert answer.headers.get("Connection", "").lower() == "close"
    assert memory.growth_mib() < MAX_GROWTH_MIB
    assert json.loads(one.start("recall")["response"].read()) is None, "the session is still there"


def test_a_declared_length_that_is_not_true(one: AgentSession, server: Server, raw: Signer) -> None:
    """A client that promises more than it sends, and goes, harms only its own request."""
    path, headers = headers_for(raw, one, "UNSIGNED-PAYLOAD")
    with connect(server) as connection:
        lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join([*lines, f"Host: {server.url[7:]}", "Content-Length: 1000", "", ""])
        connection.sendall(head.encode() + b"x" * 10)
    assert one.do("recall") is None


def test_too_many_sessions(own_server, driver: str, python: str) -> None:
    small = own_server(driver, "few-sessions", **SMALL_SANDBOXES, limits={"sessions": 1})
    runtime = Aws(small, python).deploy(agent_zip("toolbox"))
    first = runtime.session()
    first.do("recall")
    said = runtime.session().fails("recall")
    assert (said["status"], said["code"]) == (402, "ServiceQuotaExceededException")
    first.stop()
    small.stop()
