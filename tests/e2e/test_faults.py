"""Faults of machines and of the host.

Each time every caller is answered, nothing that was acknowledged is lost, nothing is left behind, and the server is
well again without help.
"""

import errno
import os
import random
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness.aws import AgentSession, Aws, Runtime, agent_zip, failure, host_python
from harness.server import SMALL_SANDBOXES, Server, run
from harness.waiting import wait_until

SEED = 20261121
# What a caller may be told when its session's machine is lost under it.
LOST = {(424, "RuntimeClientError"), (409, "RetryableConflictException"), (500, "InternalServerException")}
# No fault may hold a caller for longer.
DEADLINE = 60.0


def outcome(ask: Callable[[], object]) -> tuple[int, str]:
    """The status of what was asked, which must come in time."""
    asked = time.monotonic()
    try:
        ask()
        status = (200, "")
    except ClientError as error:
        response = error.response
        status = (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"])
    assert time.monotonic() - asked < DEADLINE, f"{status} took too long"
    return status


def afresh(session: AgentSession) -> bool:
    """Whether the session's id serves again, with nothing of what it held."""
    try:
        return session.do("recall") is None
    except ClientError as error:
        assert (failure(error)["status"], failure(error)["code"]) in LOST
        return False


@pytest.fixture(scope="module")
def vm_server(driver: str) -> Iterator[Server]:
    if driver != "microvm":
        pytest.skip("needs --driver microvm")
    yield from run(Server("microvm", "faults", SMALL_SANDBOXES))


@pytest.fixture(scope="module")
def vm_toolbox(vm_server: Server, python: str) -> Runtime:
    return Aws(vm_server, python).deploy(agent_zip("toolbox"), platformVersion="V2")


def while_waiting(session: AgentSession, fault: Callable[[], None]) -> tuple[int, str]:
    """What a request is told that was under way at the fault."""
    session.do("remember", value="lost")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(outcome, lambda: session.start("sleep", seconds=2 * DEADLINE))
        assert session.do("wait_for_sleep", seconds=DEADLINE), "the request is not under way"
        stream = session.start("stream", count=1000, delay=0.1)["response"]
        assert stream.read(5)
        fault()
        with pytest.raises(Exception, match=r"(?i)connection|incomplete|ended|protocol"):
            while stream.read(64):
                pass
        return waiting.result(DEADLINE)


@pytest.mark.microvm
def test_a_machine_is_killed(vm_server: Server, vm_toolbox: Runtime) -> None:
    session = vm_toolbox.session()
    machine = vm_server.machine_called(session.do("whoami")["hostname"])
    assert while_waiting(session, lambda: os.kill(machine, signal.SIGKILL)) in LOST
    wait_until("the session to start afresh", lambda: afresh(session), DEADLINE)
    session.stop()


@pytest.mark.microvm
def test_a_machine_hangs(vm_server: Server, vm_toolbox: Runtime) -> None:
    session = vm_toolbox.session()
    machine = vm_server.machine_called(session.do("whoami")["hostname"])
    assert while_waiting(session, lambda: os.kill(machine, signal.SIGSTOP)) in LOST
    wait_until("the session to start afresh", lambda: afresh(session), DEADLINE)
    wait_until("the machine that hung to be gone", lambda: machine not in vm_server.machines(), DEADLINE)
    session.stop()


@pytest.mark.microvm
def test_machines_are_killed_at_any_moment_of_their_lives(vm_server: Server, vm_toolbox: Runtime) -> None:
    chance = random.Random(SEED)
    over = threading.Event()

    def kill_now_and_then() -> None:
        while not over.wait(chance.uniform(0.1, 1.0)):
            found = vm_server.machines()
            if found:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(found), signal.SIGKILL)

    def live(_: int) -> tuple[int, str]:
        session = vm_toolbox.session()
        try:
            return outcome(lambda: session.do("sleep", seconds=0.5))
        finally:
            session.stop_if_running()

    killer = threading.Thread(target=kill_now_and_then, daemon=True)
    killer.start()
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(live, range(18)))
    over.set()
    killer.join()
    assert set(outcomes) <= LOST | {(200, "")}
    assert (200, "") in outcomes
    wait_until("no machine to be left", lambda: not vm_server.machines(), DEADLINE)
    assert vm_server.healthy()
    assert afresh(vm_toolbox.session())


@contextmanager
def small_disk(server: Server, mebibytes: int) -> Iterator[None]:
    """A file system of its own for a server's folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", server.folder], check=True)
    try:
        yield
    finally:
        server.clean_up()
        subprocess.run(["umount", "--lazy", server.folder], check=True)
        server.clean_up()


def fill(folder: Path) -> Path:
    """Takes all that is left on a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk() -> None:
    server = Server("process", "full-disk")
    with small_disk(server, 64):
        aws = Aws(server.start(), host_python())
        runtime = aws.deploy(agent_zip("toolbox"))
        session = runtime.session()
        session.do("remember", value="kept")
        aws.upload(b"kept", "object")
        filler = fill(server.folder)
        assert session.do("recall") == "kept", "a running session needs no room"
        assert outcome(lambda: aws.upload(bytes(1 << 20), "too-large"))[0] in (500, 503)
        assert outcome(lambda: aws.create(agent_zip("toolbox")))[0] in (500, 503)
        assert server.healthy()
        filler.unlink()
        assert session.do("recall") == "kept"
        assert aws.s3.get_object(Bucket="coracle-tests", Key="object")["Body"].read() == b"kept"
        assert aws.deploy(agent_zip("toolbox")).session().do("recall") is None
        server.stop()


