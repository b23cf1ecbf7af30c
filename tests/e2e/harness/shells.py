"""A command shell of a session, as a client sees it: frames of the SDK over the `websockets` library."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from bedrock_agentcore.runtime.shell.protocol import ShellChannel, ShellFramer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from harness.aws import AgentSession
from harness.raw import SESSION_HEADER, Signer, invocation_path
from harness.sockets import ANSWER_TIMEOUT, opened

FRAMER = ShellFramer()


class Shell:
    """Somebody at a shell."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.welcome = self.status()["metadata"]
        self.screen = ""

    def type(self, keys: str) -> None:
        self.connection.send(FRAMER.encode_stdin(keys))

    def resize(self, width: int, height: int) -> None:
        self.connection.send(FRAMER.encode_resize(width, height))

    def frame(self, channel: ShellChannel) -> bytes:
        """The payload of the next frame on a channel; output in between is on the screen."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            try:
                frame = FRAMER.decode(self.connection.recv(left))
            except TimeoutError:
                break
            if frame.channel == channel:
                return frame.payload
            if frame.channel == ShellChannel.STDOUT:
                self.screen += frame.text
        raise AssertionError(f"no {channel!r} within {ANSWER_TIMEOUT} s; on the screen: {self.screen!r}")

    def status(self) -> dict[str, Any]:
        return json.loads(self.frame(ShellChannel.STATUS))

    def shows(self, text: str) -> str:
        """Reads until the screen shows this, and clears it."""
        while text not in self.screen:
            self.screen += self.frame(ShellChannel.STDOUT).decode(errors="replace")
        before, _, self.screen = self.screen.partition(text)
        return before

    def run(self, command: str) -> str:
        """Types a command and reads what it prints."""
        # What is typed is on the screen, too; the marks are not, as they are typed.
        self.type(f"echo be''gun; {command}; echo do''ne\n")
        self.shows("begun\r\n")
        return self.shows("done\r\n").replace("\r\n", "\n")

    def ends(self) -> tuple[dict[str, Any] | None, int, str]:
        """Reads to the end: the last status, close code and reason."""
        status = None
        try:
            while True:
                status = self.status()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, f"closed without a close frame: {closed}"
            return status, closed.rcvd.code, closed.rcvd.reason


def shell_path(session: AgentSession, **query: str) -> str:
    """Where a presigned shell of a session is opened, unsigned as yet."""
    parameters = urlencode({SESSION_HEADER: session.id} | query)
    return invocation_path(session.runtime.arn, "ws/shells", f"?{parameters}")


@contextlib.contextmanager
def at_shell(session: AgentSession, shell_id: str) -> Iterator[Shell]:
    """Sits down at a shell by a presigned URL, and leaves without ending it."""
    aws = session.runtime.aws
    signer = Signer(aws.server, aws.access_key, aws.secret_key)
    target = signer.presigned("GET", shell_path(session, shellId=shell_id))
    with opened(aws.server, target) as connection:
        yield Shell(connection)
