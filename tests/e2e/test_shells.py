"""Command shells: a terminal beside an agent, by what the `bedrock-agentcore` SDK sends."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import websockets
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from bedrock_agentcore.runtime.shell import PresignedAuth, ShellChannel
from websockets.exceptions import InvalidStatus

from harness.aws import AgentSession, Aws, Runtime
from harness.raw import Signer
from harness.shells import FRAMER, Shell, at_shell, shell_path
from harness.sockets import OPEN_TIMEOUT, opened
from harness.waiting import wait_until
from test_commands import run


@pytest.fixture(scope="module")
def session(toolbox: Runtime) -> Iterator[AgentSession]:
    session = toolbox.session()
    session.do("recall")
    yield session
    session.stop_if_running()


@pytest.fixture
def sdk(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> AgentCoreRuntimeClient:
    """The SDK's own client. Its host name leads to the server, as name resolution would."""
    connect = websockets.connect

    def redirected(url: str, **options: Any) -> Any:
        known = socket.create_connection(aws.server.address, timeout=OPEN_TIMEOUT)
        return connect(url.replace("wss://", "ws://"), sock=known, open_timeout=OPEN_TIMEOUT, **options)

    monkeypatch.setattr(websockets, "connect", redirected)
    keys = {"aws_access_key_id": aws.access_key, "aws_secret_access_key": aws.secret_key}
    return AgentCoreRuntimeClient(session=boto3.Session(region_name="us-east-1", **keys))


@pytest.mark.parametrize("auth", ["sigv4", PresignedAuth(60)], ids=["headers", "presigned"])
def test_the_sdk_opens_a_shell_and_hears_how_it_ends(
    session: AgentSession, sdk: AgentCoreRuntimeClient, auth: Any
) -> None:
    async def talk() -> tuple[str, Any]:
        screen = ""
        async with sdk.open_shell(session.runtime.arn, session.id, auth=auth) as shell:
            await shell.resize(100, 30)
            await shell.send('stty size; echo ünï""code; exit 3\n')
            async for frame in shell:
                if frame.channel == ShellChannel.STDOUT:
                    screen += frame.text
            assert shell.session_id == session.id
        return screen, shell.exit_code

    screen, code = asyncio.run(asyncio.wait_for(talk(), 120))
    assert code == 3
    assert "30 100\r\n" in screen
    assert "ünïcode\r\n" in screen


def test_it_is_beside_the_agent(session: AgentSession, driver: str) -> None:
    path = session.do("write", name="/tmp/for-the-shell", text="from the agent")
    with at_shell(session, "beside") as shell:
        assert shell.welcome == {"shellId": "beside", "reconnected": False}
        assert shell.run(f"cat {path}; echo") == "from the agent\n"
        assert shell.run("tty").startswith("/dev/pts/")
        if driver == "microvm":
            assert shell.run("id -u") == "0\n"
        shell.type("exit\n")
        assert shell.ends()[1] == 1000


def test_keys_interrupt_and_programs_hear_of_a_new_size(session: AgentSession) -> None:
    with at_shell(session, "keys") as shell:
        # The program itself says when it has the terminal.
        shell.type("sh -c \"echo be''gun; exec sleep 1000\"\n")
        shell.shows("begun\r\n")
        shell.type("\x03")
        shell.type("echo sta''tus $?\n")
        shell.shows("status 130")
        shell.run("trap 'echo resi''zed' WINCH")
        shell.resize(132, 43)
        assert shell.run("stty size") == "43 132\n"
        shell.connection.send(FRAMER.encode_heartbeat())
        assert shell.frame(ShellChannel.HEARTBEAT) == b""
        shell.type("kill -9 $$\n")
        status, code, _ = shell.ends()
        assert (code, status["reason"]) == (1000, "NonZeroExitCode")
        assert {"reason": "Signal", "message": "9"} in status["details"]["causes"]


