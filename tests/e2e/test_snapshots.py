"""Sessions restored from one template: what they share, what they do not, and what is left of them."""

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.metrics import metric
from harness.packages import bundle
from harness.pools import ready
from harness.server import BINARIES, Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

AT_ONCE = 4
NUMPY = ("numpy==2.4.6",)
HOOK = "coracle:restore-hook"
# For an overloaded host.
CLOCK_TOLERANCE = 0.1


@pytest.fixture(scope="module")
def snapshotted(aws: Aws) -> Runtime:
    return aws.deploy(bundle("snapshotted", NUMPY, aws.python), platformVersion="V2")


def look(session: AgentSession, **command: Any) -> dict:
    """What the agent says of itself, and when it was asked and had answered."""
    asked = time.time()
    answer = session.invoke(json.dumps(command).encode(), contentType="application/json")
    seen = json.loads(answer["response"].read())
    return seen | {"asked": asked, "answered": time.time()}


def look_at_fresh_sessions(runtime: Runtime, number: int) -> list[dict]:
    def look_once(_: int) -> dict:
        session = runtime.session()
        seen = look(session)
        session.stop()
        return seen

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(look_once, range(number)))


def assert_each_is_its_own(sessions: list[dict]) -> None:
    for name in sessions[0]["unique"]:
        values = [session["unique"][name] for session in sessions]
        assert len(set(values)) == len(values), f"sessions share their {name}"
    for session in sessions:
        assert session["asked"] - CLOCK_TOLERANCE < session["time"] < session["answered"] + CLOCK_TOLERANCE
        assert session["jumps_back"] == 0
        assert session["/etc/hostname"] == session["unique"]["host name"]
        assert session["unique"]["host name"] in session["hosts"]


def test_no_two_sessions_share_what_must_be_their_own(snapshotted: Runtime) -> None:
    sessions = look_at_fresh_sessions(snapshotted, 8)
    assert_each_is_its_own(sessions)
    assert "numpy" in sessions[0]["unique"]
    assert len({session["pid"] for session in sessions}) == 1, "sessions were booted, not restored"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_two_of_many_sessions_share_what_must_be_their_own(snapshotted: Runtime) -> None:
    assert_each_is_its_own(look_at_fresh_sessions(snapshotted, 200))


def test_what_was_under_way_goes_on_in_each_session_by_itself(snapshotted: Runtime) -> None:
    for seen in look_at_fresh_sessions(snapshotted, 2):
        assert seen["beats"], "the background thread does not run"
        assert seen["loopback"], "the connection on loopback is broken"
        assert seen["temporary file"] == "from before"
        assert seen["log"] == "one half, the other half"


def test_what_an_agent_keeps_in_variables_repeats(snapshotted: Runtime) -> None:
    """As documented: such things are to be made at the first request."""
    assert len({seen["token"] for seen in look_at_fresh_sessions(snapshotted, 2)}) == 1


@pytest.fixture
def hook(aws: Aws, snapshotted: Runtime) -> Iterator[Callable[[str], None]]:
    """Sets the path that restored agents are called at."""
    yield lambda path: aws.control.tag_resource(resourceArn=snapshotted.arn, tags={HOOK: path})
    aws.control.untag_resource(resourceArn=snapshotted.arn, tagKeys=[HOOK])


def test_an_agent_hears_of_its_restore_before_anything_else(snapshotted: Runtime, hook: Callable[[str], None]) -> None:
    assert [seen["restored"] for seen in look_at_fresh_sessions(snapshotted, 1)] == [0], "nobody has asked for it"
    hook("/restored")
    assert [seen["restored"] for seen in look_at_fresh_sessions(snapshotted, 2)] == [1, 1]


def test_an_agent_hears_of_its_restore_into_a_pool_not_when_a_session_takes_it(
    aws: Aws, snapshotted: Runtime, server: Server, hook: Callable[[str], None]
) -> None:
    hook("/restored")
    aws.control.tag_resource(resourceArn=snapshotted.arn, tags={"coracle:warm": "1"})
    try:
        ready(server, 1)
        before = metric(server, "session_starts_total", origin="warm")
        # The agent's clock and this one may differ by so much.
        time.sleep(3 * CLOCK_TOLERANCE)
        asked = time.time()
        [seen] = look_at_fresh_sessions(snapshotted, 1)
        assert metric(server, "session_starts_total", origin="warm") == before + 1
    finally:
        aws.control.untag_resource(resourceArn=snapshotted.arn, tagKeys=["coracle:warm"])
    ready(server, 0)
    assert seen["restored"] == 1
    assert seen["restored_at"] < asked - CLOCK_TOLERANCE


