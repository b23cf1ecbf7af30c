"""Signed requests past botocore's own checks: what the model forbids reaches the server as it is."""

import http.client
import json
import urllib.parse
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import OperationModel


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return self.headers.get("x-amzn-errortype", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> set[str]:
        """The members that the answer names as broken."""
        return {field["name"] for field in self.json.get("fieldList", [])}


class Raw:
    """A connection that signs whatever it sends."""

    def __init__(self, url: str, keys: dict[str, str], region: str, service: str = "bedrock-agentcore") -> None:
        self.url, self.region, self._service = url, region, service
        self._credentials = Credentials(keys["access_key_id"], keys["secret_access_key"], keys.get("session_token"))
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)

    def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        sign: bool = True,
    ) -> Answer:
        """Sends a request; `target` is already escaped."""
        sent = self._headers(method, target, headers or {}, body, sign)
        try:
            answer, content = self._exchange(method, target, body, sent)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The server closes connections that nobody has used for a while; every client asks again then.
            self._connection.close()
            answer, content = self._exchange(method, target, body, sent)
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    def announce(self, target: str, length: int, headers: dict[str, str]) -> int:
        """Sends the head of a request with a body of this length, and not the body."""
        sent = self._headers("POST", target, headers, b"", sign=True) | {"Content-Length": str(length)}
        self._connection.request("POST", target, None, sent)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def _headers(self, method: str, target: str, headers: dict[str, str], body: bytes, sign: bool) -> dict[str, str]:
        request = AWSRequest(method, self.url + target, headers=dict(headers), data=body)
        if sign:
            SigV4Auth(self._credentials, self._service, self.region).add_auth(request)
        prepared = request.prepare().headers.items()
        return {name: value if isinstance(value, str) else value.decode() for name, value in prepared}

    def _exchange(
        self, method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, target, body or None, headers)
        answer = self._connection.getresponse()
        return answer, answer.read()

    def call(self, operation: OperationModel, members: dict[str, Any], payload: bytes = b"") -> Answer:
        """Sends members of an operation to where the model puts them, whatever they are."""
        target = operation.http["requestUri"]
        query: list[tuple[str, str]] = []
        headers: dict[str, str] = {}
        body: dict[str, Any] = {}
        for name, value in members.items():
            shape = operation.input_shape.members[name]
            place, wire = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "uri":
                target = target.replace(f"{{{wire}}}", urllib.parse.quote(str(value), safe="-_.~"))
            elif place == "querystring":
                values = value if isinstance(value, list) else [value]
                query += [(wire, str(each)) for each in values]
            elif place == "header":
                headers[wire] = str(value)
            else:
                body[wire] = value
        if query:
            target += "?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
        if body and not payload:
            headers.setdefault("Content-Type", "application/json")
            # One member may be the whole body.
            content = body.get(operation.input_shape.serialization.get("payload"), body)
            payload = json.dumps(content).encode()
        return self.send(operation.http["method"], target, headers, payload)
