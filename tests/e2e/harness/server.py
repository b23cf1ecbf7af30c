"""A `coracle serve` of one's own: started on a free port in a folder of its own, watched, and ended."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import processes
from harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
BINARIES = Path(os.environ.get("CORACLE_BIN_DIR", ROOT / "target" / "debug"))
CACHE = Path(
    os.environ.get("CORACLE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coracle"
)
IMAGES = Path(os.environ.get("CORACLE_IMAGES_DIR", CACHE / "images"))
LOGS = Path(os.environ.get("CORACLE_E2E_LOGS", ROOT / "target" / "e2e-logs"))

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0

# Programs of the tests' own Python, such as its interpreter and pip, are found before others.
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"

# Where the drivers keep what a sandbox has; one folder each.
SANDBOX_FOLDERS = ("sandboxes", "processes")

Section = dict[str, Any]


def toml(config: dict[str, Any]) -> str:
    """Writes scalars, lists, tables in lists and one level of sections."""

    def value(item: Any) -> str:
        if isinstance(item, bool):
            return "true" if item else "false"
        if isinstance(item, list):
            return f"[{', '.join(value(each) for each in item)}]"
        if isinstance(item, dict):
            return f"{{ {', '.join(f'{key} = {value(each)}' for key, each in item.items())} }}"
        return f'"{item}"' if isinstance(item, str) else str(item)

    top = [f"{key} = {value(item)}" for key, item in config.items() if not isinstance(item, dict)]
    for section, items in config.items():
        if isinstance(items, dict):
            top += [f"[{section}]", *(f"{key} = {value(item)}" for key, item in items.items())]
    return "\n".join(top) + "\n"


# Small guests, so that filling their disk or memory does not take minutes in emulation.
SMALL_SANDBOXES: dict[str, Section] = {"sandbox": {"memory_mib": 512, "vcpus": 1, "disk_mib": 256}}


@dataclass
class Server:
    """One server on one data folder. It can be killed and started again on the same folder."""

    driver: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    log: Path = field(init=False)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        # Short, because paths of Unix sockets are.
        self.folder = Path(tempfile.mkdtemp(prefix="cor-"))
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{self.name}-{self.folder.name}.log"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def address(self) -> tuple[str, int]:
        host, port = (self.data / "address").read_text().strip().rsplit(":", 1)
        return host, int(port)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    @property
    def credentials_file(self) -> Path:
        return self.data / "credentials"

    def client_environment(self) -> dict[str, str]:
        """All that an AWS client needs, and nothing of the developer's own set-up."""
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("AWS_")}
        return inherited | {
            "PATH": PATH,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> "Server":
        """Starts the server and waits until it is ready."""
        assert not self.running, "the server is running already"
        assert (BINARIES / "coracle").exists(), f"there is no coracle in {BINARIES}; run `cargo xtask build`"
        config = self.folder / "coracle.toml"
        config.write_text(toml(SMALL_SANDBOXES | self.config))
        (self.data / "address").unlink(missing_ok=True)
        command = [
            str(BINARIES / "coracle"), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data),
            "--config", str(config), "--driver", self.driver, "--images-dir", str(IMAGES),
        ]  # fmt: skip
        if accelerator := os.environ.get("CORACLE_E2E_ACCELERATOR"):
            command += ["--accelerator", accelerator]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ
                | {"CORACLE_LOG": os.environ.get("CORACLE_LOG", "info"), "PATH": PATH}
                | self.environment,
                start_new_session=True,
            )
        wait_until(f"the server to be ready (log: {self.log})", self._ready, START_TIMEOUT)
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the server ended with {code} while starting:\n{self.log_tail()}"
        return self.healthy()

    def healthy(self) -> bool:
        """Whether `/healthz` answers 200 promptly."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return answer.status == 200
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def terminate(self) -> None:
        """Asks the server to drain and end, without waiting for it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Waits for the end of the server and returns its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {timeout:g} s:\n{self.log_tail()}") from None

    def kill(self) -> None:
        """Kills the server as a crash would: only it, not what it started."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_TIMEOUT)

    def metrics(self) -> str:
        """What the server counts, as Prometheus reads it."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def log_tail(self, lines: int = 30) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def left_processes(self) -> dict[int, str]:
        """Processes other than the server that work on its data folder."""
        ignoring = frozenset({self.process.pid}) if self.process and self.running else frozenset()
        return processes.users_of(self.folder, ignoring=ignoring)

    def machines(self) -> list[int]:
        """The processes of this server's machines."""
        return [pid for pid, line in self.left_processes().items() if "qemu-system" in line]

    def machine_called(self, hostname: str) -> int:
        """The process of a machine, which is called as the machine is inside."""
        return next(pid for pid, line in self.left_processes().items() if hostname in line)

    def left_files(self) -> list[str]:
        """Sockets and folders of sandboxes below the data folder."""
        folders = [path for name in SANDBOX_FOLDERS for path in self.data.glob(f"{name}/*")]
        sandboxes = [path for path in folders if path.is_dir()]
        return [str(path.relative_to(self.data)) for path in processes.sockets_in(self.data) + sandboxes]

    def assert_nothing_left(self) -> None:
        """Asserts that no sandbox is left of what this server has run."""
        wait_until("no process of the server's to be left", lambda: not self.left_processes(), 10.0)
        assert not self.left_files(), f"left in the data folder: {self.left_files()}"

    def stop(self) -> None:
        """Ends the server the ordinary way and asserts that it did so cleanly."""
        if self.running:
            self.terminate()
            code = self.wait()
            assert code == 0, f"the server exited with {code} after SIGTERM:\n{self.log_tail()}"
            self.assert_nothing_left()

    def clean_up(self) -> None:
        """Removes everything, whatever state it is in."""
        if self.running:
            self.kill()
        for pid in self.left_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for record in self.data.glob("sandboxes/*/machine.json"):
            for group in json.loads(record.read_text()).get("groups", []):
                wait_until(f"{group} to be empty", lambda group=group: processes.remove_group(Path(group)), 10.0)
        shutil.rmtree(self.folder, ignore_errors=True)


def run(server: Server) -> Iterator[Server]:
    """For fixtures: a server that runs, and is to end cleanly."""
    try:
        yield server.start()
        server.stop()
    finally:
        server.clean_up()
