"""`agentcore dev`: agents as processes of the developer's, and the page that looks inside, in a real browser."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from harness.aws import AGENTS, host_python, new_session_id
from harness.clients import CLIENTS
from harness.packages import installed
from harness.processes import users_of
from harness.server import BINARIES, CACHE, LOGS, PATH, ROOT
from harness.waiting import wait_until
from javascript import NODE, npm_packages

SDK = ("bedrock-agentcore==1.25.0",)
MCP = ("mcp==2.3.0",)
OTEL = ("opentelemetry-distro==0.66b2", "opentelemetry-exporter-otlp-proto-http==1.45.2")
TSX = "tsx@4.23.15"
BROWSER_DRIVER = ("playwright==1.65.2",)
# An agent imports for long under load.
READY_TIMEOUT = 90
# Packages are downloaded first.
INSTALL_TIMEOUT = 200
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Dev:
    """A project, and the `agentcore dev` that runs in it."""

    def __init__(self, folder: Path, main: str, protocol: str, packages: Path | None, language: str = "Python") -> None:
        self.folder = folder
        is_python = language == "Python"
        self.main = folder / "app" / "agent" / ("main.py" if is_python else "main.ts")
        self.main.parent.mkdir(parents=True)
        self.main.write_text(main)
        variables = [{"name": "PYTHONPATH", "value": str(packages)}] if packages else []
        runtime = {
            "name": "agent",
            "entrypoint": self.main.name,
            "codeLocation": "app/agent/",
            "runtimeVersion": host_python() if is_python else "NODE_22",
            "protocol": protocol,
            "requestHeaderAllowlist": ["X-Team"],
            "envVars": variables,
        }
        (folder / "agentcore").mkdir()
        (folder / "agentcore" / "agentcore.json").write_text(json.dumps({"name": "dev", "runtimes": [runtime]}))
        inherited = {key: text for key, text in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))}
        self.environment = inherited | {"PATH": f"{NODE.parent}:{PATH}", "HOME": str(folder)}
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder / "output"

    def launch(self, *arguments: str) -> None:
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [BINARIES / "agentcore", "dev", "--no-browser", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=file,
            )

    def start(self, *arguments: str) -> None:
        self.launch(*arguments)
        wait_until("the agent to be ready", lambda: self.phase() == "ready", READY_TIMEOUT)

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [BINARIES / "agentcore", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.said()}"
        return done

    @property
    def url(self) -> str:
        return json.loads((self.folder / "agentcore" / ".cli" / "dev-agent.json").read_text())["url"]

    def state(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        try:
            with urllib.request.urlopen(self.url + "_dev/status", timeout=10) as answer:
                return json.load(answer)["state"]
        except OSError:
            return {"phase": "not listening"}

    def phase(self) -> str:
        return self.state()["phase"]

    def change(self, text: str, phase: str, entry: Path | None = None) -> None:
        """Changes the agent, or has another file be it, and waits until the changed one is in that phase."""
        starts = self.state()["starts"]
        entry = entry or self.main
        project = self.folder / "agentcore" / "agentcore.json"
        described = json.loads(project.read_text())
        described["runtimes"][0]["entrypoint"] = entry.name
        # At once, so that it is one change.
        entry.write_text(text)
        project.write_text(json.dumps(described))

        def changed() -> bool:
            now = self.state()
            return now["starts"] > starts and now["phase"] == phase

        wait_until(f"the changed agent to be {phase}", changed, READY_TIMEOUT)

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0, self.said()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The example agent; the tests that change it change it back."""
    main = (ROOT / "examples" / "hello-agent" / "app" / "hello" / "main.py").read_text()
    dev = Dev(tmp_path_factory.mktemp("dev"), main, "HTTP", installed(SDK, host_python()))
    dev.start("--port", "0")
    yield dev
    dev.end()
    assert not (dev.folder / "agentcore" / ".cli" / "dev-agent.json").exists()
    assert not users_of(dev.folder), "the agent ends with it"


