"""How long it takes from an empty folder to the first streamed answer. Figures are told, not asserted."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.cli import Cli
from harness.server import BINARIES, LOGS, PATH, Server
from harness.waiting import wait_until

CREATE = (str(BINARIES / "agentcore"), "create", "--name", "Boat", "--defaults")
INSTALL_TIMEOUT = 900
ROOMY = {"sandbox": {"memory_mib": 2048, "vcpus": 1, "disk_mib": 512}, "limits": {"init_timeout_secs": 600}}


def first_byte_of(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Runs a command until it prints something, and then to its end."""
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1), f"{command} printed nothing"
        assert b"Hello" in process.stdout.read()
    assert process.returncode == 0


@contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """`agentcore dev`, ready."""
    command = [BINARIES / "agentcore", "dev", "--no-browser", "--port", "0"]
    address = folder / "agentcore" / ".cli" / "dev-Boat.json"
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until("dev to be there", address.exists, 60)
        yield
    finally:
        process.terminate()
        process.wait(60)


def seconds(action: Callable[[], None]) -> float:
    started = time.monotonic()
    action()
    return round(time.monotonic() - started, 1)


@pytest.mark.microvm
@pytest.mark.slow
@pytest.mark.timeout(4 * INSTALL_TIMEOUT)
def test_from_an_empty_folder_to_the_first_answer(
    own_server: Callable[..., Server], driver: str, tmp_path: Path
) -> None:
    server = own_server(driver, f"{driver}-stopwatch", **ROOMY)
    environment = server.client_environment() | {"PATH": PATH}
    figures: dict[str, float] = {}
    # The first time everything is downloaded; the second time is what counts.
    for turn in ("first time", "packages cached"):
        folders = {where: tmp_path / turn / where for where in ("dev", "deployed")}
        for folder in folders.values():
            folder.mkdir(parents=True)

        def in_dev(folder: Path = folders["dev"]) -> None:
            subprocess.run(CREATE, cwd=folder, env=environment, check=True, capture_output=True)
            project = folder / "Boat"
            with running(project, environment):
                first_byte_of([str(BINARIES / "agentcore"), "invoke", "--dev", "Hello"], project, environment)

        def deployed(folder: Path = folders["deployed"]) -> None:
            subprocess.run(CREATE, cwd=folder, env=environment, check=True, capture_output=True)
            cli = Cli(server, folder / "Boat")
            cli.run("deploy", "--timeout", "600", timeout=INSTALL_TIMEOUT)
            first_byte_of([str(BINARIES / "agentcore"), "invoke", "Hello"], folder / "Boat", environment)

        figures |= {f"dev, {turn}": seconds(in_dev), f"deployed, {turn}": seconds(deployed)}
        Cli(server, folders["deployed"] / "Boat").run("destroy", "--force")
    figures["load average"] = round(os.getloadavg()[0], 1)
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "stopwatch.json").write_text(json.dumps(figures, indent=2) + "\n")
