"""A container image for another processor than the server's runs in emulation, if the operator allows it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness.aws import AGENTS, Aws
from harness.containers import ARCHITECTURE, OTHER_ARCHITECTURE, Layer, image
from harness.metrics import metric
from harness.registry import DebianRegistry
from harness.server import BINARIES, IMAGES, SMALL_SANDBOXES, Server, run
from harness.waiting import wait_until
from test_egress import logged

MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}[OTHER_ARCHITECTURE]
QEMU = f"qemu-system-{MACHINE}"
GUEST = BINARIES / f"coracle-guest-{OTHER_ARCHITECTURE}"
TIMEOUT = 600.0

pytestmark = [
    pytest.mark.microvm,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not shutil.which(QEMU), reason=f"{QEMU} is not installed"),
    pytest.mark.skipif(not GUEST.exists(), reason=f"needs cargo xtask build --guest {OTHER_ARCHITECTURE}"),
]


@pytest.fixture(scope="module")
def allowing() -> Iterator[Server]:
    """A server that runs images for the other processor."""
    build = [str(BINARIES / "coracle"), "image", "build", "kernel", "--arch", OTHER_ARCHITECTURE]
    subprocess.run([*build, "--images-dir", str(IMAGES)], check=True, timeout=TIMEOUT)
    sandbox = SMALL_SANDBOXES["sandbox"] | {"hibernate_after_secs": 2}
    config = {"containers": {"other_architectures": True}, "sandbox": sandbox}
    yield from run(Server("microvm", "other", config))


@pytest.fixture(scope="module")
def reference(registry: DebianRegistry) -> str:
    """Debian's own Python for the other processor, with an agent that is a plain script."""
    system = Layer().debian(OTHER_ARCHITECTURE, "python3-minimal,libpython3-stdlib")
    agent = Layer().file("app/main.py", AGENTS / "toolbox.py", 0o644)
    agent.add("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    made = image([system, agent], architecture=OTHER_ARCHITECTURE, WorkingDir="/app", Cmd=["python3", "main.py"])
    return registry.push(made, "team/other-processor")


def test_doctor_says_what_is_there_for_the_other_processor(allowing: Server) -> None:
    command = [str(BINARIES / "coracle"), "doctor", "--json", "--images-dir", str(IMAGES)]
    config = ["--config", str(allowing.folder / "coracle.toml"), "--data-dir", str(allowing.data)]
    done = subprocess.run([*command, *config], capture_output=True, text=True, timeout=120, check=False)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    other = findings["other processor"]
    assert other["level"] == "good", other
    assert f"-cloud-{OTHER_ARCHITECTURE}" in other["found"]


def test_an_image_for_another_processor_boots_is_restored_and_woken(
    allowing: Server, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    aws = Aws(allowing, "PYTHON_3_13", read_timeout=TIMEOUT)
    container = {"agentRuntimeArtifact": {"containerConfiguration": {"containerUri": reference}}}
    took = {}
    begun = time.monotonic()
    booting = aws.create(b"", **container).wait_for("READY", TIMEOUT)
    took["pull"] = time.monotonic() - begun
    begun = time.monotonic()
    session = booting.session()
    assert session.do("whoami")["machine"] == MACHINE
    took["boot and first answer"] = time.monotonic() - begun
    logged(allowing, session, f"the image is for linux/{OTHER_ARCHITECTURE}, and emulated")
    session.stop()

    begun = time.monotonic()
    restored = aws.create(b"", platformVersion="V2", **container).wait_for("READY", TIMEOUT)
    took["snapshot"] = time.monotonic() - begun
    begun = time.monotonic()
    session = restored.session()
    session.do("remember", value="in memory")
    took["restore and first answer"] = time.monotonic() - begun
    other = restored.session()
    assert other.do("recall") is None, "sessions share memory"
    assert other.do("whoami")["random"] != session.do("whoami")["random"]
    assert metric(allowing, "session_starts_total", origin="restored") == 2
    other.stop()

    wait_until("the session to hibernate", lambda: metric(allowing, "sessions") == 0, TIMEOUT)
    begun = time.monotonic()
    assert session.do("recall") == "in memory"
    took["wake and first answer"] = time.monotonic() - begun
    assert metric(allowing, "session_starts_total", origin="woken") >= 1
    session.stop()
    with capsys.disabled():
        print(f"\nlinux/{OTHER_ARCHITECTURE} on {ARCHITECTURE}:", *(f"{name} {took[name]:.1f} s;" for name in took))
