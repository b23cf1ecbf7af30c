"""`agentcore create`: every project it makes is sound, and one of each framework answers through a deployed session."""

import itertools
import json
import os
import py_compile
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.aws import new_session_id
from harness.builder import Buildah
from harness.cli import Cli
from harness.server import BINARIES, Server, run
from harness.terminal import Terminal

FRAMEWORKS = ("Strands", "LangChain_LangGraph", "OpenAIAgents", "GoogleADK", "CrewAI", "none")
PROVIDERS = ("stub", "Bedrock", "OpenAI", "https://models.example/v1")
DEPLOY_TIMEOUT = 600
# A framework of half a gigabyte is fetched, packed, and imported in an emulated machine.
SLOW_TIMEOUT = 1200
DOWN, ENTER = "\x1b[B", "\r"


def create(folder: Path, *arguments: str) -> Path:
    """Makes a project called Boat, and returns its folder."""
    subprocess.run(
        [BINARIES / "agentcore", "create", "--name", "Boat", "--defaults", *arguments],
        cwd=folder,
        check=True,
        timeout=30,
        capture_output=True,
    )
    return folder / "Boat"


def asked(folder: Path, *arguments: str) -> Terminal:
    """The questions, in a terminal."""
    return Terminal([str(BINARIES / "agentcore"), "create", *arguments], folder, dict(os.environ))


def edit(project: Path, **members: object) -> None:
    """Changes members of the project's runtime."""
    path = project / "agentcore" / "agentcore.json"
    text = json.loads(path.read_text())
    text["runtimes"][0] |= members
    path.write_text(json.dumps(text))


def test_whatever_is_chosen_gives_sound_python(tmp_path: Path) -> None:
    choices = [
        (framework, protocol, provider)
        for framework, protocol, provider in itertools.product(FRAMEWORKS, ("HTTP", "A2A", "AGUI"), PROVIDERS)
        if (framework, provider) != ("CrewAI", "Bedrock")
    ]
    choices.append(("none", "MCP", "stub"))
    for number, (framework, protocol, provider) in enumerate(choices):
        folder = tmp_path / str(number)
        folder.mkdir()
        project = create(folder, "--framework", framework, "--protocol", protocol, "--model-provider", provider)
        for path in project.rglob("*.py"):
            assert "{{" not in path.read_text().replace('{{"', ""), path
            py_compile.compile(str(path), doraise=True)


@pytest.fixture(scope="module")
def roomy(driver: str) -> Iterator[Server]:
    """A server for agents that import a lot."""
    config = {"sandbox": {"memory_mib": 2048, "vcpus": 1, "disk_mib": 512}, "limits": {"init_timeout_secs": 600}}
    yield from run(Server(driver, f"{driver}-frameworks", config))


@pytest.fixture(scope="module")
def boat(roomy: Server, tmp_path_factory: pytest.TempPathFactory, python: str) -> Iterator[Cli]:
    """A Strands project with the stub model, deployed."""
    project = create(tmp_path_factory.mktemp("create"))
    edit(project, runtimeVersion=python, name=f"Boat_{os.getpid()}")
    cli = Cli(roomy, project)
    done = cli.run("deploy", "--timeout", "500", timeout=DEPLOY_TIMEOUT)
    assert "Packaged" in done.stderr, done.stderr
    yield cli
    cli.run("destroy", "--force")


@pytest.mark.timeout(2 * DEPLOY_TIMEOUT)
def test_a_new_project_answers_uses_tools_and_remembers(boat: Cli) -> None:
    one, other = new_session_id(), new_session_id()
    assert "You said: Good morning" in boat.run("invoke", "--session-id", one, "Good morning").stdout
    assert "The tool answered: 42" in boat.run("invoke", "--session-id", one, "please add 2 and 40").stdout
    assert "Good morning / please add 2 and 40" in boat.run("invoke", "--session-id", one, "What did I say?").stdout
    assert "Nothing yet" in boat.run("invoke", "--session-id", other, "What did I say?").stdout
    for session in (one, other):
        boat.run("stop-session", session)


@pytest.mark.timeout(2 * DEPLOY_TIMEOUT)
def test_the_same_project_gives_the_same_zip(boat: Cli) -> None:
    done = boat.run("deploy", timeout=DEPLOY_TIMEOUT)
    assert "Nothing has changed: version 1 stays" in done.stderr, done.stderr


