"""Registries of one's own: the real one of Debian, and one that misbehaves."""

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from harness.containers import Image
from harness.waiting import wait_until

START_TIMEOUT = 30.0
REQUEST_TIMEOUT = 60
USER, PASSWORD = "AWS", "open-sesame"
IDENTITY_TOKEN = "an-identity-token"
# bcrypt of the password, which is all that this registry accepts.
HTPASSWD = f"{USER}:$2b$04$aRTSwMclGcL2V3CaV94SuuKATJGmW3fd8axUnnCO5iqLtMyhU57Ry\n"


class DebianRegistry:
    """`docker-registry` on a free port, with or without a password."""

    def __init__(self, with_password: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="cor-registry-"))
        self._authorization = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() if with_password else None
        config = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}},
            "http": {"addr": "127.0.0.1:0"},
        }
        if with_password:
            (self._folder / "htpasswd").write_text(HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self._folder / "htpasswd")}}
        (self._folder / "config.yml").write_text(json.dumps(config))
        self._log = self._folder / "log"
        program = shutil.which("docker-registry")
        assert program, "docker-registry is not installed"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(self._folder / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.host = wait_until("the registry to listen", self._address, START_TIMEOUT)

    def _address(self) -> str | None:
        """It says in its log which port it has taken."""
        assert self._process.poll() is None, self._log.read_text()
        _, found, rest = self._log.read_text().partition("listening on ")
        return rest.split('"')[0].split()[0].strip(",") if found and rest.strip() else None

    def downloads(self, name: str) -> int:
        """How many blobs of a repository have been fetched."""
        return self._log.read_text().count(f'"GET /v2/{name}/blobs/')

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(REQUEST_TIMEOUT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def push(self, made: Image, name: str, tag: str = "latest") -> str:
        """Stores an image and returns its reference."""
        for digest, content in made.blobs.items():
            kind = json.loads(content).get("mediaType", "") if content[:1] == b"{" else ""
            if "manifest" in kind or "index" in kind:
                self._put(f"/v2/{name}/manifests/{digest}", content, kind)
                continue
            location = self._request("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
            self._put(f"{location}&digest={digest}", content, "application/octet-stream")
        self._put(f"/v2/{name}/manifests/{tag}", made.root, made.kind)
        return f"{self.host}/{name}:{tag}"

    def _put(self, place: str, content: bytes, kind: str) -> None:
        self._request("PUT", place, content, {"Content-Type": kind})

    def _request(
        self, method: str, place: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        url = place if place.startswith("http") else f"http://{self.host}{place}"
        headers = dict(headers or {})
        if self._authorization:
            headers["Authorization"] = f"Basic {self._authorization}"
        request = urllib.request.Request(url, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as answer:
            answer.read()
            return answer


Answer = Callable[[BaseHTTPRequestHandler], bool]


class BadRegistry:
    """Serves images, after `answer` has had its chance to do something else with a request."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.answer: Answer = lambda _: False
        self.requests: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                registry.requests.append(self.path)
                try:
                    if not registry.answer(self):
                        registry.serve(self)
                except OSError:
                    # The client has had enough.
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        name, _, rest = request.path.removeprefix("/v2/").partition("/")
        kind, _, wanted = rest.partition("/")
        made = self.images.get(name)
        content = None
        if made:
            content = made.blobs.get(wanted)
            if kind == "manifests" and not content:
                content = made.root
        respond(request, 404 if content is None else 200, content or b"{}")


def respond(request: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> bool:
    request.send_response(status)
    request.send_header("Content-Length", str(len(content)))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)
    return True


class TokenGate:
    """Lets in whoever has a token, which is given for the right password, as at Docker Hub, or identity token."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._token = hashlib.sha256(host.encode()).hexdigest()
        self.scopes: list[str] = []

    def __call__(self, request: BaseHTTPRequestHandler) -> bool:
        authorization = request.headers.get("Authorization", "")
        if request.path.startswith("/token"):
            if request.command == "POST":
                return self._exchange(request)
            self.scopes.append(request.path)
            right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if authorization == right:
                return respond(request, 200, json.dumps({"token": self._token}).encode())
            return respond(request, 401, b"{}")
        if authorization == f"Bearer {self._token}":
            return False
        challenge = f'Bearer realm="http://{self._host}/token",service="tests"'
        return respond(request, 401, b"{}", WWW_Authenticate=challenge)

    def _exchange(self, request: BaseHTTPRequestHandler) -> bool:
        """An identity token, which `docker login` got from the registry, for a token of one repository."""
        form = dict(parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        self.scopes.append(form["scope"])
        known = ("refresh_token", "tests", IDENTITY_TOKEN)
        if (form["grant_type"], form["service"], form["refresh_token"]) == known and form["client_id"]:
            return respond(request, 200, json.dumps({"access_token": self._token}).encode())
        return respond(request, 401, b"{}")
