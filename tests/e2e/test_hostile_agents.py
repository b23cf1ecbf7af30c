"""What an agent does to itself is its own: the neighbour keeps answering, and the caller learns what happened.
What it tries beyond that is refused."""

import inspect
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness import attacks
from harness.aws import AGENTS, AgentSession, Aws, zip_of
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
    took: list[float] = []

    def ask() -> None:
        while not done.is_set():
            start = time.monotonic()
            try:
                if neighbour.do("recall") != "unharmed":
                    problems.append("the neighbour forgot")
                if not server.healthy():
                    problems.append("the server is not healthy")
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                problems.append(repr(error))
            took.append(time.monotonic() - start)
            if took[-1] > NEIGHBOUR_SECONDS:
                problems.append(f"the neighbour took {took[-1]:.1f} s")
            done.wait(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        wait_until("the neighbour to be asked", lambda: len(took) >= 2, 60)
        done.set()
        thread.join()
        median = statistics.median(took)
        print(f"the neighbour answered {len(took)} times: median {median:.3f} s, {max(took):.3f} s at most")
    assert not problems, problems


def test_a_flood_of_logs(session: AgentSession, neighbour: AgentSession, server: Server) -> None:
    session.do("recall")
    memory = PeakMemory(server.pid)
    with unharmed(neighbour, server):
        assert session.do("flood_logs", mib=4096 if SOAK else 512) == "ok"
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


def run(agent: AgentSession, attack: str) -> Any:
    """Has the agent try what is in `harness/attacks.py`."""
    return agent.do("python", code=f"{inspect.getsource(attacks)}\nresult = {attack}()\n")


@pytest.fixture(scope="module")
def attacker(toolbox) -> Iterator[AgentSession]:
    """What is refused harms nobody, so that all of it can be tried in one session."""
    session = toolbox.session()
    session.do("remember", value="still there")
    yield session
    session.stop_if_running()


@pytest.mark.parametrize("attack", ["devices", "kernel", "network"])
def test_what_an_agent_may_not_do(attacker: AgentSession, neighbour: AgentSession, server: Server, attack: str) -> None:
    with unharmed(neighbour, server):
        tried = run(attacker, attack)
    print(tried)
    succeeded = [name for name, outcome in tried.items() if outcome == "done"]
    assert not succeeded, f"an agent can {succeeded}"
    assert attacker.do("recall") == "still there", "the guest runs on"


def test_a_namespace_of_ones_own_has_no_card(attacker: AgentSession) -> None:
    assert set(run(attacker, "namespaces")) <= {"lo"}


def test_a_time_bomb_at_snapshot(aws: Aws, neighbour: AgentSession, server: Server) -> None:
    files = {"main.py": (AGENTS / "time_bomb.py").read_text(), "attacks.py": inspect.getsource(attacks)}
    runtime = aws.deploy(zip_of(files), platformVersion="V2")
    with unharmed(neighbour, server):
        for _ in range(2):
            session = runtime.session()
            said = json.loads(session.invoke(b"{}")["response"].read())
            session.stop()
            assert said["struck"], "the session was not restored"
            assert said["was_first"], "the bomb came too late to try anything"
            succeeded = [name for name, outcome in said["tried"].items() if outcome == "done"]
            assert not succeeded, f"an agent can {succeeded} at its restore"
    runtime.delete()
