"""What a session finds again when it is used again: the file system of its `sessionStorage`."""

import os
import signal

from harness import processes
from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.metrics import metric
from harness.server import Server
from harness.waiting import wait_until

MOUNT = "/mnt/data"
NOTE = f"{MOUNT}/note"
PATIENCE = 60.0
STORAGE = [{"sessionStorage": {"mountPath": MOUNT}}]


def storages(server: Server) -> set[str]:
    folder = server.data / "storage"
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def deployed(aws: Aws, **members: object) -> Runtime:
    return aws.deploy(agent_zip("toolbox"), filesystemConfigurations=STORAGE, **members)


def test_a_session_finds_again_what_it_kept(aws: Aws, server: Server, driver: str) -> None:
    before = storages(server)
    runtime = deployed(aws, platformVersion="V2")
    session, other = runtime.session(), runtime.session()
    assert session.do("files", folder=MOUNT) == []
    session.do("write", name=NOTE, text="kept")
    session.stop()
    assert session.do("read", name=NOTE) == "kept"
    assert other.do("files", folder=MOUNT) == [], "another session sees it"
    assert len(storages(server) - before) == 2
    assert metric(server, "session_storages") >= 2
    if driver == "microvm":
        assert metric(server, "session_storage_bytes") > 0
        a_machine_that_dies_leaves_what_was_synced(server, session)

    # Another version, which boots and is not restored.
    session.stop()
    other.stop()
    runtime.update(filesystemConfigurations=STORAGE, platformVersion="V1")
    runtime.wait_for("READY")
    assert session.do("files", folder=MOUNT) == []
    session.do("write", name=NOTE, text="of version 2")
    session.stop()
    assert session.do("read", name=NOTE) == "of version 2"
    runtime.delete()
    wait_until("the storages to go", lambda: storages(server) <= before, PATIENCE)


def a_machine_that_dies_leaves_what_was_synced(server: Server, session: AgentSession) -> None:
    session.do("write", name=NOTE, text="synced", sync=True)
    sandbox = session.do("whoami")["hostname"]
    machines = processes.users_of(server.data / "sandboxes" / sandbox)
    os.kill(next(pid for pid, line in machines.items() if "qemu" in line), signal.SIGKILL)
    wait_until("nothing to be left of it", lambda: not (server.data / "sandboxes" / sandbox).exists(), PATIENCE)
    assert session.do("read", name=NOTE) == "synced"
    assert session.do("whoami")["hostname"] != sandbox
