"""SIGKILL at any moment loses nothing that was acknowledged and leaves no orphan."""

import os
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness.aws import Aws, Runtime, agent_zip, host_python
from harness.server import SMALL_SANDBOXES, Server
from harness.waiting import wait_until

KILLS = 40 if os.environ.get("CORACLE_SOAK") == "1" else 10
# Fixed, so that a failure can be tried again with the same moments.
SEED = int(os.environ.get("CORACLE_E2E_SEED", "20261121"))


@dataclass
class Acknowledged:
    """What the server has said it did."""

    versions: dict[str, int] = field(default_factory=dict)
    arns: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    rounds: int = 0


class Load(threading.Thread):
    """Creates, invokes, updates and deletes until the server dies under it."""

    def __init__(self, server: Server, python: str, known: Acknowledged, content: bytes) -> None:
        super().__init__(daemon=True)
        self._aws = Aws(server, python)
        self._known = known
        self._content = content
        self.unexpected: list[Exception] = []

    def run(self) -> None:
        try:
            while True:
                self._round()
                self._known.rounds += 1
        except (BotoCoreError, ConnectionError, OSError):
            return  # the server was killed
        except Exception as error:  # noqa: BLE001 - reported by the test
            self.unexpected.append(error)

    def _round(self) -> None:
        known = self._known
        key = f"object-{len(known.objects)}"
        self._aws.upload(key.encode() * 100, key)
        known.objects[key] = key.encode() * 100
        runtime = self._aws.create(self._content)
        known.arns[runtime.id] = runtime.arn
        known.versions[runtime.id] = 1
        runtime.wait_for("READY")
        session = runtime.session()
        session.do("remember", value=runtime.id)
        runtime.update(environmentVariables={"A": "b"})
        known.versions[runtime.id] = 2
        assert session.do("recall") == runtime.id
        runtime.wait_for("READY")
        session.stop()
        if len(known.versions) % 3 == 0:
            known.deleting.add(runtime.id)
            self._aws.control.delete_agent_runtime(agentRuntimeId=runtime.id)
            known.deleted.add(runtime.id)


def verify(server: Server, python: str, known: Acknowledged) -> None:
    aws = Aws(server, python)
    for key, content in known.objects.items():
        assert aws.s3.get_object(Bucket="coracle-tests", Key=key)["Body"].read() == content
    for runtime_id, version in known.versions.items():
        runtime = Runtime(aws, runtime_id, known.arns[runtime_id])
        if runtime_id in known.deleting:
            if runtime_id in known.deleted:
                wait_until(f"{runtime_id} to be gone", runtime.gone, 30)
            continue
        runtime.wait_for("READY")
        assert int(runtime.get()["agentRuntimeVersion"]) >= version


def crash(server: Server, python: str, moments: list[float]) -> Acknowledged:
    known, content = Acknowledged(), agent_zip("toolbox")
    for moment in moments:
        load = Load(server, python, known, content)
        load.start()
        load.join(moment)
        assert not load.unexpected, load.unexpected
        server.kill()
        load.join(30)
        assert not load.is_alive()
        server.start()
        assert not server.left_processes(), "an orphan has outlived the start of the next server"
        assert not server.left_files()
        verify(server, python, known)
    return known


@pytest.mark.timeout(600)
def test_killed_at_random_moments(own_server) -> None:
    chance = random.Random(SEED)
    server = own_server("process", "crash")
    known = crash(server, host_python(), [chance.uniform(0.05, 3.0) for _ in range(KILLS)])
    assert known.rounds > 0, "the load got somewhere"
    server.stop()


@pytest.mark.microvm
@pytest.mark.timeout(600)
def test_killed_with_machines_running(own_server, python: str) -> None:
    server = own_server("microvm", "crash-microvm", **SMALL_SANDBOXES)
    runtime = Aws(server, python).deploy(agent_zip("toolbox"))
    session = runtime.session()
    session.do("remember", value="kept by the machine")
    assert server.left_processes(), "a machine is running"
    starting = threading.Thread(target=lambda: _ignore_the_crash(runtime), daemon=True)
    starting.start()
    starting.join(1.5)  # any moment of the boot will do
    server.kill()
    starting.join(30)
    server.start()
    again = Runtime(Aws(server, python), runtime.id, runtime.arn)
    assert again.session(session.id).do("recall") == "kept by the machine"
    server.stop()


def _ignore_the_crash(runtime: Runtime) -> None:
    with suppress(BotoCoreError, ClientError, OSError):
        runtime.session().do("recall")