def get(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_agent_is_talked_to(dev: Dev) -> None:
    session = new_session_id()
    assert "You said: I like tea" in dev.run("invoke", "--dev", "--session-id", session, "I like tea").stdout
    assert "I like tea" in dev.run("dev", "What did I say?").stdout
    assert "200 in" in dev.said()
    assert "INFO invocation" in dev.said(), "structured lines are made readable"


def test_pages_of_others_reach_nothing(dev: Dev) -> None:
    assert get(dev.url) == 200
    assert get(dev.url + "ping") == 200
    assert get(dev.url, Origin="http://evil.example") == 403
    assert get(dev.url, Host="rebound.example") == 403


ECHO = """
    @app.websocket
    async def echo(websocket, context):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{text} again")
    app.run()
"""


def test_a_change_starts_it_again_and_a_mistake_is_told(dev: Dev) -> None:
    text = dev.main.read_text()
    try:
        dev.change("raise RuntimeError('the tide is out')\n" + text, "failed")
        refused = dev.run("invoke", "--dev", "hello", code=6)
        assert "An error occurred when starting the runtime" in refused.stderr
        assert "the tide is out" in refused.stderr
        assert "hint: the terminal of `agentcore dev`" in refused.stderr
        dev.change(text.replace("Hello! You said", "Ahoy! You said").replace("app.run()", ECHO), "ready")
        assert "Ahoy!" in dev.run("invoke", "--dev", "hello").stdout
        # What the project's file says is read anew, too.
        text_of_other = dev.main.read_text().replace("Ahoy!", "Avast!")
        dev.change(text_of_other, "ready", entry=dev.main.with_name("other.py"))
        assert "Avast!" in dev.run("invoke", "--dev", "hello").stdout
        with connect(dev.url.replace("http://", "ws://") + "ws", open_timeout=60) as websocket:
            for text_sent in ("one", "two"):
                websocket.send(text_sent)
                assert websocket.recv(60) == f"{text_sent} again"
    finally:
        dev.change(text, "ready")
    assert "Hello!" in dev.run("invoke", "--dev", "hello").stdout


def own_spans(dev: Dev) -> list[dict[str, Any]]:
    """The spans of the first request, as far as the agent has told of them."""
    with urllib.request.urlopen(dev.url + "_dev/events", timeout=30) as events:
        for line in events:
            if line.startswith(b"data:") and (event := json.loads(line[5:]))["type"] == "trace":
                return event["spans"]
    return []


def test_the_next_port_is_taken_when_one_is_not_free(dev: Dev, tmp_path: Path) -> None:
    """And what the platform says, it says, too: variables, headers, and the words for a failure."""
    port = int(dev.url.rstrip("/").rsplit(":", 1)[1])
    agent = """
import http.server, json, os
from opentelemetry import trace
class Agent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"status": "HealthyBusy"})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = {name.lower(): value for name, value in self.headers.items()}
        with trace.get_tracer("agent").start_as_current_span("weigh anchor", attributes={"chains": 2}):
            pass
        self.answer(500 if request["prompt"] == "fail" else 200, {"headers": seen, "region": os.environ["AWS_REGION"],
            "secret": os.environ.get("SECRET"), "given": os.environ.get("GIVEN")})
    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Agent).serve_forever()
"""
    other = Dev(tmp_path, agent, "HTTP", None)
    (other.main.parent / "requirements.txt").write_text("\n".join(OTEL))
    (tmp_path / "agentcore" / ".env.local").write_text("SECRET='from the file'\n")
    try:
        other.launch("--port", str(port), "--env", "GIVEN=by hand", "--region", "eu-west-1")
        wait_until("the agent to be busy", lambda: other.phase() == "busy", INSTALL_TIMEOUT)
        assert not other.url.endswith(f":{port}/"), "that one is taken"
        session = new_session_id()
        arguments = ("-H", "X-Team: blue", "-H", "X-Other: red", "-u", "jo", "--session-id", session)
        seen = json.loads(other.run("invoke", "--dev", *arguments, "x").stdout)
        assert (seen["region"], seen["secret"], seen["given"]) == ("eu-west-1", "from the file", "by hand")
        headers = seen["headers"]
        assert headers["x-amzn-bedrock-agentcore-runtime-session-id"] == session
        assert headers["x-amzn-bedrock-agentcore-runtime-user-id"] == "jo"
        assert headers["x-team"] == "blue"
        assert headers["traceparent"].startswith("00-")
        span = wait_until("the agent's own span", lambda: own_spans(other), 60)[0]
        assert (span["name"], span["attributes"]) == ("weigh anchor", [["chains", "2"]])
        assert span["to"] >= span["from"] >= 0
        assert "x-other" not in headers, "only what the project allows"
        failed = other.run("invoke", "--dev", "fail", code=6).stderr
        assert "RuntimeClientError: Received error (500) from runtime" in failed
    finally:
        other.end()


TYPESCRIPT = """
import { createServer } from "node:http";
import { greeting } from "./greeting";

interface Asked { prompt: string }

createServer(async (request, response) => {
  if (request.url === "/ping") return response.end(JSON.stringify({ status: "Healthy" }));
  let body = "";
  for await (const piece of request) body += piece;
  const { prompt } = JSON.parse(body) as Asked;
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const word of `${greeting} ${prompt}`.split(" ")) response.write(`data: ${JSON.stringify(`${word} `)}\\n\\n`);
  response.end();
}).listen(8080, "0.0.0.0");
"""


def test_typescript_runs_unbuilt_and_ends_when_dev_is_killed(tmp_path: Path) -> None:
    dev = Dev(tmp_path, TYPESCRIPT, "HTTP", None, "TypeScript")
    code = dev.main.parent
    (code / "greeting.ts").write_text('export const greeting: string = "Ahoy";\n')
    dev.launch("--port", "0")
    wait_until("the agent to fail", lambda: dev.phase() == "failed", READY_TIMEOUT)
    assert "tsx, which runs TypeScript, is not among the packages" in dev.state()["detail"]
    (code / "node_modules").symlink_to(npm_packages(CACHE / "clients" / "tsx", TSX) / "node_modules")
    dev.change(TYPESCRIPT + "// anew", "ready")
    assert dev.run("invoke", "--dev", "captain").stdout == "Ahoy captain \n"
    dev.change(TYPESCRIPT.replace("const { prompt }", "const { prompt }: Asked"), "ready")
    assert "Ahoy" in dev.run("dev", "captain").stdout
    assert dev.process is not None
    dev.process.kill()
    dev.process.wait()
    wait_until("the agent to be gone, too", lambda: not users_of(dev.folder), 30)


def test_without_one_running_that_is_said(tmp_path: Path) -> None:
    project = Dev(tmp_path, "", "HTTP", None)
    refused = project.run("invoke", "--dev", "--port", "9", "hello", code=4).stderr
    assert "hint: `agentcore dev` starts it" in refused


@pytest.fixture(scope="module")
def browser() -> str:
    """A browser; where `scripts/test` prepares a Debian machine there is one."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine")


def inspect(what: str, dev: Dev, browser: str) -> dict[str, object]:
    pictures = LOGS / "inspector"
    pictures.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(CLIENTS / "inspector.py"), what, dev.url, browser, str(pictures)],
        env=os.environ | {"PYTHONPATH": str(installed(BROWSER_DRIVER, host_python()))},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{dev.said()}"
    seen = json.loads(done.stdout)
    assert seen["complaints"] == []
    assert seen["elsewhere"] == [], "the page is whole"
    return seen


def test_the_page_chats_and_shows_what_happens(dev: Dev, browser: str) -> None:
    seen = inspect("chat", dev, browser)
    assert "You said: I like strong tea" in seen["first"]
    assert "200 · " in seen["first"]
    assert any("until the answer began" in span for span in seen["spans"])
    assert any("events" in span for span in seen["spans"])
    assert seen["events"][0].startswith("+0 ms")
    assert "What did I say?" in seen["events"][0]
    assert any("strong" in event for event in seen["events"])
    assert "invocation" in seen["output"]
    assert seen["sessions"] >= 2
    assert seen["images"] == 0, "what agents say is text"


def test_the_page_shows_the_card_of_an_a2a_agent(browser: str, tmp_path: Path) -> None:
    dev = Dev(tmp_path, (AGENTS / "signalman.py").read_text(), "A2A", None)
    try:
        dev.start("--port", "0")
        assert json.loads(dev.run("card", "--dev").stdout)["name"] == "signalman"
        assert dev.run("invoke", "--dev", "ahoy").stdout == "AHOY\n"
        assert "Repeats what is signalled" in inspect("card", dev, browser)["card"]
    finally:
        dev.end()


def test_the_page_calls_the_tools_of_an_mcp_server(browser: str, tmp_path: Path) -> None:
    dev = Dev(tmp_path, (AGENTS / "boats.py").read_text(), "MCP", installed(MCP, host_python()))
    try:
        dev.start("--port", "0")
        assert "remember(" in dev.run("tools", "list", "--dev").stdout
        seen = inspect("tools", dev, browser)
        assert seen["tools"] == ["cross", "recall", "remember", "row", "sink", "think"]
    finally:
        dev.end()