@pytest.fixture
def deployed(roomy: Server, tmp_path: Path, python: str) -> Iterator[Callable[..., Cli]]:
    """Deploys a project with these choices; whatever its model is, the stub answers for it."""
    projects: list[Cli] = []

    def deploy(*choices: str) -> Cli:
        project = create(tmp_path, *choices)
        edit(project, runtimeVersion=python)
        with (project / "agentcore" / ".env.local").open("a") as variables:
            variables.write("MODEL_URL=stub\n")
        cli = Cli(roomy, project)
        cli.run("deploy", "--timeout", "900", timeout=SLOW_TIMEOUT)
        projects.append(cli)
        return cli

    yield deploy
    for cli in projects:
        cli.run("destroy", "--force")


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_TIMEOUT)
@pytest.mark.parametrize(
    ("framework", "provider"),
    [pair for pair in itertools.product(FRAMEWORKS, ("stub", "Bedrock")) if pair != ("CrewAI", "Bedrock")],
)
def test_every_framework_answers(deployed: Callable[..., Cli], framework: str, provider: str) -> None:
    cli = deployed("--framework", framework, "--model-provider", provider)
    session = new_session_id()
    # CrewAI puts its own words around what it was asked.
    # Some frameworks import what they use first at the first request.
    first = cli.run("invoke", "--session-id", session, "Good morning", timeout=DEPLOY_TIMEOUT)
    assert "Good morning" in first.stdout
    added = cli.run("invoke", "--session-id", session, "please add 2 and 40").stdout
    assert ("42" if framework != "none" else "add 2 and 40") in added
    assert "Good morning" in cli.run("invoke", "--session-id", session, "What did I say?").stdout


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_TIMEOUT)
@pytest.mark.parametrize("protocol", ["A2A", "AGUI"])
def test_an_agent_speaks_other_protocols(deployed: Callable[..., Cli], protocol: str) -> None:
    answer = deployed("--protocol", protocol, "--framework", "none").run("invoke", "Good morning").stdout
    assert "You said: Good morning" in answer


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_TIMEOUT)
def test_an_mcp_server_offers_its_tools(deployed: Callable[..., Cli]) -> None:
    cli = deployed("--protocol", "MCP")
    assert "add_numbers" in cli.run("tools", "list").stdout
    assert "42" in cli.run("tools", "call", "add_numbers", "--input", '{"a": 2, "b": 40}').stdout


@pytest.mark.microvm
@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_TIMEOUT)
@pytest.mark.skipif(not Buildah.possible(), reason="needs root and buildah")
@pytest.mark.parametrize("language", ["Python", "TypeScript"])
def test_the_dockerfile_is_built_and_answers(roomy: Server, tmp_path: Path, language: str) -> None:
    buildah = Buildah(tmp_path)
    if language == "Python":
        buildah.add_python()
    else:
        buildah.add_node()
    project = create(tmp_path, "--language", language, "--framework", "none", "--build", "container")
    cli = Cli(roomy, project, **buildah.environment)
    try:
        cli.run("deploy", "--timeout", "900", timeout=SLOW_TIMEOUT)
        assert "You said: Good morning" in cli.run("invoke", "Good morning").stdout
        again = cli.run("deploy", "--timeout", "900", timeout=SLOW_TIMEOUT)
        assert "Nothing has changed: version 1 stays" in again.stderr, again.stderr
    finally:
        cli.run("destroy", "--force")
        buildah.clean_up()


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_TIMEOUT)
def test_a_typescript_agent_is_built_and_answers(own_server: Callable[..., Server], tmp_path: Path) -> None:
    # There is no image of Node for microVMs.
    cli = Cli(own_server("process", "typescript"), create(tmp_path, "--language", "TypeScript"))
    cli.run("deploy", timeout=SLOW_TIMEOUT)
    session = new_session_id()
    assert "You said: Good morning" in cli.run("invoke", "--session-id", session, "Good morning").stdout
    assert "Good morning" in cli.run("invoke", "--session-id", session, "What did I say?").stdout
    assert "Nothing has changed" in cli.run("deploy", timeout=SLOW_TIMEOUT).stderr
    cli.run("destroy", "--force")


def test_the_questions_are_answered_with_arrow_keys(tmp_path: Path) -> None:
    with asked(tmp_path) as terminal:
        terminal.wait_for(r"What is it called\?")
        terminal.press("9lives" + ENTER)
        terminal.wait_for("use a letter")
        terminal.press("\x7f" * 6 + "Punt" + ENTER)
        terminal.wait_for(r"What is it written in\?")
        terminal.press(ENTER)
        terminal.wait_for(r"What does it speak\?")
        terminal.press(DOWN * 2 + ENTER)
        terminal.wait_for(r"What is it made with\?")
        terminal.press("lang" + ENTER)
        terminal.wait_for(r"Whose model answers\?")
        terminal.press(ENTER)
        terminal.wait_for(r"Does it remember\?")
        terminal.press(DOWN + ENTER)
        terminal.wait_for(r"How is it deployed\?")
        terminal.press(DOWN + ENTER)
        terminal.wait_for("Next: cd Punt")
        assert terminal.ended() == 0
    entry = json.loads((tmp_path / "Punt/agentcore/agentcore.json").read_text())["runtimes"][0]
    assert (entry["protocol"], entry["build"]) == ("A2A", "Container")
    assert "langgraph" in (tmp_path / "Punt/app/Punt/requirements.txt").read_text()
    assert "REMEMBERS = False" in (tmp_path / "Punt/app/Punt/memory.py").read_text()


def test_questions_that_are_interrupted_leave_nothing(tmp_path: Path) -> None:
    with asked(tmp_path, "--name", "Punt") as terminal:
        terminal.wait_for(r"What is it written in\?")
        terminal.press("\x03")
        assert terminal.ended() == 130
    assert list(tmp_path.iterdir()) == []
