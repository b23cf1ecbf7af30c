"""Client programs: official clients of the protocols, each in its own process with packages of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.aws import Aws, host_python
from harness.packages import installed
from harness.server import CACHE, Server
from javascript import NODE, npm_packages

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
# A session may have to be started first.
TIMEOUT = 120


def run_python(server: Server, client: str, requirements: tuple[str, ...], *arguments: str) -> Any:
    """Runs one of the clients with these packages before the tests' own, and returns the JSON that it prints."""
    environment = server.client_environment() | {"PYTHONPATH": str(installed(requirements, host_python()))}
    return _run([sys.executable, "-W", "ignore", str(CLIENTS / f"{client}.py"), *arguments], environment)


def run_node(server: Server, aws: Aws, client: str, packages: tuple[str, ...], *arguments: str) -> Any:
    """Runs one of the clients with these packages from npm, and returns the JSON that it prints."""
    folder = npm_packages(CACHE / "clients" / "-".join(package.replace("/", "_") for package in packages), *packages)
    for program in (f"{client}.mjs", "signing.mjs"):
        shutil.copy(CLIENTS / program, folder)
    keys = {"AWS_ACCESS_KEY_ID": aws.access_key, "AWS_SECRET_ACCESS_KEY": aws.secret_key}
    return _run([str(NODE), str(folder / f"{client}.mjs"), *arguments], server.client_environment() | keys)


def _run(command: list[str], environment: dict[str, str]) -> Any:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
