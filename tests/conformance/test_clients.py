"""The life of a runtime through clients other than boto3, each installed by name into a folder that is kept.

`CORACLE_CLIENTS_DIR` says where; without it, a folder in the user's cache.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from javascript import NODE, npm_packages
from suite.server import BUCKET, REGION, ROLE, Server, new_name, new_session, until

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coracle"
CLIENTS = Path(os.environ.get("CORACLE_CLIENTS_DIR") or CACHE / "clients")
UNDER_WAY = ("CREATING", "UPDATING", "DELETING")


def installed(name: str, complete: Path, *commands: list[str]) -> Path:
    """The folder of a client, after the commands that install it, unless it is complete already."""
    folder = CLIENTS / name
    if not (folder / complete).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
            assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.fixture(scope="module")
def aws_cli() -> Path:
    pip = ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "awscli"]
    return installed("awscli", Path("bin/aws"), [sys.executable, "-m", "venv", "."], pip) / "bin" / "aws"


@pytest.fixture(scope="module")
def node_modules() -> Path:
    packages = ["@aws-sdk/client-bedrock-agentcore", "@aws-sdk/client-bedrock-agentcore-control"]
    return npm_packages(CLIENTS / "aws-sdk", *packages)


@pytest.fixture(scope="module")
def toolkit() -> Path:
    pip = ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["bedrock-agentcore-starter-toolkit", "uv"]
    return installed("toolkit", Path("bin/uv"), [sys.executable, "-m", "venv", "."], pip) / "bin"


def code(server: Server) -> tuple[str, str]:
    """Bucket and key of code that can be deployed."""
    location = server.aws().artifact()["codeConfiguration"]["code"]["s3"]
    assert location["bucket"].startswith(BUCKET)
    return location["bucket"], location["prefix"]


def test_the_aws_cli_runs_the_life_of_a_runtime(server: Server, aws_cli: Path, tmp_path: Path) -> None:
    environment = server.environment()

    def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(aws_cli), "--output", "json", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def aws(*arguments: str) -> Any:
        text = run(*arguments).stdout
        return json.loads(text) if text.strip() else None

    def control(operation: str, *arguments: str) -> Any:
        return aws("bedrock-agentcore-control", operation, *arguments)

    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
    bucket, key = code(server)
    artifact = {
        "codeConfiguration": {
            "code": {"s3": {"bucket": bucket, "prefix": key}},
            "runtime": "PYTHON_3_13",
            "entryPoint": ["main.py"],
        }
    }
    # Older versions of the CLI insist on a network.
    made = ["--agent-runtime-artifact", json.dumps(artifact), "--role-arn", ROLE]
    made += ["--network-configuration", "networkMode=PUBLIC"]
    created = control("create-agent-runtime", "--agent-runtime-name", new_name(), *made, "--tags", "team=boats")
    arn = created["agentRuntimeArn"]
    named = ["--agent-runtime-id", created["agentRuntimeId"]]

    def settled(look: Callable[[], Any]) -> Any:
        return until("it to settle", lambda: (found := look())["status"] not in UNDER_WAY and found, 60)

    assert settled(lambda: control("get-agent-runtime", *named))["status"] == "READY"
    control("update-agent-runtime", *named, *made, "--description", "second")
    assert settled(lambda: control("get-agent-runtime", *named))["description"] == "second"
    versions = control("list-agent-runtime-versions", *named, "--page-size", "1")["agentRuntimes"]
    assert [item["agentRuntimeVersion"] for item in versions] == ["2", "1"]
    control("create-agent-runtime-endpoint", *named, "--name", "prod", "--agent-runtime-version", "1")
    prod = [*named, "--endpoint-name", "prod"]
    assert settled(lambda: control("get-agent-runtime-endpoint", *prod))["liveVersion"] == "1"
    assert control("list-tags-for-resource", "--resource-arn", arn)["tags"] == {"team": "boats"}
    control("tag-resource", "--resource-arn", arn, "--tags", "more=yes")
    control("untag-resource", "--resource-arn", arn, "--tag-keys", "team", "more")
    assert control("list-tags-for-resource", "--resource-arn", arn)["tags"] == {}

    out, session = tmp_path / "answer", new_session()
    target = ["--agent-runtime-arn", arn, "--qualifier", "prod", "--runtime-session-id", session]
    payload = '{"prompt": "hello"}'
    answer = aws("bedrock-agentcore", "invoke-agent-runtime", *target, "--payload", payload, str(out))
    assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, session)
    assert json.loads(out.read_text()) == json.loads(payload)
    assert aws("bedrock-agentcore", "stop-runtime-session", *target)["runtimeSessionId"] == session
    again = run("bedrock-agentcore", "stop-runtime-session", *target, check=False)
    assert again.returncode != 0
    assert "ResourceNotFoundException" in again.stderr

    control("delete-agent-runtime-endpoint", *prod)

    def gone(*arguments: str) -> bool:
        return "ResourceNotFoundException" in run("bedrock-agentcore-control", *arguments, check=False).stderr

    until("the endpoint to go", lambda: gone("get-agent-runtime-endpoint", *prod), 60)
    control("delete-agent-runtime", *named)
    until("the runtime to go", lambda: gone("get-agent-runtime", *named), 60)


def test_the_javascript_sdk_runs_the_life_of_a_runtime(server: Server, node_modules: Path) -> None:
    script = node_modules / "life.mjs"
    shutil.copy(HERE / "clients" / "life.mjs", script)
    command = [str(NODE), str(script), *code(server), ROLE, new_name()]
    environment = server.environment() | {"AWS_REGION": REGION}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


def test_the_helpers_of_the_agentcore_sdk_create_wait_and_tear_down(server: Server) -> None:
    endpoints = {"BEDROCK_AGENTCORE_CP_ENDPOINT": server.url, "BEDROCK_AGENTCORE_DP_ENDPOINT": server.url}
    command = [sys.executable, str(HERE / "clients" / "sdk.py"), *code(server), ROLE, new_name()]
    environment = server.environment() | endpoints
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


def test_the_starter_toolkit_deploys_invokes_stops_and_destroys(server: Server, toolkit: Path, tmp_path: Path) -> None:
    bucket, _ = code(server)
    (tmp_path / "main.py").write_text(
        "from bedrock_agentcore import BedrockAgentCoreApp\n\napp = BedrockAgentCoreApp()\n\n\n"
        "@app.entrypoint\ndef answer(payload):\n    return payload\n\n\napp.run()\n"
    )
    (tmp_path / "requirements.txt").write_text("six\n")
    environment = server.environment() | {
        "BEDROCK_AGENTCORE_CP_ENDPOINT": server.url,
        "BEDROCK_AGENTCORE_DP_ENDPOINT": server.url,
        "PATH": f"{toolkit}:{os.environ['PATH']}",
    }

    def agentcore(*arguments: str) -> str:
        command = [str(toolkit / "agentcore"), *arguments]
        no_questions = {"stdin": subprocess.DEVNULL, "cwd": tmp_path, "env": environment}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **no_questions)
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    made = ["--entrypoint", "main.py", "--name", new_name(), "--execution-role", ROLE, "--s3", bucket]
    made += ["--requirements-file", "requirements.txt", "--deployment-type", "direct_code_deploy"]
    made += ["--runtime", "PYTHON_3_13", "--region", REGION]
    agentcore("configure", *made, "--disable-otel", "--disable-memory", "--non-interactive")
    assert "Deployed" in agentcore("deploy") or "deployed" in agentcore("status")
    assert "hello" in agentcore("invoke", '{"prompt": "hello"}')
    assert "Ready" in agentcore("status")
    assert "stopped successfully" in agentcore("stop-session")
    assert "Successfully destroyed" in agentcore("destroy", "--force")
