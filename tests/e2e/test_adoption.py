"""A server that is killed or upgraded leaves its sandboxes running, and the next one goes on with them."""

import json
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.server import SMALL_SANDBOXES, Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

READY_TIMEOUT = 180.0
SEED = 20261121


def deployed(server: Server, **members: Any) -> Runtime:
    aws = Aws(server, "PYTHON_3_13")
    storage = [{"sessionStorage": {"mountPath": "/mnt/data"}}]
    members = {"platformVersion": "V2", "filesystemConfigurations": storage} | members
    return aws.deploy(agent_zip("toolbox"), READY_TIMEOUT, **members)


def on_another_port(server: Server, sessions: list[AgentSession]) -> list[AgentSession]:
    """The same sessions for clients of a server that has been restarted."""
    aws = Aws(server, "PYTHON_3_13")
    return [Runtime(aws, each.runtime.id, each.runtime.arn).session(each.id) for each in sessions]


def under_load(sessions: list[AgentSession]) -> list[threading.Thread]:
    """Requests in flight to all sessions, whose end may be anything but a wrong answer."""

    def ask(session: AgentSession) -> None:
        with suppress(BotoCoreError, ClientError, OSError):
            session.start("stream", count=100, delay=0.05)["response"].read()

    threads = [threading.Thread(target=ask, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    return threads


def kill_again_and_again(server: Server, sessions: list[AgentSession], restarts: int) -> list[AgentSession]:
    chance = random.Random(SEED)
    before = {session.id: session.do("whoami")["pid"] for session in sessions}
    for index, session in enumerate(sessions):
        session.do("remember", value=index)
        session.do("write", name="note", text=f"note {index}")
        session.do("write", name="/mnt/data/note", text=f"kept {index}", sync=True)
    for _ in range(restarts):
        load = under_load(sessions)
        load[0].join(chance.uniform(0.2, 1.5))
        server.kill()
        for thread in load:
            thread.join(30)
            assert not thread.is_alive(), "a stream outlives its server"
        server.start()
        sessions = on_another_port(server, sessions)
        for index, session in enumerate(sessions):
            assert session.do("recall") == index
            assert session.do("read", name="note") == f"note {index}"
            assert session.do("read", name="/mnt/data/note") == f"kept {index}"
            assert session.do("whoami")["pid"] == before[session.id]
    return sessions


def say(runtime: Runtime, mcp_session: str | None, do: str, **arguments: Any) -> dict[str, Any]:
    """Sends a command to a toolbox that takes itself for an MCP server."""
    return runtime.aws.data.invoke_agent_runtime(
        agentRuntimeArn=runtime.arn,
        payload=json.dumps({"do": do, **arguments}),
        contentType="application/json",
        accept="application/json, text/event-stream",
        **({"mcpSessionId": mcp_session} if mcp_session else {}),
    )


@pytest.mark.timeout(600)
def test_sessions_live_through_crashes_and_upgrades(own_server: Callable[..., Server]) -> None:
    sandbox = SMALL_SANDBOXES["sandbox"] | {"on_stop": "keep"}
    server = own_server("microvm", "adoption", sandbox=sandbox)
    runtime = deployed(server)
    protocol = {"serverProtocol": "MCP", "port": 8080}
    mcp = runtime.aws.deploy(agent_zip("toolbox"), READY_TIMEOUT, protocolConfiguration=protocol)
    begun = say(mcp, None, "begin_mcp", session="made-by-the-agent")
    assert begun["mcpSessionId"] == "made-by-the-agent"
    say(mcp, "made-by-the-agent", "remember", value="tea")
    sessions = kill_again_and_again(server, [runtime.session() for _ in range(2)], restarts=2)
    mcp = Runtime(sessions[0].runtime.aws, mcp.id, mcp.arn)
    recalled = say(mcp, "made-by-the-agent", "recall")
    assert json.load(recalled["response"]) == "tea", "an agent's own id leads to its session still"
    mcp.session(recalled["runtimeSessionId"]).stop()
    server.terminate()
    assert server.wait() == 0
    assert server.left_processes(), "machines run on"
    kept, lost = on_another_port(server.start(), sessions)
    assert (kept.do("recall"), lost.do("recall")) == (0, 1)
    # A machine that dies together with its server is not missed.
    hostname = lost.do("whoami")["hostname"]
    server.kill()
    os.kill(server.machine_called(hostname), signal.SIGKILL)
    kept, lost = on_another_port(server.start(), sessions)
    assert kept.do("recall") == 0
    assert (lost.do("recall"), lost.do("read", name="/mnt/data/note")) == (None, "kept 1")
    for session in (kept, lost):
        session.stop_if_running()
    wait_until("no machine to be left", lambda: not server.left_processes(), 60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_crashes_with_twenty_sessions(own_server: Callable[..., Server]) -> None:
    server = own_server("microvm", "adoption-slow", **SMALL_SANDBOXES)
    runtime = deployed(server)
    kill_again_and_again(server, [runtime.session() for _ in range(20)], restarts=100)
    server.stop()
