"""Every command that README.md and docs/ show is run as it is written, in the order of the page and in an empty folder.

With `--slow` it is done to the letter, in machines; otherwise agents are plain processes, and a new project's code is
exchanged for an agent that needs no packages.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.aws import AGENTS, host_python
from harness.containers import Layer, image, layout_archive
from harness.packages import installed
from harness.pages import Chapter, chapters
from harness.prompt import Prompt
from harness.server import BINARIES, IMAGES, PATH, ROOT, Server, run

MCP = "mcp==2.3.0"

SET_UP = "sets the machine up; scripts/lib.sh does the same for every test"
BUILDS = "builds what is tested here"
SERVES = "harness/server.py starts every test's server like that, elsewhere"
MEASURES = "test_bench.py runs each of these, as small as can be"
# Seconds that one command may take: those of a framework in an emulated machine, and of a small agent here.
PATIENCE, QUICK = 900.0, 60.0
# What is not run here, and where it is instead.
ELSEWHERE = {
    "scripts/demo": SET_UP,
    "scripts/test": "runs this test",
    "apt-get install qemu-system-x86 mmdebstrap debian-archive-keyring e2fsprogs build-essential": SET_UP,
    "apt-get install qemu-system-arm": SET_UP,
    "rustup target add aarch64-unknown-linux-musl": SET_UP,
    "cargo xtask build --release": BUILDS,
    "cargo xtask build --release --guest arm64": BUILDS,
    "coracle serve": SERVES,
    "coracle serve --listen ADDR:PORT --data-dir DIR --config FILE": SERVES,
    "coracle serve --warm N": "test_warm.py has servers with warm pools",
    "coracle image build kernel --arch arm64": "test_other_processor.py builds it",
    "coracle template check RUNTIME": "test_snapshots.py checks one that repeats itself",
    "coracle bench": MEASURES,
    "coracle bench --driver process --cold 3 --requests 3000": MEASURES,
    "coracle bench --cold 5 --requests 1000": MEASURES,
    "coracle bench start": MEASURES,
    "coracle bench protocols": MEASURES,
    "coracle bench images": MEASURES,
    "coracle bench neighbours": MEASURES,
    "coracle bench neighbours --seconds 15": MEASURES,
    "target/release/coracle bench": MEASURES,
    "target/release/coracle bench --driver process": MEASURES,
    "target/release/coracle bench start": MEASURES,
    "target/release/coracle bench neighbours": MEASURES,
    "target/release/coracle bench protocols": MEASURES,
    "target/release/coracle bench images": MEASURES,
    'curl --aws-sigv4 aws:amz:us-east-1:bedrock-agentcore --user KEY:SECRET "$URL/9000/index.html"': (
        "test_session_urls.py signs the same with botocore"
    ),
    'agentcore --runtime ARN invoke --bearer-token TOKEN "hello"': "needs an issuer; test_auth.py has one",
}
# Only where microVMs can be had: they ask for what those need.
FOR_MACHINES = ("coracle image build", "target/release/coracle image build", "coracle doctor")

ENTER = "\r"
QUESTIONS = ("is it called", "is it written in", "does it speak", "is it made with", "model answers", "it remember")
# What commands ask, and what is answered.
ANSWERS = {
    "agentcore create": (
        *((question, "Punt" + ENTER if question == QUESTIONS[0] else ENTER) for question in QUESTIONS),
        ("is it deployed", ENTER),
    ),
    "agentcore invoke": (("you . ", "hello\n"), ("You said: hello", ""), ("you . ", "/quit\n")),
    "agentcore destroy": (("Delete\\?", "y\n"),),
}
# What does not end by itself, and what it says by then.
GOES_ON = {
    "agentcore dev": "http://127.0.0.1",
    "agentcore logs --follow": "asked hello",
    "agentcore logs --follow --level warn": "WARNING: asked hello",
    "agentcore status --watch": "READY",
}
# What must have been done before, and goes without saying.
BEFORE = {
    "agentcore configure --entrypoint agent.py": (f"cd .. && cp {AGENTS}/parrot.py agent.py",),
    "agentcore --help": ("agentcore deploy",),
    "agentcore tools list": ("cd ../boats && agentcore deploy",),
    "agentcore card": ("cd ../signalman && agentcore deploy",),
    "agentcore versions": ("cd ../parrot && agentcore deploy --env TURN=2",),
    "agentcore sessions describe ID": ('agentcore invoke "hello"',),
    "coracle rollout set ENDPOINT_ARN --version 2 --percent 10": (
        "agentcore deploy && agentcore deploy --env TURN=2",
        "agentcore endpoints create prod --version 1 --json",
    ),
}
# What they show.
SHOWS = {
    'agentcore invoke "please add 2 and 40"': "add 2 and 40|42",
    'agentcore invoke "hello"': "You said: hello",
    'agentcore invoke --dev "hello"': "You said: hello",
    'agentcore dev "hello"': "You said: hello",
    "agentcore exec --session-id ID -- df -h": "Mounted on",
    "agentcore tools list": "remember",
    "agentcore tools call TOOL --input JSON": "harbour",
    "agentcore card": "Repeats what is signalled",
    "agentcore versions": "served by DEFAULT",
    "agentcore sessions describe ID": "idle",
    "agentcore sessions list --state ended": "killed",
    "coracle sessions list": "no sessions|STATE|idle",
    "coracle rollout show ENDPOINT_ARN": "10",
    "coracle image list": "registry.example.com/team/agent:1",
}
# What a page leaves to its reader to fill in; and what was printed last that is one.
FILLED_IN = {
    "TOOL": "remember",
    "JSON": '\'{"word": "harbour"}\'',
    "FILE": "image.tar",
    "NAME": "registry.example.com/team/agent:1",
}
PRINTED = {
    "ID": r"session ([0-9a-f-]{36})",
    "ENDPOINT_ARN": r'"(arn:aws:bedrock-agentcore:[^"]+/runtime-endpoint/[^"]+)"',
}
CHAPTERS = chapters(ROOT)


def run_here(chapter: Chapter) -> list[str]:
    return [command for command in chapter.shown + chapter.mentioned if command not in ELSEWHERE]


@pytest.fixture(scope="module")
def to_the_letter(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--slow")


@pytest.fixture(scope="module")
def documented(driver: str, to_the_letter: bool) -> Iterator[Server]:
    """A server with the ordinary driver, or a quick one."""
    config = {"sandbox": {"memory_mib": 2048, "vcpus": 1, "disk_mib": 512}, "limits": {"init_timeout_secs": 600}}
    yield from run(Server(driver if to_the_letter else "process", "docs", config))


class Reader:
    """Does what a chapter says, in a home of its own on the machine of the server."""

    def __init__(self, server: Server, folder: Path, python: str, to_the_letter: bool) -> None:
        self._url, self._python, self._to_the_letter = server.url, python, to_the_letter
        self.folder = folder
        data = folder / ".local" / "share" / "coracle"
        data.parent.mkdir(parents=True)
        data.symlink_to(server.data)
        if not (server.data / "images").exists():
            (server.data / "images").symlink_to(IMAGES)
        self._link_programs(folder)
        inherited = {name: text for name, text in server.client_environment().items() if not name.startswith("AWS_")}
        environment = inherited | {"PATH": f"{BINARIES}:{PATH}", "HOME": str(folder), "NO_COLOR": "1"}
        # What is downloaded is kept for the next time.
        environment |= {"XDG_CACHE_HOME": environment.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}
        environment.pop("XDG_DATA_HOME", None)
        self._prompt = Prompt(folder, environment, PATIENCE if to_the_letter else QUICK)
        self._printed: dict[str, str] = {}
        self._created: set[Path] = set()

    def follow(self, commands: list[str]) -> None:
        with self._prompt as prompt:
            for command in commands:
                self._do(command)
            prompt.interrupt_all()

    def set_out(self) -> None:
        """What the README does first."""
        use_it = next(chapter for chapter in CHAPTERS if (chapter.page, chapter.title) == ("README.md", "Use it"))
        for command in use_it.shown:
            if command.startswith("export AWS_"):
                self._prompt.run(self._filled_in(command))

    def _do(self, command: str) -> None:
        for earlier in BEFORE.get(command, ()):
            self._run(earlier)
        if command in GOES_ON:
            self._prompt.leave_running(self._filled_in(command), GOES_ON[command])
        else:
            shown = self._run(command, ANSWERS.get(command, ()))
            assert re.search(SHOWS.get(command, ""), shown), f"{command} does not show {SHOWS[command]!r}:\n{shown}"
        for project in self.folder.glob("*/agentcore/agentcore.json"):
            if project not in self._created:
                self._created.add(project)
                self._make_runnable_here(project)

    def _run(self, command: str, answers: tuple[tuple[str, str], ...] = ()) -> str:
        shown = self._prompt.run(self._filled_in(command), answers)
        for name, pattern in PRINTED.items():
            for found in re.findall(pattern, shown):
                self._printed[name] = found
        return shown

    def _filled_in(self, command: str) -> str:
        for name, text in (FILLED_IN | self._printed).items():
            command = re.sub(rf"\b{name}\b", text, command)
        return command.replace("http://127.0.0.1:4580", self._url)

    @staticmethod
    def _link_programs(folder: Path) -> None:
        """Where they are in a checkout."""
        (folder / "target").mkdir()
        (folder / "target" / "release").symlink_to(BINARIES)

    def add_project(self, agent: str, protocol: str = "HTTP", **runtime: object) -> Path:
        """A project with one of the tests' agents."""
        folder = self.folder / agent
        (folder / "agentcore").mkdir(parents=True)
        (folder / "app").mkdir()
        shutil.copy(AGENTS / f"{agent}.py", folder / "app" / "main.py")
        # The server is one for all chapters.
        name = f"{agent}_{self.folder.name.replace('-', '_')}"[:48]
        entry = {"name": name, "entrypoint": "main.py", "codeLocation": "app/", "runtimeVersion": self._python}
        entry |= {"protocol": protocol, "requestHeaderAllowlist": ["X-Team"], **runtime}
        (folder / "agentcore" / "agentcore.json").write_text(json.dumps({"name": agent, "runtimes": [entry]}))
        self._created.add(folder / "agentcore" / "agentcore.json")
        return folder

    def add_projects(self) -> None:
        """Projects with an agent of each protocol, and a file to send."""
        parrot = self.add_project("parrot")
        self._link_programs(parrot)
        (parrot / "boat.png").write_bytes(b"\x89PNG")
        self.add_project("signalman", "A2A")
        if self._to_the_letter:
            (self.add_project("boats", "MCP") / "app" / "requirements.txt").write_text(MCP)
        else:
            packages = {"name": "PYTHONPATH", "value": str(installed((MCP,), self._python))}
            self.add_project("boats", "MCP", envVars=[packages])
        (parrot / "image.tar").write_bytes(
            layout_archive(image([Layer().add("agent", mode=0o755)], Entrypoint=["/agent"]))
        )
        self._prompt.run("cd parrot")

    def _make_runnable_here(self, project: Path) -> None:
        """Has a new project use the Python that there is."""
        described = json.loads(project.read_text())
        entry = described["runtimes"][0]
        entry["runtimeVersion"] = self._python
        project.write_text(json.dumps(described))
        if not self._to_the_letter:
            code = project.parent.parent / entry["codeLocation"]
            shutil.copy(AGENTS / "parrot.py", code / entry["entrypoint"])
            (code / "requirements.txt").unlink(missing_ok=True)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if run_here(chapter)], ids=str)
def test_what_is_shown_works(
    documented: Server, tmp_path: Path, python: str, driver: str, to_the_letter: bool, chapter: Chapter
) -> None:
    commands = [each for each in run_here(chapter) if driver == "microvm" or each not in FOR_MACHINES]
    if not commands:
        pytest.skip("needs --driver microvm")
    own_python = python if to_the_letter else host_python()
    reader = Reader(documented, tmp_path, own_python, to_the_letter)
    if chapter.page != "README.md":
        reader.set_out()
    if not any(command.startswith("agentcore create") for command in commands):
        reader.add_projects()
    reader.follow(commands)


def test_what_runs_elsewhere_is_still_shown() -> None:
    shown = {command for chapter in CHAPTERS for command in chapter.shown + chapter.mentioned}
    tables = (ELSEWHERE, ANSWERS, GOES_ON, BEFORE, SHOWS)
    assert not [command for table in tables for command in table if command not in shown]
    named = {name for reason in ELSEWHERE.values() for name in re.findall(r"test_\w+\.py", reason)}
    assert not [name for name in named if not Path(__file__).with_name(name).exists()]