def test_an_agent_that_does_not_take_its_restore_is_booted(
    snapshotted: Runtime, server: Server, hook: Callable[[str], None]
) -> None:
    before = metric(server, "session_starts_total", origin="booted_instead")
    hook("/not-there")
    assert [seen["restored"] for seen in look_at_fresh_sessions(snapshotted, 1)] == [0]
    assert metric(server, "session_starts_total", origin="booted_instead") == before + 1


def test_an_agent_that_would_repeat_random_numbers_is_not_restored(aws: Aws) -> None:
    runtime = aws.create(agent_zip("halted_helper"), platformVersion="V2").wait_for("CREATE_FAILED")
    reason = runtime.get()["failureReason"]
    assert "1 of the agent's 2 Python processes did not renew their random numbers" in reason
    assert "V1" in reason
    runtime.delete()
    runtime = aws.deploy(agent_zip("halted_helper"), platformVersion="V1")
    assert runtime.session().invoke(b"{}")["response"].read()
    runtime.delete()


def coracle_template(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BINARIES / "coracle"), "template", *arguments, "--data-dir", str(server.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_templates_are_listed_for_the_operator(snapshotted: Runtime, server: Server) -> None:
    listed = json.loads(coracle_template(server, "list", "--json").stdout)["templates"]
    [ours] = [template for template in listed if snapshotted.id in template["madeFor"]]
    assert ours["bytes"] > 1024 * 1024
    assert ours["made"] <= ours["lastUsed"]
    assert f"{snapshotted.id}, version 1, DEFAULT" in coracle_template(server, "list").stdout


def test_a_check_names_what_sessions_repeat(snapshotted: Runtime, server: Server) -> None:
    session = snapshotted.session()
    token = look(session)["token"]
    session.stop()
    done = coracle_template(server, "check", snapshotted.id)
    assert done.returncode == 1
    [repeated] = done.stdout.splitlines()
    assert repeated.split() == ["span", "id", token], "all else that it shows is its own"
    assert "are the same in both sessions" in done.stderr


def holders_of(secret: bytes, *folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file() and holds(path, secret)]


def holds(path: Path, secret: bytes) -> bool:
    """Whether the secret is anywhere in a file; holes are passed over."""
    try:
        with path.open("rb", buffering=0) as file:
            size, position, before = os.fstat(file.fileno()).st_size, 0, b""
            while position < size:
                try:
                    data = os.lseek(file.fileno(), position, os.SEEK_DATA)
                except OSError:
                    return False  # only a hole is left
                before = before if data == position else b""
                os.lseek(file.fileno(), data, os.SEEK_SET)
                piece = file.read(1 << 22)
                if not piece:
                    return False
                if secret in before + piece:
                    return True
                position, before = data + len(piece), piece[-len(secret) :]
    except FileNotFoundError:
        pass
    return False


def test_nothing_is_left_of_what_a_session_held(snapshotted: Runtime, server: Server) -> None:
    secret = uuid.uuid4().hex
    session = snapshotted.session()
    look(session, do="keep", secret=secret)
    assert holders_of(secret.encode(), server.data / "sandboxes"), "the test would find nothing"
    session.stop()
    wait_until("the session to be gone", session.stopped, 30)
    assert holders_of(secret.encode(), server.data, Path("/dev/shm")) == []
    seen = look(snapshotted.session())
    assert secret not in json.dumps(seen)


def drafts(server: Server) -> list[Path]:
    return list((server.data / "templates").glob(".draft-*"))


def templates(server: Server) -> list[Path]:
    return [path.parent for path in (server.data / "templates").glob("*/manifest.json")]


def making(server: Server) -> bool:
    """Whether a machine is at work on a template."""
    return bool(drafts(server) and server.machines())


def assert_made_in_the_end(server: Server, runtime: Runtime) -> None:
    runtime.wait_for("READY")
    assert len(templates(server)) == 1
    assert not drafts(server)
    look(runtime.session())
    server.stop()


def test_a_server_killed_while_a_template_is_made(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "killed-while-making")
    runtime = Aws(server, python).create(agent_zip("snapshotted"), platformVersion="V2")
    wait_until("a template to be under way", lambda: making(server), 60)
    server.kill()
    assert not templates(server)
    server.start()
    assert_made_in_the_end(server, Runtime(Aws(server, python), runtime.id, runtime.arn))


def test_a_machine_killed_while_a_template_is_made(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "machine-killed-while-making")
    runtime = Aws(server, python).create(agent_zip("snapshotted"), platformVersion="V2")
    wait_until("a template to be under way", lambda: making(server), 60)
    for pid in server.machines():
        os.kill(pid, signal.SIGKILL)
    assert_made_in_the_end(server, runtime)
