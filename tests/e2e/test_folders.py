"""Folders of the host that agents mount: access points of EFS and S3 Files, as the operator maps them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.aws import AgentSession, Aws, Json, Runtime, agent_zip
from harness.metrics import metric
from harness.server import SMALL_SANDBOXES, Server
from harness.waiting import wait_until

READY_TIMEOUT = 180.0
HIBERNATE_TIMEOUT = 60.0
# What one sandbox writes, another sees once it no longer believes what it knew, after 3 s.
PATIENCE = 30.0
OWNER = 4711
SHARED, READ_ONLY = "/mnt/shared", "/mnt/given"
POINT = "access-point/fsap-0123456789abcdef0"
EFS = f"arn:aws:elasticfilesystem:us-east-1:000000000000:{POINT}"
S3_FILES = f"arn:aws:s3files:us-east-1:000000000000:file-system/fs-0123456789abcdef0/{POINT}"
MOUNTS = [
    {"efsAccessPoint": {"accessPointArn": EFS, "mountPath": SHARED}},
    {"s3FilesAccessPoint": {"accessPointArn": S3_FILES, "mountPath": READ_ONLY}},
]
VPC = {
    "networkMode": "VPC",
    "networkModeConfig": {"subnets": ["subnet-0123456789abcdef0"], "securityGroups": ["sg-0123456789abcdef0"]},
}

# What the agent runs. `kept` outlives the request.
OPEN = f"import builtins; builtins.kept = open('{SHARED}/open', 'a+'); result = None"
APPEND = "import os; kept.write('{text}\\n'); kept.flush(); os.fsync(kept.fileno()); kept.seek(0); result = kept.read()"
CHANGE_WHAT_IS_READ_ONLY = f"""
result = []
for change in (lambda: open('{READ_ONLY}/new', 'w'), lambda: open('{READ_ONLY}/file', 'a')):
    try:
        change()
    except OSError as error:
        result.append(error.errno)
"""
# NFS by hand: what a kernel would not send. Answers the status of each.
ASK_BY_HAND = """
import socket, struct

def ask(port, program, procedure, arguments):
    with socket.create_connection(('192.0.0.1', port), 10) as connection:
        call = struct.pack('>10I', 1, 0, 2, program, 3, procedure, 0, 0, 0, 0) + arguments
        connection.sendall(struct.pack('>I', 1 << 31 | len(call)) + call)
        length = struct.unpack('>I', connection.recv(4, socket.MSG_WAITALL))[0] & 0x7fffffff
        return connection.recv(length, socket.MSG_WAITALL)[24:]

def opaque(data):
    return struct.pack('>I', len(data)) + data + bytes(-len(data) % 4)

def status(answer):
    return struct.unpack('>I', answer[:4])[0]

