"""`agentcore` from the first deploy to the end, with an agent on the `bedrock-agentcore` SDK."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.aws import Aws, new_session_id
from harness.cli import Cli
from harness.server import ROOT, Server
from harness.waiting import wait_until

DEPLOY_TIMEOUT = 240


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, python: str) -> Path:
    """A copy of the example, for the interpreter that this driver has."""
    folder = tmp_path_factory.mktemp("project") / "hello-agent"
    shutil.copytree(ROOT / "examples" / "hello-agent", folder)
    settings = folder / "agentcore" / "agentcore.json"
    text = json.loads(settings.read_text())
    text["runtimes"][0]["runtimeVersion"] = python
    settings.write_text(json.dumps(text))
    return folder


@pytest.fixture(scope="module")
def cli(server: Server, project: Path) -> Cli:
    return Cli(server, project)


@pytest.fixture(scope="module")
def deployed(cli: Cli, aws: Aws) -> Iterator[str]:
    """The ARN of the example, deployed."""
    done = cli.run("deploy", timeout=DEPLOY_TIMEOUT)
    arn = re.search(r"arn:aws:bedrock-agentcore:\S+:runtime/[A-Za-z0-9_-]+", done.stdout + done.stderr)
    assert arn, done.stdout
    assert "agentcore invoke" in done.stdout + done.stderr, "a line to paste is shown"
    yield arn[0]
    cli.run("destroy", "--force")
    names = [item["agentRuntimeArn"] for item in aws.control.list_agent_runtimes()["agentRuntimes"]]
    assert arn[0] not in names


def test_an_agent_on_the_sdk_remembers_and_is_alone(cli: Cli, deployed: str) -> None:
    one, other = new_session_id(), new_session_id()
    assert "I like tea" in cli.run("invoke", "--session-id", one, "I like tea").stdout
    cli.run("invoke", "--session-id", one, "write tea.txt: Assam")
    assert "1. I like tea" in cli.run("invoke", "--session-id", one, "What did I say?").stdout
    assert "tea.txt" in cli.run("invoke", "--session-id", one, "list files").stdout
    stranger = cli.run("invoke", "--session-id", other, "What did I say?").stdout
    assert "not said anything" in stranger
    assert "no files" in cli.run("invoke", "--session-id", other, "list files").stdout
    for session in (one, other):
        cli.run("stop-session", session)
    said = wait_until("a second stop to say that nothing is there", lambda: cli.refused("stop-session", one), 20)
    assert "has ended" in said


def test_sessions_are_seen_and_ended(cli: Cli, deployed: str) -> None:
    one, other = new_session_id(), new_session_id()
    for session in (one, other):
        cli.run("invoke", "--session-id", session, "hello")
    listed = cli.run("sessions").stdout
    assert one in listed
    assert other in listed
    described = json.loads(cli.run("sessions", "describe", one, "--json").stdout)
    assert described["state"] in ("active", "idle")
    cli.run("sessions", "kill", one)
    cli.run("sessions", "stop", other)
    wait_until("both to be over", lambda: "no sessions" in cli.run("sessions").stderr, 30)
    assert f"{one}  ended (killed)" in cli.run("sessions", "list", "--state", "ended").stdout
    assert "ended (killed)" in cli.run("sessions", "describe", one).stdout


def test_status_logs_and_json(cli: Cli, deployed: str) -> None:
    session = new_session_id()
    cli.run("invoke", "--session-id", session, '{"prompt": "as JSON"}')
    status = json.loads(cli.run("status", "--json").stdout)
    assert deployed in json.dumps(status)
    assert "READY" in cli.run("status").stdout
    wait_until(
        "the agent's log line",
        lambda: "as JSON" in cli.run("logs", "--session-id", session).stdout,
        15,
    )
    answer = cli.run("invoke", "--json", "--session-id", session, "once more").stdout
    assert all(json.loads(line) is not None for line in answer.splitlines() if line.strip())
    cli.run("stop-session", session)


def test_following_the_logs(cli: Cli, deployed: str, tmp_path: Path) -> None:
    session, output = new_session_id(), tmp_path / "output"
    cli.run("invoke", "--session-id", session, "before")
    following = cli.start(output, "logs", "--follow", "--session-id", session)
    try:
        wait_until("the earlier line", lambda: "before" in output.read_text(), 15)
        cli.run("invoke", "--session-id", session, "a line that comes later")
        wait_until("the line that came later", lambda: "a line that comes later" in output.read_text(), 15)
    finally:
        following.kill()
        following.wait()
    cli.run("stop-session", session)


def test_a_second_deploy_makes_the_next_version(cli: Cli, project: Path, deployed: str, aws: Aws) -> None:
    main = project / "app" / "hello" / "main.py"
    main.write_text(main.read_text().replace("Hello! You said", "Good day! You said"))
    cli.run("deploy", timeout=DEPLOY_TIMEOUT)
    runtime_id = deployed.rsplit("/", 1)[1]
    assert aws.control.get_agent_runtime(agentRuntimeId=runtime_id)["agentRuntimeVersion"] == "2"
    session = new_session_id()
    assert "Good day!" in cli.run("invoke", "--session-id", session, "hello").stdout
    cli.run("stop-session", session)


def test_endpoints_point_at_versions(cli: Cli, deployed: str, aws: Aws) -> None:
    """Runs after the second deployment: there are two versions."""
    versions = cli.run("versions").stdout.splitlines()
    assert [line.split()[0] for line in versions] == ["2", "1"]
    assert "served by DEFAULT" in versions[0]
    assert "version 1" in cli.run("endpoints", "create", "prod", "--version", "1").stderr
    runtime_id = deployed.rsplit("/", 1)[1]
    endpoint = aws.control.get_agent_runtime_endpoint(agentRuntimeId=runtime_id, endpointName="prod")
    assert (endpoint["status"], endpoint["liveVersion"]) == ("READY", "1")
    assert "prod is READY, serving version 1" in cli.run("endpoints").stdout
    moved = json.loads(cli.run("endpoints", "update", "prod", "--json").stdout)
    assert moved["liveVersion"] == "2", "the newest, as no version was named"
    assert "follows the newest" in cli.run("endpoints", "delete", "DEFAULT", code=2).stderr
    cli.run("endpoints", "delete", "prod")
    assert "prod" not in cli.run("endpoints").stdout
    assert "hint:" in cli.run("endpoints", "delete", "prod", code=3).stderr


def test_status_is_watched(cli: Cli, deployed: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    watching = cli.start(output, "status", "--watch")
    try:
        wait_until("the first look", lambda: "READY" in output.read_text(), 15)
        cli.run("endpoints", "create", "watched")
        wait_until("the endpoint that came", lambda: "watched" in output.read_text(), 15)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
        assert "error" not in output.read_text(), "there is no other way to end it"
    finally:
        watching.kill()
        watching.wait()
        cli.run("endpoints", "delete", "watched")


def test_a_conversation_on_a_terminal(cli: Cli, deployed: str) -> None:
    with cli.terminal("invoke") as terminal:
        terminal.wait_for("you \u203a ")
        terminal.type("I like tea")
        terminal.wait_for("You said: I like tea")
        terminal.type("What did I say?")
        terminal.wait_for("1. I like tea")
        terminal.type("/session")
        session = terminal.wait_for(r"[0-9a-f]{8}-[0-9a-f-]{27}")
        terminal.type("/quit")
        assert terminal.ended() == 0
    cli.run("stop-session", session)


def test_a_command_beside_the_agent(cli: Cli, deployed: str) -> None:
    session = new_session_id()
    done = cli.run("exec", "--session-id", session, "echo out; echo oh no >&2; exit 3", code=3)
    assert (done.stdout, done.stderr) == ("out\n", "oh no\n")
    told = json.loads(
        cli.run("exec", "--session-id", session, "--json", "--", "head", "-c", "70000", "/dev/zero").stdout
    )
    assert (len(told["stdout"]), told["exitCode"], told["sessionId"]) == (70_000, 0, session)
    done = cli.run("exec", "--session-id", session, "--timeout", "1", "sleep 1000", code=124)
    assert "killed" in done.stderr
    cli.run("stop-session", session)


def test_a_shell_beside_the_agent(cli: Cli, deployed: str) -> None:
    session = new_session_id()
    with cli.terminal("exec", "--it", "--session-id", session, "--shell-id", "mine") as terminal:
        terminal.wait_for("shell mine")
        terminal.type("stty size; kept=yes")
        terminal.wait_for("40 120")
        # The program itself says when it has the terminal.
        terminal.type("sh -c \"echo be''gun; exec sleep 1000\"")
        terminal.wait_for("begun")
        terminal.press("\x03")
        terminal.type("echo sta''tus $?")
        terminal.wait_for("status 130")
    with cli.terminal("exec", "--it", "--session-id", session, "--shell-id", "mine") as terminal:
        terminal.wait_for("back at the shell")
        terminal.type("echo ke''pt $kept; exit 7")
        terminal.wait_for("kept yes")
        assert terminal.ended() == 7
    with cli.terminal("exec", "--it", "--session-id", session) as terminal:
        terminal.type("echo rea''dy")
        terminal.wait_for("ready")
        cli.run("stop-session", session)
        terminal.wait_for("the shell was left: its session ended")
        assert terminal.ended() == 1


def test_errors_end_with_a_hint(cli: Cli, deployed: str) -> None:
    short = cli.run("invoke", "--session-id", "short", "x", code=2).stderr
    assert "33" in short
    unreachable = cli.run("status", "--endpoint-url", "http://127.0.0.1:9", code=4).stderr
    assert "127.0.0.1:9" in unreachable
