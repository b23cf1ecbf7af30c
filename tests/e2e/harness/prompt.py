"""A shell in a terminal, as somebody who follows the documentation has it."""

import contextlib
import os
import re
import signal
from pathlib import Path
from types import TracebackType

from harness.processes import users_of
from harness.terminal import Terminal
from harness.waiting import wait_until

# What appears of itself: an exit code between these.
PROMPT = "<<$?>> "
AT_PROMPT = r"<<(\d+)>> "


class Prompt:
    """Types commands at bash's prompt, answers what they ask, and knows how they ended."""

    def __init__(self, folder: Path, environment: dict[str, str], timeout: float) -> None:
        """A shell in this folder, where each step of a command takes at most so many seconds."""
        self._folder = folder
        self._timeout = timeout
        shell = ["bash", "--noprofile", "--norc", "--noediting", "-i"]
        self._terminal = Terminal(shell, folder, environment | {"PS1": PROMPT, "PS2": "", "HISTFILE": ""})
        self._terminal.wait_for(AT_PROMPT, timeout)
        self._going_on = 0

    def __enter__(self) -> "Prompt":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._terminal.__exit__(kind, error, at)
        # What a failure left running.
        for pid in users_of(self._folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def run(self, command: str, answers: tuple[tuple[str, str], ...] = ()) -> str:
        """Runs a command that is to succeed, pressing keys as its questions come, and returns what was shown."""
        self._terminal.type(command)
        shown = ""
        for question, keys in answers:
            shown += self._terminal.up_to(f"{question}|{AT_PROMPT}", self._timeout)
            assert not re.search(f"{AT_PROMPT}$", shown), f"{command} did not ask {question!r}:\n{shown}"
            self._terminal.press(keys)
        shown += self._terminal.up_to(AT_PROMPT, self._timeout)
        code = re.findall(AT_PROMPT, shown)[-1]
        assert code == "0", f"{command}: {code}\n{shown}"
        return shown

    def leave_running(self, command: str, until: str) -> None:
        """Starts a command that does not end by itself, and waits until it says that."""
        self._going_on += 1
        output = self._folder / f"output-{self._going_on}"
        output.touch()
        self.run(f"{command} > {output} 2>&1 &")

        def says_so() -> bool:
            self.run(f"kill -0 %{self._going_on}")
            return re.search(until, output.read_text(errors="replace")) is not None

        wait_until(f"{command} to say {until!r}", says_so, self._timeout)

    def interrupt_all(self) -> None:
        """Ends what is still running, as Ctrl-C would."""
        for number in range(1, self._going_on + 1):
            self.run(f"kill -INT %{number}; wait %{number}; [[ $? = 0 || $? = 130 ]]")
