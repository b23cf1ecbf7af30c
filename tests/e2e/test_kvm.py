"""The KVM path, for real: a server under `--accelerator kvm` in an emulated machine that has virtualisation."""

import platform
import re
import time
from collections.abc import Iterator

import pytest

from harness.aws import Aws, agent_zip
from harness.metrics import metric
from harness.nested import HostCannot, NestedMachine
from harness.waiting import wait_until
from test_jail import COMPUTE
from test_snapshots import assert_each_is_its_own, look

pytestmark = [
    pytest.mark.microvm,
    # Now and then the kernel in the emulated machine locks up while two processors run guests of its own.
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulated processor is AMD's"),
]


@pytest.fixture(scope="module")
def nested() -> Iterator[NestedMachine]:
    machine = NestedMachine("PYTHON_3_13")
    try:
        machine.build()
        machine.start()
        yield machine
    except HostCannot as problem:
        pytest.skip(str(problem))
    finally:
        machine.clean_up()


def test_an_agent_answers_under_kvm(nested: NestedMachine, capsys: pytest.CaptureFixture[str]) -> None:
    aws = Aws(nested, "PYTHON_3_13", read_timeout=600)
    runtime = aws.deploy(agent_zip("toolbox"), timeout=300)
    session = runtime.session()
    start = time.monotonic()
    session.do("remember", value="under KVM")
    cold = time.monotonic() - start
    start = time.monotonic()
    assert session.do("recall") == "under KVM"
    warm = time.monotonic() - start
    assert session.do("whoami")["folder"] == "/var/task"
    session.stop()
    with capsys.disabled():
        print(f"\nunder nested KVM: first answer after {cold:.1f} s, the next after {warm:.2f} s")


def test_machines_are_limited_by_control_groups_of_version_2(nested: NestedMachine) -> None:
    session = Aws(nested, "PYTHON_3_13", read_timeout=600).deploy(agent_zip("toolbox"), timeout=300).session()
    session.do("recall")
    limits = {
        "io": rf"\d+:\d+ rbps={256 << 20} wbps={256 << 20} riops=16000 wiops=16000",
        "memory": str((384 + 512) << 20),
        "cpu": "200000 100000",
        "pids": r"\d+",
    }
    for name, limit in limits.items():
        line = re.compile(rf"--- /sys/fs/cgroup/coracle/\w+/{name}\.max: {limit}\n")
        wait_until(f"{line.pattern} on the console", lambda line=line: line.search(nested.said()), 60)
    assert "control groups limit its memory, processes, processor time and disk rate" in nested.said()
    session.stop()


def test_a_machine_that_computes_gives_way_under_control_groups_of_version_2(nested: NestedMachine) -> None:
    runtime = Aws(nested, "PYTHON_3_13", read_timeout=600).deploy(
        agent_zip("toolbox"), timeout=300, environmentVariables={"TOOLBOX_MAY_DO_DAMAGE": "1"}
    )
    session = runtime.session()
    session.do("recall")
    booted = len(nested.said())
    wait_until("it to be in front", lambda: "/cpu.idle: 0\n" in nested.said()[booted:], 60)
    began = len(nested.said())
    session.do("python", code=COMPUTE.format(seconds=8))
    wait_until("it to be in the background", lambda: "/cpu.idle: 1\n" in nested.said()[began:], 60)
    ended = len(nested.said())
    wait_until("it to be in front again", lambda: "/cpu.idle: 0\n" in nested.said()[ended:], 60)
    session.stop()


def test_sessions_are_restored_hibernated_and_woken_under_kvm(nested: NestedMachine) -> None:
    aws = Aws(nested, "PYTHON_3_13", read_timeout=600)
    runtime = aws.deploy(agent_zip("snapshotted"), timeout=300, platformVersion="V2")
    sessions = [runtime.session(), runtime.session()]
    before = [look(session) for session in sessions]
    assert_each_is_its_own(before)
    assert metric(nested, "session_starts_total", origin="restored") == 2
    aws.control.tag_resource(resourceArn=runtime.arn, tags={"coracle:hibernate": "1"})
    # The tag counts for sessions that begin after it.
    session = runtime.session()
    asleep = look(session)
    for other in sessions:
        other.stop()
    wait_until("the session to hibernate", lambda: metric(nested, "sessions") == 0, 120)
    awake = look(session)
    assert metric(nested, "session_starts_total", origin="woken") == 1
    same = ("host name", "boot id", "machine id")
    assert [awake["unique"][name] for name in same] == [asleep["unique"][name] for name in same]
    assert awake["unique"]["urandom"] != asleep["unique"]["urandom"]
    assert awake["loopback"]
    session.stop()
