"""Requests that no well-behaved client would send, signed by botocore where they are to be signed at all."""

import datetime
import http.client
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.server import Server

SERVICE = "bedrock-agentcore"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> str:
        """The error code, as AWS clients read it."""
        return (self.headers.get("x-amzn-ErrorType") or "").split(":")[0].split("#")[-1]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Signer:
    """Signs requests for one server."""

    server: Server
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    # How far the client's clock is from the server's.
    skew: datetime.timedelta = datetime.timedelta()

    def headers(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        """The headers of the request with its signature."""
        request = AWSRequest(method, self.server.url + path, headers=dict(headers), data=body)
        self._sign(botocore.auth.SigV4Auth(self._credentials(), SERVICE, self.region), request)
        return dict(request.headers.items())

    def presigned(self, method: str, path: str, expires: int = 60) -> str:
        """The path with a signature in its query."""
        request = AWSRequest(method, self.server.url + path)
        auth = botocore.auth.SigV4QueryAuth(self._credentials(), SERVICE, self.region, expires=expires)
        self._sign(auth, request)
        parts = urlsplit(request.url)
        return f"{parts.path}?{parts.query}"

    def _credentials(self) -> Credentials:
        return Credentials(self.access_key, self.secret_key)

    def _sign(self, auth: botocore.auth.BaseSigner, request: AWSRequest) -> None:
        now = datetime.datetime.now(datetime.UTC) + self.skew
        with mock.patch("botocore.auth.get_current_datetime", return_value=now):
            auth.add_auth(request)


def send(
    server: Server,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 60,
) -> Answer:
    """Sends a request as it is. A body that is not bytes is sent in chunks, without a length.

    A server that answers and closes before it has read the whole body is read nevertheless.
    """
    connection = http.client.HTTPConnection(*server.address, timeout=timeout)
    chunked = body is not None and not isinstance(body, bytes)
    try:
        try:
            connection.request(method, path, body=body, headers=headers or {}, encode_chunked=chunked)
        except (BrokenPipeError, ConnectionResetError):
            if connection.sock is None:
                raise
        response = http.client.HTTPResponse(connection.sock, method=method)
        response.begin()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def signed(
    signer: Signer,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Sends a signed request."""
    return send(signer.server, method, path, body, signer.headers(method, path, body, headers or {}))


def invocation_path(arn: str, verb: str = "invocations", query: str = "") -> str:
    return f"/runtimes/{quote(arn, safe='')}/{verb}{query}"


def connect(server: Server, timeout: float = 30) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(server.address, timeout=timeout)
