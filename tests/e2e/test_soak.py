"""Many sessions leave nothing behind.

In their short form these tests are part of every run; `scripts/soak` gives them as long as one likes and prints what
the server held before and after.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness.aws import Aws, Runtime, agent_zip, failure
from harness.processes import memory_kib
from harness.server import SMALL_SANDBOXES, Server, run
from harness.waiting import wait_until

IN_A_ROW = int(os.environ.get("CORACLE_SOAK_SESSIONS", "10"))
AT_ONCE = int(os.environ.get("CORACLE_SOAK_AT_ONCE", "6"))
MIXED_SECONDS = float(os.environ.get("CORACLE_SOAK_SECONDS", "8"))
TIMEOUT = 600 + 10 * IN_A_ROW + 4 * MIXED_SECONDS
# What a server may come to hold by being used at all: caches, pools, arenas of its allocator.
SLACK_MEMORY_MIB = 24.0
# Clients keep their connections.
SLACK_FILES = AT_ONCE + 8
# Other servers on this host may be making a machine's groups just now.
SLACK_GROUPS = 8
SEED = 20261121
# What a busy server may answer under load.
EXPECTED = {
    "ConflictException",
    "ResourceNotFoundException",
    "RetryableConflictException",
    "ServiceQuotaExceededException",
    "ThrottlingException",
}


@dataclass(frozen=True)
class Holdings:
    """What a server holds on to."""

    memory_mib: float
    open_files: int
    threads: int
    children: int
    sandboxes: int
    namespaces: int
    cgroups: int

    @classmethod
    def of(cls, server: Server) -> "Holdings":
        proc = Path(f"/proc/{server.pid}")
        return cls(
            memory_mib=memory_kib(server.pid, "VmRSS") / 1024,
            open_files=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            children=len(server.left_processes()),
            sandboxes=len(server.left_files()),
            namespaces=len({inode for pid in Path("/proc").glob("[0-9]*") for inode in _namespaces(pid)}),
            cgroups=len(_empty_groups()),
        )

    def assert_like(self, before: "Holdings") -> None:
        print(f"\nbefore {before}\nafter  {self}")
        assert self.children <= before.children, "processes are left"
        assert self.cgroups <= before.cgroups + SLACK_GROUPS, "control groups are left"
        assert self.sandboxes <= before.sandboxes, "folders or sockets of sandboxes are left"
        assert self.open_files <= before.open_files + SLACK_FILES, "files are left open"
        assert self.memory_mib <= before.memory_mib + SLACK_MEMORY_MIB, "the server has grown"


def _namespaces(process: Path) -> list[str]:
    found = []
    for kind in ("net", "mnt", "pid", "ipc", "uts"):
        with suppress(OSError):
            found.append(os.readlink(process / "ns" / kind))
    return found


def _empty_groups() -> list[Path]:
    found = []
    for group in Path("/sys/fs/cgroup").rglob("coracle/*"):
        with suppress(OSError):
            if group.is_dir() and not (group / "cgroup.procs").read_text():
                found.append(group)
    return found


@pytest.fixture(scope="module")
def soaked(driver: str) -> Iterator[Server]:
    yield from run(Server(driver, "soak", SMALL_SANDBOXES))


@pytest.fixture(scope="module")
def runtime(soaked: Server, python: str) -> Runtime:
    runtime = Aws(soaked, python).deploy(agent_zip("toolbox"), platformVersion="V2")
    # Whatever is made once is made before anything is counted.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: one_session(runtime), range(4)))
    return runtime


def one_session(runtime: Runtime) -> None:
    session = runtime.session()
    session.do("remember", value=session.id)
    assert session.do("recall") == session.id
    session.stop()


def nothing_runs(server: Server) -> None:
    wait_until("no sandbox to be left", lambda: not server.left_processes() and not server.left_files(), 60)


@pytest.mark.timeout(TIMEOUT)
def test_sessions_one_after_another(soaked: Server, runtime: Runtime) -> None:
    nothing_runs(soaked)
    before = Holdings.of(soaked)
    for _ in range(IN_A_ROW):
        one_session(runtime)
    nothing_runs(soaked)
    Holdings.of(soaked).assert_like(before)


@pytest.mark.timeout(TIMEOUT)
def test_sessions_at_once(soaked: Server, runtime: Runtime) -> None:
    nothing_runs(soaked)
    before = Holdings.of(soaked)
    sessions = [runtime.session() for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda session: session.do("remember", value=session.id), sessions))
        assert list(pool.map(lambda session: session.do("recall"), sessions)) == [each.id for each in sessions]
        list(pool.map(lambda session: session.stop(), sessions))
    nothing_runs(soaked)
    Holdings.of(soaked).assert_like(before)


class Caller(threading.Thread):
    """Does one thing after another until time is up."""

    def __init__(self, runtime: Runtime, seed: int, end: float) -> None:
        super().__init__(daemon=True)
        self._runtime = runtime
        self._chance = random.Random(seed)
        self._end = end
        self.done: dict[str, int] = {}
        self.unexpected: list[str] = []

    def run(self) -> None:
        things: list[Callable[[], None]] = [
            self._session, self._stream, self._leave, self._crash, self._upload, self._deploy,
        ]  # fmt: skip
        while time.monotonic() < self._end:
            thing = self._chance.choices(things, weights=[8, 4, 4, 4, 4, 1])[0]
            name = thing.__name__.strip("_")
            try:
                thing()
                self.done[name] = self.done.get(name, 0) + 1
            except ClientError as error:
                if failure(error)["code"] not in EXPECTED:
                    self.unexpected.append(f"{name}: {failure(error)}")
            except Exception as error:  # noqa: BLE001 - reported by the test
                self.unexpected.append(f"{name}: {error!r}")

    def _session(self) -> None:
        one_session(self._runtime)

    def _stream(self) -> None:
        session = self._runtime.session()
        body = session.start("stream", count=50, delay=0.01)["response"].read()
        assert body.count(b"data:") == 50
        session.stop()

    def _leave(self) -> None:
        """A client that goes in the middle of an answer."""
        session = self._runtime.session()
        stream = session.start("stream", count=1000, delay=0.05)["response"]
        stream.read(5)
        stream.close()
        session.stop()

    def _crash(self) -> None:
        session = self._runtime.session()
        session.do("recall")
        assert session.fails("exit", code=1)["status"] in (409, 424)

    def _upload(self) -> None:
        self._runtime.aws.upload(os.urandom(1 << 20), f"{threading.get_ident()}.bin")

    def _deploy(self) -> None:
        runtime = self._runtime.aws.deploy(agent_zip("toolbox"), environmentVariables={"A": str(time.time())})
        one_session(runtime)
        runtime.delete()


@pytest.mark.timeout(TIMEOUT)
def test_everything_at_once(soaked: Server, runtime: Runtime) -> None:
    nothing_runs(soaked)
    before = Holdings.of(soaked)
    end = time.monotonic() + MIXED_SECONDS
    callers = [Caller(runtime, SEED + number, end) for number in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(MIXED_SECONDS + 300)
        assert not caller.is_alive(), "a caller was never answered"
    assert not [text for caller in callers for text in caller.unexpected]
    print("\n", [caller.done for caller in callers])
    nothing_runs(soaked)
    Holdings.of(soaked).assert_like(before)
