"""Sessions that are kept while nobody uses them, and go on where they were."""

import time
from collections.abc import Callable

import pytest

from harness.aws import FRONT_ROLE, Aws, Runtime, agent_zip
from harness.credentials import found_by, said_of
from harness.metrics import metric
from harness.server import SMALL_SANDBOXES, Server
from harness.waiting import consistently, wait_until

READY_TIMEOUT = 120.0
HIBERNATE_TIMEOUT = 60.0
STORAGE = [{"sessionStorage": {"mountPath": "/mnt/data"}}]
NOTE = "/mnt/data/note"

pytestmark = pytest.mark.microvm


def kept(server: Server) -> list[str]:
    """The folders of hibernated sessions."""
    folder = server.data / "hibernated"
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


def hibernated(server: Server, count: int) -> None:
    wait_until("sessions to hibernate", lambda: metric(server, "sessions") == count, HIBERNATE_TIMEOUT)


def test_a_hibernated_session_goes_on_after_a_restart_of_the_server(own_server: Callable[..., Server]) -> None:
    sandbox = SMALL_SANDBOXES["sandbox"] | {"hibernate_after_secs": 2, "warm": "1"}
    role = {f'roles."{FRONT_ROLE}"': {"allow": []}}
    server = own_server("microvm", "hibernation", sandbox=sandbox, **role)
    runtime = Aws(server, "PYTHON_3_13").deploy(
        agent_zip("toolbox"),
        READY_TIMEOUT,
        platformVersion="V2",
        filesystemConfigurations=STORAGE,
        roleArn=FRONT_ROLE,
        environmentVariables={"TOOLBOX_MAY_DO_DAMAGE": "1"},
    )
    session, stopped, busy = runtime.session(), runtime.session(), runtime.session()
    busy.do("ping", status="HealthyBusy")
    session.do("remember", value="in memory")
    session.do("write", name="note", text="on disk")
    for each in (session, stopped):
        each.do("write", name=NOTE, text="kept")
    before = session.do("whoami")
    stopped.do("remember", value="to be forgotten")
    keys = {each.id: found_by(each) for each in (session, stopped, busy)}
    arns = {each: said_of(server, found) for each, found in keys.items()}
    assert all(":assumed-role/front/" in arn for arn in arns.values()), arns
    hibernated(server, 1)
    # On a slow machine one may have been woken by its own next request meanwhile.
    assert metric(server, "hibernations_total", outcome="hibernated") >= 2
    assert metric(server, "hibernations_total", outcome="lost") == 0
    assert len(kept(server)) == 2
    consistently("the busy session stays", lambda: metric(server, "sessions") == 1, 3)
    stopped.stop()
    assert len(kept(server)) == 1
    assert said_of(server, keys[session.id]) == arns[session.id], "they end with the session alone"
    server.kill()
    # On another port.
    runtime = Runtime(Aws(server.start(), "PYTHON_3_13"), runtime.id, runtime.arn)
    # The busy one is adopted, the others are not there.
    said = {each: said_of(server, found) for each, found in keys.items()}
    assert said == arns | {stopped.id: "ExpiredToken"}
    session, stopped, busy = (runtime.session(each.id) for each in (session, stopped, busy))
    wait_until(
        "a sandbox to stand ready", lambda: metric(server, "warm_pool_sandboxes", state="ready") == 1, READY_TIMEOUT
    )
    asked = time.time()
    assert session.do("recall") == "in memory"
    after = session.do("whoami")
    assert (session.do("read", name="note"), session.do("read", name=NOTE)) == ("on disk", "kept")
    assert metric(server, "session_starts_total", origin="woken") >= 1
    assert metric(server, "session_starts_total", origin="warm") == 0, "it has a sandbox of its own"
    assert (after["pid"], after["hostname"]) == (before["pid"], before["hostname"])
    assert after["random"] != before["random"]
    for each in (session, busy):
        assert said_of(server, found_by(each)) == arns[each.id], "it finds new ones in the same name"
        assert said_of(server, keys[each.id]) == arns[each.id]
    assert asked - 0.5 < after["time"] < time.time() + 0.5
    assert (stopped.do("recall"), stopped.do("read", name=NOTE)) == (None, "kept")
    assert said_of(server, keys[stopped.id]) == "ExpiredToken", "they were another session's of this name"
    runtime.delete()
    assert kept(server) == []
    server.stop()
    server.assert_nothing_left()
