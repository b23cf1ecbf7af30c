"""The process of a microVM is jailed: what the host's kernel says of it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.aws import AgentSession, Aws, agent_zip
from harness.server import BINARIES, SMALL_SANDBOXES, Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

NAMESPACES = ("mnt", "pid", "net", "ipc", "uts")
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a complete jail")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def group_of(pid: int, controller: str) -> Path:
    """A process's control group: of this controller in version 1, of all in version 2."""
    lines = (line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    groups = {kind: path for kinds, path in lines for kind in kinds.split(",")}
    if controller in groups:
        return Path(f"/sys/fs/cgroup/{controller}{groups[controller]}")
    return Path(f"/sys/fs/cgroup{groups['']}")


@as_root
def test_a_machine_has_a_user_and_namespaces_of_its_own(
    neighbours: tuple[AgentSession, AgentSession], server: Server
) -> None:
    pids = server.machines()
    assert len(pids) >= len(neighbours)
    for pid in pids:
        said = status(pid)
        assert said["NoNewPrivs"] == "1"
        assert said["Seccomp"] == "2", "QEMU's filter of system calls is on"
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(said[kind], 16) == 0, kind
    # Warm and template machines come and go beside these: what must differ is told of all that are there.
    users = [status(pid)["Uid"].split() for pid in pids]
    assert all(len(set(ids)) == 1 and ids[0] != "0" for ids in users)
    assert len({ids[0] for ids in users}) == len(pids), "two machines have the same user"
    for kind in NAMESPACES:
        theirs = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}
        assert len(theirs) == len(pids), f"two machines share their {kind} namespace"
        assert os.readlink(f"/proc/{server.pid}/ns/{kind}") not in theirs


@as_root
def test_a_machine_sees_its_own_files_and_no_network(
    neighbours: tuple[AgentSession, AgentSession], server: Server
) -> None:
    pid = server.machines()[0]
    root = Path(f"/proc/{pid}/root")
    assert {entry.name for entry in root.iterdir()}.isdisjoint({"proc", "sys", "boot"})
    devices = {entry.name for entry in (root / "dev").iterdir()}
    assert devices - {"kvm"} == {"null"}, "without it QEMU takes no locks on disks"
    seen = root / server.data.relative_to("/")
    assert not (seen / "credentials").exists()
    assert not (seen / "coracle.db").exists()
    assert len(list((seen / "sandboxes").iterdir())) == 1
    for shared in ("usr", "."):
        with pytest.raises(OSError, match="Read-only"):
            (root / shared / "written").write_text("")
    interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


@as_root
def test_a_machine_has_limits(neighbours: tuple[AgentSession, AgentSession], server: Server) -> None:
    pid = server.machines()[0]
    limits = {line[:26].strip(): line[26:].split()[0] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()}
    assert limits["Max core file size"] == "0"
    assert limits["Max file size"] != "unlimited"
    assert int(limits["Max open files"]) <= 1024
    if "missing: limits by control groups" not in server.log.read_text():
        assert "coracle" in Path(f"/proc/{pid}/cgroup").read_text()


WRITE = """
import os, time
piece = os.urandom(1 << 20)
began = time.monotonic()
with open("/tmp/written", "wb", buffering=0) as file:
    for _ in range({mib}):
        file.write(piece)
    os.fsync(file.fileno())
result = time.monotonic() - began
"""


def test_disks_keep_to_the_rate_that_the_operator_says(own_server: Callable[..., Server], python: str) -> None:
    rate, mib = 16, 64
    sandbox = SMALL_SANDBOXES["sandbox"] | {"disk_mib_per_second": rate, "disk_operations_per_second": 2000}
    server = own_server("microvm", "disk-rate", sandbox=sandbox)
    runtime = Aws(server, python).deploy(
        agent_zip("toolbox"), environmentVariables={"TOOLBOX_MAY_DO_DAMAGE": "1"}, platformVersion="V2"
    )
    took = runtime.session().do("python", code=WRITE.format(mib=mib))
    # What a machine that has been idle may do at once is a fraction of a second's worth.
    assert took >= 0.75 * mib / rate, f"{mib} MiB were written and synced within {took:.1f} s"
    [pid] = server.machines()
    if "processor time and disk rate" in server.log.read_text():
        group = group_of(pid, "blkio")
        version_1, version_2 = group / "blkio.throttle.write_bps_device", group / "io.max"
        said = (version_1 if version_1.exists() else version_2).read_text()
        assert str(rate << 20) in said


