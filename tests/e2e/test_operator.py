"""What operators see of sessions, and what they can do to them: `coracle sessions` beside a running server."""

import json
import subprocess
import time
from typing import Any

import pytest

from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.server import BINARIES, Server
from harness.waiting import consistently, wait_until


def coracle(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BINARIES / "coracle"), "sessions", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def asked(server: Server, *arguments: str) -> Any:
    """What the command prints as JSON."""
    done = coracle(server, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def described(server: Server, session: AgentSession) -> dict[str, Any]:
    return asked(server, "describe", session.id, "--runtime", session.runtime.id)


def ended(server: Server, session: AgentSession) -> dict[str, Any]:
    """The description of a session that is about to end."""

    def seen() -> dict[str, Any] | None:
        found = described(server, session)
        return found if found["state"] == "ended" else None

    return wait_until("the session to be over", seen, 30)


def ids(answer: dict[str, Any]) -> list[str]:
    return [session["session"] for session in answer["sessions"]]


def test_a_running_session_is_seen_and_an_ended_one_remembered(server: Server, session: AgentSession) -> None:
    session.do("print", lines=["hello operator"])
    runtime = session.runtime.id
    listed = asked(server, "list", "--runtime", runtime, "--account", "000000000000")
    assert session.id in ids(listed)
    assert session.id not in ids(asked(server, "list", "--account", "999999999999"))
    seen = described(server, session)
    assert seen["state"] in ("active", "idle")
    assert seen["cpuSeconds"] > 0
    assert seen["privateMemoryBytes"] > 0
    assert seen["phases"]["agentMillis"] >= 0
    wait_until("its line", lambda: "hello operator" in described(server, session)["lastLines"], 10)
    # The id alone is enough while there is one such session.
    assert "hello operator" in coracle(server, "logs", session.id).stdout
    session.fails("exit", code=7, say="out of tokens")
    seen = ended(server, session)
    assert (seen["reason"], seen.get("exitCode"), seen.get("signal")) == ("agent_exited", 7, None)
    assert seen["outOfMemory"] is False
    assert "out of tokens" in seen["lastLines"]
    assert session.id in ids(asked(server, "list", "--state", "ended", "--runtime", runtime))
    table = coracle(server, "list", "--state", "ended", "--runtime", runtime).stdout
    assert "agent_exited" in table


def test_a_kill_does_not_wait_for_the_agent(server: Server, session: AgentSession) -> None:
    session.do("recall")
    stream = session.start("stream_until_disconnected", name="killed")["response"]
    assert stream.read(5)
    assert asked(server, "kill", session.id, "--runtime", session.runtime.id) == {"state": "ended"}
    seen = described(server, session)
    assert (seen["state"], seen["reason"]) == ("ended", "killed")
    assert session.do("recall") is None
    assert described(server, session)["earlier"][0]["reason"] == "killed"


def test_signals_are_told(server: Server, session: AgentSession) -> None:
    session.fails("signal", number=9)
    seen = ended(server, session)
    assert (seen.get("exitCode"), seen.get("signal")) == (None, 9)


@pytest.fixture(scope="module")
def sleepers(cloud: Aws) -> Runtime:
    """A runtime whose sessions are hibernated as soon as they are unused."""
    return cloud.deploy(agent_zip("toolbox"), tags={"coracle:hibernate": "1"})


def test_reading_neither_wakes_a_session_nor_keeps_it_from_idling(simulated: Server, sleepers: Runtime) -> None:
    session = sleepers.session()
    session.do("recall")

    def asleep() -> bool:
        coracle(simulated, "logs", session.id)
        return described(simulated, session)["state"] == "hibernated"

    wait_until("it to hibernate although it is looked at", asleep, 30)
    consistently("it sleeps on", asleep, 2)
    assert session.id in ids(asked(simulated, "list", "--state", "hibernated"))
    assert asked(simulated, "kill", session.id)["state"] == "ended"
    assert described(simulated, session)["state"] == "ended"


def test_a_stop_by_an_operator_is_a_stop(simulated: Server, cloud: Aws) -> None:
    session = cloud.deploy(agent_zip("toolbox")).session()
    session.do("recall")
    assert asked(simulated, "stop", session.id) == {"state": "stopping"}
    assert ended(simulated, session)["reason"] == "stopped"
    said = coracle(simulated, "stop", session.id)
    assert said.returncode != 0
    assert "has ended" in said.stderr


def test_a_cap_ends_a_session_and_says_so(simulated: Server, cloud: Aws) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"), tags={"coracle:cap-cpu-seconds": "2"})
    session = runtime.session()
    session.do("burn", cpu_millis=3000)
    said = session.fails("hang")
    assert (said["status"], said["code"]) == (402, "ServiceQuotaExceededException")
    assert "2 s of processor time" in said["message"]
    assert ended(simulated, session)["reason"] == "cap_reached"
    assert session.do("recall") == {"value": None}, "a new session begins with nothing used"


def test_a_runtime_that_has_used_all_it_may_gets_no_more_sessions(simulated: Server, cloud: Aws) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"), tags={"coracle:cap-runtime-cpu-seconds": "2"})
    one, two = runtime.session(), runtime.session()
    for session in (one, two):
        session.do("burn", cpu_millis=1500)
    for session in (one, two):
        assert ended(simulated, session)["reason"] == "cap_reached"
    said = runtime.session().fails("recall")
    assert (said["status"], said["code"]) == (402, "ServiceQuotaExceededException")
    assert "sessions of this runtime" in said["message"].lower()


def test_mistakes_are_named(simulated: Server) -> None:
    said = coracle(simulated, "list", "--state", "asleep")
    assert said.returncode != 0
    assert "hibernated" in said.stderr
    said = coracle(simulated, "describe", "x" * 40)
    assert said.returncode != 0
    assert "there is no session" in said.stderr
    begun = time.monotonic()
    nowhere = subprocess.run(
        [BINARIES / "coracle", "sessions", "list", "--data-dir", "/nowhere/at/all"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "no server runs on" in nowhere.stderr
    assert time.monotonic() - begun < 10
