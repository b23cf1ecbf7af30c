"""TLS: certificates from files that change, and clients that insist on the service's host names."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bedrock_agentcore._utils.endpoints as endpoints
import boto3
import pytest
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from bedrock_agentcore.runtime.shell import PresignedAuth, ShellChannel

from suite.server import REGION, Server, until

DATA_PLANE = f"bedrock-agentcore.{REGION}.amazonaws.com"
CONTROL_PLANE = f"bedrock-agentcore-control.{REGION}.amazonaws.com"
OpenServer = Callable[[str], Server]


class Authority:
    """Issues certificates, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req", "-x509", "-subj", "/CN=test", "-days", "2", "-out", self.certificate, *self._new(self._key)
        )

    def issue(self) -> None:
        """Puts a certificate of the service's names and its key where the server looks."""
        request, names = self._folder / "request", self._folder / "names"
        names.write_text(f"subjectAltName=DNS:{DATA_PLANE},DNS:{CONTROL_PLANE}\n")
        key, certificate = self._folder / "new.key", self._folder / "new.pem"
        self._openssl("req", "-subj", "/CN=server", "-out", request, *self._new(key))
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        self._openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-extfile", names, "-out", certificate)
        key.rename(self._folder / "server.key")
        certificate.rename(self._folder / "server.pem")

    def config(self) -> str:
        files = f'certificate = "{self._folder}/server.pem"\nkey = "{self._folder}/server.key"\n'
        return f'[tls]\nlisten = "127.0.0.1:0"\n{files}'

    def _new(self, key: Path) -> tuple[object, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue()
    return authority


def tls_port(server: Server) -> int:
    return int((server.folder / "data" / "tls-address").read_text().rsplit(":", 1)[1])


def shown(server: Server, authority: Authority) -> bytes:
    """The certificate that a client is shown that trusts the authority."""
    context = ssl.create_default_context(cafile=authority.certificate)
    with (
        socket.create_connection(("127.0.0.1", tls_port(server)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=DATA_PLANE) as secure,
    ):
        return secure.getpeercert(binary_form=True)


@pytest.mark.parametrize("auth", ["sigv4", PresignedAuth(60)], ids=["headers", "presigned"])
def test_the_services_host_names_lead_here_by_name_resolution(
    own_server: OpenServer, authority: Authority, monkeypatch: pytest.MonkeyPatch, auth: Any
) -> None:
    server = own_server(authority.config())
    resolve = socket.getaddrinfo

    def here(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host in (DATA_PLANE, CONTROL_PLANE) else host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setattr(endpoints, "DP_ENDPOINT_OVERRIDE", f"https://{DATA_PLANE}:{tls_port(server)}")
    named = {f"aws_{name}": value for name, value in server.keys().items()}
    session = boto3.Session(region_name=REGION, **named)
    arn = server.aws().deploy()["agentRuntimeArn"]

    def client(service: str, host: str) -> Any:
        url = f"https://{host}:{tls_port(server)}"
        return session.client(service, endpoint_url=url, verify=str(authority.certificate))

    found = client("bedrock-agentcore-control", CONTROL_PLANE).list_agent_runtimes()["agentRuntimes"]
    assert [item["agentRuntimeArn"] for item in found] == [arn]
    payload = json.dumps({"do": "remember", "value": "boat"})
    answer = client("bedrock-agentcore", DATA_PLANE).invoke_agent_runtime(agentRuntimeArn=arn, payload=payload)
    assert answer["statusCode"] == 200

    async def typed() -> str:
        async with AgentCoreRuntimeClient(session=session).open_shell(arn, auth=auth) as shell:
            await shell.send("echo of the simulated shell")
            async for frame in shell:
                if frame.channel == ShellChannel.STDOUT:
                    return frame.text
        raise AssertionError("nothing was shown")

    assert asyncio.run(asyncio.wait_for(typed(), 60)) == "echo of the simulated shell"


def test_new_files_are_taken_and_bad_ones_refused(own_server: OpenServer, authority: Authority, tmp_path: Path) -> None:
    server = own_server(authority.config())
    first = shown(server, authority)
    authority.issue()
    second = until("the new certificate", lambda: (now := shown(server, authority)) != first and now, 60)
    (tmp_path / "server.key").write_text("no key")
    until("the bad key to be refused", lambda: "server.key holds no private key" in server.log.read_text(), 60)
    assert shown(server, authority) == second
    authority.issue()
    until("a better one", lambda: shown(server, authority) not in (first, second), 60)


def test_a_server_without_its_certificate_does_not_start(
    own_server: OpenServer, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "server.pem").write_text("no certificate")
    with pytest.raises(AssertionError, match=r"server\.pem holds no certificate"):
        own_server(authority.config())