COMPUTE = """
import time
ends = time.monotonic() + {seconds}
while time.monotonic() < ends:
    pass
result = "done"
"""


@as_root
def test_a_machine_that_computes_gives_way_to_others_until_it_has_done(
    own_server: Callable[..., Server], python: str
) -> None:
    server = own_server("microvm", "turns", **SMALL_SANDBOXES)
    runtime = Aws(server, python).deploy(
        agent_zip("toolbox"), environmentVariables={"TOOLBOX_MAY_DO_DAMAGE": "1"}, platformVersion="V2"
    )
    session = runtime.session()
    session.do("recall")
    [pid] = server.machines()
    group = group_of(pid, "cpu")
    background = group / "cpu.idle"
    if group.parent.name != "coracle" or not background.exists():
        pytest.skip("needs Linux 5.15 and control groups for processors")
    wait_until("the machine to be in front", lambda: background.read_text() == "0\n", 30)
    with ThreadPoolExecutor(1) as pool:
        work = []

        def is_in_background() -> bool:
            # Again, because on a host where everything is busy it gets no processor for itself at first.
            if not work or work[-1].done():
                work.append(pool.submit(session.do, "python", code=COMPUTE.format(seconds=8)))
            return background.read_text() == "1\n"

        wait_until("the machine that computes to be in the background", is_in_background, 120)
        assert [each.result() for each in work] == ["done"] * len(work)
    wait_until("the machine to be in front again", lambda: background.read_text() == "0\n", 30)
    session.stop()


@as_root
def test_a_machine_adds_no_files_to_its_folder(neighbours: tuple[AgentSession, AgentSession], server: Server) -> None:
    pid = server.machines()[0]
    user = int(status(pid)["Uid"].split()[0])
    folder = os.open(os.readlink(f"/proc/{pid}/cwd"), os.O_PATH)

    def as_its_user(command: str) -> subprocess.CompletedProcess[str]:
        run = {"pass_fds": [folder], "user": user, "group": user, "extra_groups": [], "cwd": "/"}
        shell = ["/bin/sh", "-c", command.format(folder=f"/proc/self/fd/{folder}")]
        return subprocess.run(shell, capture_output=True, text=True, check=False, **run)

    try:
        assert "qmp" in as_its_user("ls {folder}/").stdout
        assert "Permission denied" in as_its_user(": > {folder}/more").stderr
    finally:
        os.close(folder)


@as_root
def test_machines_run_whatever_the_servers_umask(own_server: Callable[..., Server], python: str) -> None:
    before = os.umask(0o077)
    try:
        server = own_server("microvm", "umask")
    finally:
        os.umask(before)
    assert Aws(server, python).deploy(agent_zip("toolbox")).session().do("recall") is None


@as_root
def test_an_ordinary_user_is_told_what_the_jail_lacks() -> None:
    program = os.open(BINARIES / "coracle", os.O_RDONLY)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            doctor = subprocess.run(
                [f"/proc/self/fd/{program}", "doctor", "--json", "--data-dir", f"{folder}/data"],
                pass_fds=[program],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
    finally:
        os.close(program)
    jail = next(finding for finding in json.loads(doctor.stdout)["findings"] if finding["name"] == "jail")
    assert jail["level"] == "warning", jail
    assert "missing: a user, root folder, network and namespaces of its own" in jail["found"]
    assert "as root" in jail["remedy"]
