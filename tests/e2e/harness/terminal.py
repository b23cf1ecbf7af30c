"""A program in a pseudo-terminal of its own."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType

TIMEOUT = 60.0


class Terminal:
    """Types into a program and reads what it shows."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | {"TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._shown = ""
        self._read_up_to = 0

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, line: str) -> None:
        """Types a line."""
        self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        """Presses keys, as a terminal sends them."""
        os.write(self._master, keys.encode())

    def wait_for(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """What was shown and matches, after all that was waited for before."""
        deadline = time.monotonic() + timeout
        while not (found := re.compile(pattern).search(self._shown, self._read_up_to)):
            assert time.monotonic() < deadline, f"{pattern!r} did not appear:\n{self._shown}"
            assert self._read(), f"the program ended before {pattern!r} appeared:\n{self._shown}"
        self._read_up_to = found.end()
        return found[0]

    def up_to(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """All that was shown until then, and what matches."""
        start = self._read_up_to
        self.wait_for(pattern, timeout)
        return self._shown[start : self._read_up_to]

    def ended(self) -> int:
        """The exit code."""
        while self._read():
            pass
        return self._process.wait(TIMEOUT)

    def _read(self) -> bool:
        readable, _, _ = select.select([self._master], [], [], 1.0)
        if not readable:
            return self._process.poll() is None
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # the program has closed its side
            return False
        self._shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", piece.decode(errors="replace"))
        return bool(piece)
