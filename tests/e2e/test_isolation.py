"""Two sessions of one version share nothing that an agent can see."""

import time
import uuid

import pytest

from harness.aws import AgentSession
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm
# For an overloaded host.
CLOCK_TOLERANCE = 0.1

Pair = tuple[AgentSession, AgentSession]


def test_memory(neighbours: Pair) -> None:
    one, other = neighbours
    one.do("remember", value="mine")
    assert other.do("recall") is None
    assert one.do("recall") == "mine"


@pytest.mark.parametrize("folder", [".", "/tmp"])
def test_files(neighbours: Pair, folder: str) -> None:
    one, other = neighbours
    name = f"{folder}/{uuid.uuid4().hex}"
    one.do("write", name=name, text="mine")
    assert one.do("read", name=name) == "mine"
    assert other.do("read", name=name) is None
    assert name.rsplit("/", 1)[1] not in other.do("files", folder=folder)


def test_processes(neighbours: Pair) -> None:
    one, other = neighbours
    marker = uuid.uuid4().hex
    one.do("spawn", marker=marker)
    assert any(marker in line for line in one.do("processes").values())
    assert not any(marker in line for line in other.do("processes").values())
    agents = [line for line in other.do("processes").values() if "main.py" in line]
    assert len(agents) == 1, "a session sees its own agent and no other"


def test_names_and_randomness(neighbours: Pair) -> None:
    one, other = (each.do("whoami") for each in neighbours)
    assert one["hostname"] != other["hostname"]
    assert one["random"] != other["random"]


def test_an_agent_is_unprivileged_and_where_the_contract_says(neighbours: Pair) -> None:
    me = neighbours[0].do("whoami")
    assert me["uid"] != 0
    assert me["folder"] == "/var/task"
    assert me["python"] == [3, 13]


def test_the_clock_is_right(neighbours: Pair) -> None:
    """The agent reads it between question and answer; it is set to within 5 ms where the host is not overloaded."""
    for each in neighbours:
        asked = time.time()
        told = each.do("whoami")["time"]
        answered = time.time()
        assert asked - CLOCK_TOLERANCE < told < answered + CLOCK_TOLERANCE


def test_what_ran_in_a_session_ends_with_it(toolbox, server) -> None:
    before = set(server.left_processes())
    session = toolbox.session()
    session.do("spawn", marker=uuid.uuid4().hex)
    assert set(server.left_processes()) > before
    session.stop()
    wait_until("the session's processes to end", lambda: set(server.left_processes()) <= before, 20)


def test_a_guest_does_not_see_the_machine_it_runs_on(neighbours: Pair, server) -> None:
    assert neighbours[0].do("read", name=str(server.credentials_file)) is None
    lines = neighbours[0].do("processes").values()
    assert not any("coracle serve" in line for line in lines)
