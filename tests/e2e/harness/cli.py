"""Runs `agentcore` in a folder against a server."""

import subprocess
from pathlib import Path

from harness.server import BINARIES, Server
from harness.terminal import Terminal


class Cli:
    """Runs `agentcore` in a project folder against a server."""

    def __init__(self, server: Server, project: Path, **variables: str) -> None:
        self._project = project
        self._environment = server.client_environment() | {"NO_COLOR": "1"} | variables

    def run(self, *arguments: str, code: int = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = self._run(arguments, timeout)
        assert done.returncode == code, f"agentcore {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def _run(self, arguments: tuple[str, ...], timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BINARIES / "agentcore", *arguments],
            cwd=self._project,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def refused(self, *arguments: str) -> str:
        """What is said when there is nothing of that name; nothing as long as something is in progress."""
        done = self._run(arguments, 60)
        assert done.returncode in (1, 3), done.stderr
        return done.stderr if done.returncode == 3 else ""

    def terminal(self, *arguments: str) -> Terminal:
        return Terminal([str(BINARIES / "agentcore"), *arguments], self._project, self._environment)

    def start(self, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with output.open("wb") as file:
            return subprocess.Popen(
                [BINARIES / "agentcore", *arguments],
                cwd=self._project,
                env=self._environment,
                stdout=file,
                stderr=file,
            )
