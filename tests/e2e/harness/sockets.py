"""WebSockets of a runtime, opened with the `websockets` library."""

import json
import socket
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from harness.aws import AgentSession, Aws
from harness.raw import SESSION_HEADER, Signer, invocation_path
from harness.server import Server

# The first connection starts the session.
OPEN_TIMEOUT = 120
ANSWER_TIMEOUT = 60


def opened(server: Server, path: str, **options: Any) -> ClientConnection:
    """Opens a WebSocket as it is asked for. Without keep-alive, so that a test sees only frames of its own."""
    url = f"ws://{server.address[0]}:{server.address[1]}{path}"
    settings = {"open_timeout": OPEN_TIMEOUT, "ping_interval": None, "max_size": None, "compression": None}
    return connect(url, **(settings | options))


def presigned(server: Server, aws: Aws, session: AgentSession, **query: str) -> ClientConnection:
    """Opens one with everything in the query, as a browser has to."""
    signer = Signer(server, aws.access_key, aws.secret_key)
    parameters = urlencode({SESSION_HEADER: session.id} | query)
    return opened(server, signer.presigned("GET", invocation_path(session.runtime.arn, "ws", f"?{parameters}")))


def redirected(server: Server, url: str, **options: Any) -> ClientConnection:
    """Opens a URL of the service on this server instead, as name resolution would."""
    return connect(
        url.replace("wss://", "ws://"),
        sock=socket.create_connection(server.address, timeout=OPEN_TIMEOUT),
        open_timeout=OPEN_TIMEOUT,
        **options,
    )


def ask(connection: ClientConnection, do: str, **arguments: Any) -> Any:
    """Sends a command to the agent and returns its JSON answer."""
    connection.send(json.dumps({"do": do, **arguments}))
    return json.loads(connection.recv(ANSWER_TIMEOUT))


def closing(connection: ClientConnection) -> tuple[int, str]:
    """Reads until the other side closes: code and reason."""
    try:
        while True:
            connection.recv(ANSWER_TIMEOUT)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, f"closed without a close frame: {closed}"
        return closed.rcvd.code, closed.rcvd.reason
