"""What an agent does to itself is its own: the neighbour keeps answering, and the caller learns what happened."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.aws import AgentSession
from harness.processes import PeakMemory
from harness.server import Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

SOAK = os.environ.get("CORACLE_SOAK") == "1"
# Far above what an answer takes in emulation on busy machines, far below a neighbour that is starved.
NEIGHBOUR_SECONDS = 20.0
MAX_GROWTH_MIB = 32


@pytest.fixture(scope="module")
def neighbour(toolbox) -> Iterator[AgentSession]:
    session = toolbox.session()
    session.do("remember", value="unharmed")
    yield session
    session.stop_if_running()


@contextmanager
def unharmed(neighbour: AgentSession, server: Server) -> Iterator[None]:
    """Keeps asking the neighbour and the server while something bad happens beside them."""
    done = threading.Event()
    problems: list[str] = []
    asked = 0

    def ask() -> None:
        nonlocal asked
        while not done.is_set():
            start = time.monotonic()
            try:
                if neighbour.do("recall") != "unharmed":
                    problems.append("the neighbour forgot")
                if not server.healthy():
                    problems.append("the server is not healthy")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                problems.append(repr(error))
            asked += 1
            if time.monotonic() - start > NEIGHBOUR_SECONDS:
                problems.append(f"the neighbour took {time.monotonic() - start:.1f} s")
            done.wait(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        wait_until("the neighbour to be asked", lambda: asked >= 2, 60)
        done.set()
        thread.join()
    assert not problems, problems


def test_a_gigabyte_of_logs(session: AgentSession, neighbour: AgentSession, server: Server) -> None:
    session.do("recall")
    memory = PeakMemory(server.pid)
    with unharmed(neighbour, server):
        assert session.do("flood_logs", mib=4096 if SOAK else 1024) == "ok"
        assert session.do("recall") is None
    assert memory.growth_mib() < MAX_GROWTH_MIB
    stored = sum(path.stat().st_size for path in server.data.rglob("*") if path.is_file() and "log" in str(path))
    assert stored < 256 << 20, "what is kept of a flood is bounded"


def test_a_fork_bomb(session: AgentSession, neighbour: AgentSession, server: Server) -> None:
    session.do("recall")
    with unharmed(neighbour, server):
        session.do("fork_bomb")
        session.stop()


def test_a_full_disk(session: AgentSession, neighbour: AgentSession, server: Server) -> None:
    with unharmed(neighbour, server):
        said = session.do("fill_disk")
    assert said["errno"] == 28, "no space left on device"
    assert session.do("recall") is None
    assert neighbour.do("write", name="small", text="fits")


def test_eaten_memory(session: AgentSession, neighbour: AgentSession, server: Server) -> None:
    session.do("remember", value="lost")
    with unharmed(neighbour, server):
        said = session.fails("eat_memory")
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert "memory" in said["message"]
    assert session.do("recall") is None, "the next invocation starts afresh"
