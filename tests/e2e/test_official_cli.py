"""The `agentcore` of npm as published: it insists on the service's host names, which name resolution leads here."""

import json
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from authority import CONTROL_PLANE, DATA_PLANE, Authority
from harness.aws import ROLE, Aws, Runtime, agent_zip
from harness.server import CACHE, Server
from harness.terminal import Terminal
from javascript import NODE, npm_package_alone

CLI = "@aws/agentcore@0.30.0"
# The one library it is not bundled with. It deploys by CloudFormation, which is nothing that is asked of it here.
CLOUD_KIT = "@aws-cdk/toolkit-lib"
NAMES_OF_CLOUD_KIT = (
    "BaseCredentials", "BootstrapEnvironments", "BootstrapStackParameters", "StackSelectionStrategy", "Toolkit",
)  # fmt: skip
TIMEOUT = 120

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has names resolved otherwise for one process")


@dataclass(frozen=True)
class OfficialCli:
    """The program in a folder, where the service's names lead to a server."""

    folder: Path
    environment: dict[str, str]
    command: list[str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    def told(self, *arguments: str) -> dict:
        """What it says as JSON."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def program() -> Path:
    package = npm_package_alone(CACHE / "clients" / "agentcore-0.30.0", CLI)
    stand_in = package / "node_modules" / CLOUD_KIT
    stand_in.mkdir(parents=True, exist_ok=True)
    (stand_in / "package.json").write_text(json.dumps({"name": CLOUD_KIT, "type": "module", "exports": "./index.js"}))
    (stand_in / "index.js").write_text("".join(f"export class {name} {{}}\n" for name in NAMES_OF_CLOUD_KIT))
    return package / "dist" / "cli" / "index.mjs"


@pytest.fixture
def runtime(own_server: Callable[..., Server], driver: str, python: str, authority: Authority) -> Runtime:
    # The port is that of all services, so the address is one of its own.
    address = ".".join(["127", *(str(random.randint(2, 254)) for _ in range(3))])
    server = own_server(driver, "official-cli", tls=authority.settings() | {"listen": f"{address}:443"})
    return Aws(server, python).deploy(agent_zip("toolbox"))


@pytest.fixture
def cli(runtime: Runtime, authority: Authority, tmp_path: Path) -> OfficialCli:
    server = runtime.aws.server
    assert isinstance(server, Server)
    address, _ = (server.data / "tls-address").read_text().rsplit(":", 1)
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{address} {DATA_PLANE} {CONTROL_PLANE}\n")
    project = tmp_path / "project"
    state = {"runtimeId": runtime.id, "runtimeArn": runtime.arn, "roleArn": ROLE}
    agent = {
        "name": "Tool", "build": "CodeZip", "entrypoint": "main.py", "codeLocation": "app/Tool/",
        "runtimeVersion": "PYTHON_3_13", "protocol": "HTTP", "networkMode": "PUBLIC",
    }  # fmt: skip
    files = {
        "agentcore.json": {"name": "Tool", "version": 1, "runtimes": [agent]},
        "aws-targets.json": [{"name": "default", "account": "000000000000", "region": "us-east-1"}],
        ".cli/deployed-state.json": {"targets": {"default": {"resources": {"runtimes": {"Tool": state}}}}},
    }
    for name, content in files.items():
        path = project / "agentcore" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    own_names = 'mount --bind "$0" /etc/hosts && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", own_names, str(hosts), str(NODE), str(program())]
    environment = server.client_environment() | {
        "NODE_EXTRA_CA_CERTS": str(authority.certificate),
        "HOME": str(tmp_path),
    }
    del environment["AWS_ENDPOINT_URL"]
    return OfficialCli(project, environment, command)


def test_the_official_cli_invokes_and_executes(cli: OfficialCli, runtime: Runtime) -> None:
    said = cli.told("invoke", "Hello there")
    assert said["success"], said
    assert "Hello there" in json.dumps(said)

    said = cli.told("exec", "--runtime", runtime.arn, "echo $((6 * 7)); echo oh no >&2")
    assert (said["exitCode"], said["stdout"], said["stderr"]) == (0, "42\n", "oh no\n")
    assert cli.run("exec", "--runtime", runtime.arn, "exit 3").returncode == 3

    command = [*cli.command, "exec", "--it", "--runtime", runtime.arn]
    with Terminal(command, cli.folder, cli.environment) as terminal:
        terminal.wait_for(r"connected")
        terminal.wait_for(r"[$#] ")
        terminal.type("echo $((6 * 7))-is-it")
        terminal.wait_for("42-is-it")
        terminal.type("exit 0")
        assert terminal.ended() == 0