mounted = ask(2049, 100005, 1, opaque(b'/'))
top = mounted[8 : 8 + struct.unpack('>I', mounted[4:8])[0]]
result = {
    'own': status(ask(2049, 100003, 1, opaque(top))),
    'invented': status(ask(2049, 100003, 1, opaque(bytes(32)))),
    'of another mount': status(ask(2050, 100003, 1, opaque(top))),
    'above': status(ask(2049, 100003, 3, opaque(top) + opaque(b'../secret'))),
    'write what is read-only': status(ask(2050, 100003, 8, opaque(b''))),
}
"""


@pytest.fixture
def host() -> Iterator[Path]:
    """A folder of the host with a secret beside the folders that are mounted."""
    folder = Path(tempfile.mkdtemp(prefix="cor-mounts-"))
    for name in ("shared", "given"):
        (folder / name).mkdir()
        if os.geteuid() == 0:
            os.chown(folder / name, OWNER, OWNER)
    (folder / "given" / "file").write_text("given")
    (folder / "secret").write_text("secret")
    (folder / "shared" / "out").symlink_to(folder)
    yield folder
    shutil.rmtree(folder)


def mounts(host: Path) -> dict[str, Json]:
    return {
        f'mounts."{EFS}"': {"folder": str(host / "shared")},
        f'mounts."{S3_FILES}"': {"folder": str(host / "given"), "read_only": True},
    }


def deployed(server: Server, **members: Any) -> Runtime:
    members = {"platformVersion": "V2", "filesystemConfigurations": MOUNTS, "networkConfiguration": VPC} | members
    environment = {"TOOLBOX_MAY_DO_DAMAGE": "1"}
    return Aws(server, "PYTHON_3_13").deploy(
        agent_zip("toolbox"), READY_TIMEOUT, environmentVariables=environment, **members
    )


@pytest.mark.microvm
def test_sessions_share_a_folder_of_the_host_and_keep_it(own_server: Callable[..., Server], host: Path) -> None:
    sandbox = SMALL_SANDBOXES["sandbox"] | {"hibernate_after_secs": 3}
    server = own_server("microvm", "folders", sandbox=sandbox, **mounts(host))
    runtime = deployed(server)
    one, other = runtime.session(), runtime.session()
    for session in (one, other):
        session.do("ping", status="HealthyBusy")
    both_see_what_either_writes(one, other, host)
    assert one.do("read", name=f"{READ_ONLY}/file") == "given"
    assert one.do("python", code=CHANGE_WHAT_IS_READ_ONLY) == [30, 30], "EROFS"
    nothing_leads_out(one)

    one.do("python", code=OPEN)
    assert one.do("python", code=APPEND.format(text="one")) == "one\n"
    server.kill()
    server.start()
    one, other = (
        Runtime(Aws(server, "PYTHON_3_13"), runtime.id, runtime.arn).session(each.id) for each in (one, other)
    )
    assert one.do("python", code=APPEND.format(text="two")) == "one\ntwo\n"

    one.do("ping", status="Healthy")
    wait_until("the session to hibernate", lambda: hibernations(server) >= 1, HIBERNATE_TIMEOUT)
    assert one.do("python", code=APPEND.format(text="three")) == "one\ntwo\nthree\n"
    assert metric(server, "session_starts_total", origin="woken") >= 1
    assert (host / "shared" / "open").read_text() == "one\ntwo\nthree\n"
    one.stop()
    other.stop()
    server.stop()
    server.assert_nothing_left()


def hibernations(server: Server) -> float:
    return metric(server, "hibernations_total", outcome="hibernated")


def both_see_what_either_writes(one: AgentSession, other: AgentSession, host: Path) -> None:
    assert one.do("files", folder=SHARED) == ["out"]
    assert other.do("read", name=f"{SHARED}/note") is None
    one.do("write", name=f"{SHARED}/note", text="from one")
    wait_until("the other to see it", lambda: other.do("read", name=f"{SHARED}/note") == "from one", PATIENCE)
    note = host / "shared" / "note"
    assert note.read_text() == "from one"
    assert (note.stat().st_uid, note.stat().st_gid) == (
        (host / "shared").stat().st_uid,
        (host / "shared").stat().st_gid,
    )
    (host / "shared" / "from-host").write_text("from the host")
    wait_until("files of the host", lambda: one.do("read", name=f"{SHARED}/from-host") == "from the host", PATIENCE)


def nothing_leads_out(session: AgentSession) -> None:
    assert session.do("read", name=f"{SHARED}/out/secret") is None, "a link is followed on the host"
    answers = session.do("python", code=ASK_BY_HAND)
    bad_handle, invalid, read_only = 10001, 22, 30
    assert answers == {
        "own": 0,
        "invented": bad_handle,
        "of another mount": bad_handle,
        "above": invalid,
        "write what is read-only": read_only,
    }


def refused(cloud: Aws, **members: Any) -> str:
    with pytest.raises(ClientError) as refused:
        cloud.create(agent_zip("toolbox"), **members)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    return str(refused.value.response["fieldList"])


@pytest.mark.parametrize("mount", MOUNTS, ids=["efs", "s3-files"])
def test_an_access_point_needs_a_folder_and_a_vpc(cloud: Aws, mount: Json) -> None:
    assert "[mounts." in refused(cloud, filesystemConfigurations=[mount], networkConfiguration=VPC)
    assert "VPC" in refused(cloud, filesystemConfigurations=[mount])


def test_processes_mount_nothing(aws: Aws, driver: str) -> None:
    if driver != "process":
        pytest.skip("needs --driver process")
    assert "microvm" in refused(aws, filesystemConfigurations=MOUNTS[:1], networkConfiguration=VPC)
