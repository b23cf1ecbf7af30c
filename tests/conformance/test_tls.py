"""TLS: certificates from files that change, and clients that insist on the service's host names."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bedrock_agentcore._utils.endpoints as endpoints
import boto3
import pytest
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from bedrock_agentcore.runtime.shell import PresignedAuth, ShellChannel

from authority import CONTROL_PLANE, DATA_PLANE, REGION, Authority
from suite.server import Server, until

OpenServer = Callable[[str], Server]


def config(authority: Authority) -> str:
    items = authority.settings().items()
    return "[tls]\n" + "".join(f'{name} = "{value}"\n' for name, value in items)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


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
    server = own_server(config(authority))
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
    server = own_server(config(authority))
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
        own_server(config(authority))
