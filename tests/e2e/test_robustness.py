"""Clients that misbehave cost the server bounded time and memory, and nobody else notices."""

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator

import pytest

from harness.processes import PeakMemory
from harness.raw import connect, send
from harness.server import Server
from harness.waiting import wait_until

PROMPT_SECONDS = 5.0
GARBAGE = {
    "nothing": b"",
    "noise": random.Random(4580).randbytes(65536),
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "endless request line": b"GET /" + b"a" * 1_000_000,
    "endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)),
    "bad length": b"POST /runtimes/ HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "climbing path": b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad percent": b"GET /runtimes/%zz%/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "nul": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
}  # fmt: skip


@contextlib.contextmanager
def prompt(server: Server) -> Iterator[None]:
    """Asserts that the server answers promptly before, and after, and does not grow."""
    memory = PeakMemory(server.pid)
    yield
    start = time.monotonic()
    assert server.healthy()
    assert time.monotonic() - start < PROMPT_SECONDS
    assert memory.growth_mib() < 64


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage(simulated: Server, case: str) -> None:
    with prompt(simulated), connect(simulated, timeout=10) as connection:
        with contextlib.suppress(OSError):  # the server may have had enough already
            connection.sendall(GARBAGE[case])
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
                assert len(answer) < 1 << 20
        assert not answer.startswith(b"HTTP/1.1 2"), answer[:200]
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]


def test_half_open_and_slow_connections(simulated: Server) -> None:
    """Hundreds of clients that never finish a request keep nobody else from being served."""
    starts = [b"", b"G", b"POST /runtimes/ HTTP/1.1\r\nHost: a\r\n"]
    with contextlib.ExitStack() as open_connections, prompt(simulated):
        slow = [open_connections.enter_context(connect(simulated)) for _ in range(300)]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])
        for _ in range(5):
            start = time.monotonic()
            assert simulated.healthy()
            assert time.monotonic() - start < PROMPT_SECONDS
            for connection in slow[2::3]:
                connection.sendall(b"X-Slow: 1\r\n")


def test_a_head_that_never_ends_is_given_up(simulated: Server) -> None:
    with connect(simulated, timeout=120) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass


def test_a_client_that_never_reads(simulated: Server) -> None:
    """Many pipelined requests whose answers nobody reads do not pile up in memory."""
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
    gone = contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError)
    with prompt(simulated), connect(simulated, timeout=2) as connection, gone:
        for _ in range(200):
            connection.sendall(request)


def test_open_files_are_given_back(simulated: Server) -> None:
    def count() -> int:
        return len(os.listdir(f"/proc/{simulated.pid}/fd"))

    before = count()
    for _ in range(200):
        with connect(simulated) as connection:
            connection.sendall(b"GET /")
    assert send(simulated, "GET", "/healthz").status == 200
    wait_until("connections to be closed", lambda: count() <= before + 5, 30)


def test_metrics_are_prometheus_text(simulated: Server) -> None:
    answer = send(simulated, "GET", "/metrics")
    assert answer.status == 200
    assert b"# TYPE " in answer.body