def test_whoever_comes_back_finds_it_as_it_was_and_the_output_between(session: AgentSession) -> None:
    # The process driver shares the folder with whatever ran before.
    folder = run(session, "mktemp -d")[0].strip()

    def is_there(name: str) -> bool:
        return run(session, f"test -e {folder}/{name}")[2]["exitCode"] == 0

    with at_shell(session, "back") as shell:
        shell.run(f"cd {folder}; kept=yes")
        shell.type("(until [ -e go ]; do sleep 0.1; done; echo mean''while; touch gone) &\n")
        shell.shows("\r\n")
        shell.run("true")
    run(session, f"touch {folder}/go")
    wait_until("output nobody sees", lambda: is_there("gone"), 30)
    with at_shell(session, "back") as shell:
        assert shell.welcome == {"shellId": "back", "reconnected": True}
        shell.shows("meanwhile\r\n")
        assert shell.run("echo $kept; pwd") == f"yes\n{folder}\n"
        shell.type("(sleep 1; head -c 400000 /dev/zero | tr '\\0' x; touch flooded) &\n")
        shell.run("true")
    wait_until("a flood nobody sees", lambda: is_there("flooded"), 60)
    with at_shell(session, "back") as shell:
        dropped = shell.welcome["bytesDropped"]
        assert 400_000 - 256 * 1024 <= dropped <= 500_000
        shell.run("true")
        shell.connection.send(b"\xff")
        status, code, _ = shell.ends()
        assert (code, status["reason"]) == (1000, "NonZeroExitCode")
    with at_shell(session, "back") as shell:
        assert not shell.welcome["reconnected"], "it was closed"
        shell.type("exit\n")
        shell.ends()


def test_a_newer_client_takes_its_place(session: AgentSession) -> None:
    with at_shell(session, "place") as older, at_shell(session, "place") as newer:
        assert older.ends()[1:] == (4000, "another client attached to the shell")
        assert newer.run("echo mine") == "mine\n"
        newer.type("exit\n")
        newer.ends()


def test_much_output_comes_whole_to_a_slow_reader(session: AgentSession) -> None:
    with at_shell(session, "much") as shell:
        assert len(shell.run("head -c 3000000 /dev/zero | tr '\\0' x")) == 3_000_000
        shell.type("exit\n")
        shell.ends()


def test_their_number_and_names_are_bounded(session: AgentSession) -> None:
    def refused(shell_id: str) -> str:
        with pytest.raises(InvalidStatus) as caught, at_shell(session, shell_id):
            raise AssertionError(f"{shell_id} was opened")
        answer = caught.value.response
        assert answer.status_code == 424
        assert answer.headers["x-amzn-ErrorType"] == "RuntimeClientError"
        return answer.body.decode()

    assert "shellId" in refused("-no-name")
    names = [f"many-{number}" for number in range(10)]
    for name in names:
        with at_shell(session, name):
            pass
    assert "10 shells" in refused("many-10")
    for name in names:
        with at_shell(session, name) as shell:
            assert shell.welcome["reconnected"]
            shell.type("exit\n")
            shell.ends()


def test_what_is_no_frame_of_a_shell(session: AgentSession) -> None:
    with at_shell(session, "strange") as shell:
        shell.connection.send(b"\x07?")
        assert b"channels" in shell.frame(ShellChannel.STDERR)
        shell.type("wc -c\n")
        shell.connection.send(b"\x00" + b"#######\n" * 8192)
        shell.type("\x04")
        shell.shows("65536\r\n")
        shell.connection.send(b"\x00" + b"#" * 65_537)
        assert shell.ends()[1] == 1009
    with at_shell(session, "strange") as shell:
        for _ in range(5):
            shell.connection.send("text")
        assert shell.ends()[1] == 1003
    with at_shell(session, "strange") as shell:
        shell.type("exit\n")
        shell.ends()


def test_the_end_of_the_session_is_told(toolbox: Runtime) -> None:
    session = toolbox.session()
    signer = Signer(toolbox.aws.server, toolbox.aws.access_key, toolbox.aws.secret_key)
    with opened(toolbox.aws.server, signer.presigned("GET", shell_path(session))) as connection:
        shell = Shell(connection)
        assert shell.welcome["shellId"] == connection.response.headers["X-Amzn-Bedrock-AgentCore-Shell-Id"]
        session.stop()
        shell.frame(ShellChannel.CLOSE)
        assert shell.ends() == (None, 1001, "the session was stopped")