def test_a_locked_store(own_server: Callable[..., Server]) -> None:
    server = own_server("process", "locked-store")
    aws = Aws(server, host_python())
    runtime = aws.deploy(agent_zip("toolbox"))
    session = runtime.session()
    session.do("remember", value="kept")
    (database,) = server.data.glob("*.db")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(2) as pool:
        new_session = pool.submit(outcome, lambda: runtime.session().do("recall"))
        update = pool.submit(outcome, lambda: runtime.update(environmentVariables={"A": "b"}))
        assert session.do("recall") == "kept", "a running session writes nothing"
        assert new_session.result(DEADLINE)[0] in (500, 503)
        assert update.result(DEADLINE)[0] in (500, 503)
        waiting = pool.submit(outcome, lambda: runtime.session().do("recall"))
        wait_until("a caller to wait for the store", waiting.running, DEADLINE)
        other.execute("ROLLBACK")
        assert waiting.result(DEADLINE) == (200, ""), "one that comes free in time is only slow"
    other.close()
    assert session.do("recall") == "kept"
    assert server.healthy()
    server.stop()


def test_no_more_open_files(own_server: Callable[..., Server]) -> None:
    server = own_server("process", "open-files")
    aws = Aws(server, host_python())
    runtime = aws.deploy(agent_zip("toolbox"))
    session = runtime.session()
    session.do("remember", value="kept")
    enough = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    in_use = len(os.listdir(f"/proc/{server.pid}/fd"))
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (in_use + 2, enough[1]))
    try:
        # On the connection that is open already.
        status, _ = outcome(lambda: runtime.session().do("recall"))
        assert status in (424, 429, 500, 503)
        assert session.do("recall") == "kept"
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, enough)
    wait_until("the server to be healthy again", server.healthy, DEADLINE)
    assert Aws(server, host_python()).deploy(agent_zip("toolbox")).session().do("recall") is None
    assert session.do("recall") == "kept"
    server.stop()


class JumpingClock:
    """A wall clock of a server's own, by libfaketime, which can be set while it runs."""

    LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.jump("+0")
        self.environment = {
            "LD_PRELOAD": str(self.LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, offset: str) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{offset}\n")
        draft.rename(self._file)


@pytest.mark.skipif(JumpingClock.LIBRARY is None, reason="needs libfaketime")
def test_the_clock_jumps(own_server: Callable[..., Server], tmp_path: Path) -> None:
    clock = JumpingClock(tmp_path)
    server = own_server("process", "clock", environment=clock.environment)
    aws = Aws(server, host_python())
    runtime = aws.deploy(agent_zip("toolbox"), lifecycleConfiguration={"idleRuntimeSessionTimeout": 60})
    session = runtime.session()
    session.do("remember", value="kept")
    # Less than a signature may be off, more than the session may be idle.
    for offset in ("+4m", "-4m", "+0"):
        stream = session.start("stream", count=20, delay=0.05)["response"]
        clock.jump(offset)
        assert len(stream.read().splitlines()) >= 20, "a stream goes on"
        assert session.do("recall") == "kept", "no time has passed"
        assert runtime.session().do("recall") is None
    for offset in ("+3d", "-3d"):
        clock.jump(offset)
        refused = outcome(lambda: session.do("recall"))
        assert refused == (403, "InvalidSignatureException"), "the caller's clock is off by days"
        assert server.healthy()
    clock.jump("+0")
    assert session.do("recall") == "kept"
    assert aws.deploy(agent_zip("toolbox")).session().do("recall") is None
    server.stop()


@contextmanager
def no_more_processes(server: Server) -> Iterator[None]:
    """Lets the server start neither processes nor threads; what runs already goes on."""
    hierarchies = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
    hierarchy = next((each for each in hierarchies if (each / "cgroup.procs").exists()), None)
    if hierarchy is None or os.geteuid() != 0:
        pytest.skip("needs a control group of processes")
    group = hierarchy / f"coracle-tests-{server.pid}"
    group.mkdir()
    try:
        if not (group / "pids.max").exists():
            pytest.skip("needs the control group controller of processes")
        (group / "cgroup.procs").write_text(str(server.pid))
        (group / "pids.max").write_text((group / "pids.current").read_text())
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (hierarchy / "cgroup.procs").write_text(pid)
        group.rmdir()


def test_no_more_processes(own_server: Callable[..., Server]) -> None:
    server = own_server("process", "processes")
    runtime = Aws(server, host_python()).deploy(agent_zip("toolbox"))
    session = runtime.session()
    session.do("remember", value="kept")
    with no_more_processes(server):
        for _ in range(3):
            assert outcome(lambda: runtime.session().do("recall"))[0] in (424, 429, 500, 503)
        assert session.do("recall") == "kept"
        assert server.healthy()
    assert runtime.session().do("recall") is None
    assert session.do("recall") == "kept"
    server.stop()
