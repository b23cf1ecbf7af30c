"""How an endpoint moves from one version to another: by share, and what becomes of old sessions."""

import json
import subprocess
from typing import Any
from urllib.parse import quote

from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.metrics import metric
from harness.raw import Signer, signed
from harness.server import BINARIES, Server
from harness.waiting import wait_until

PATIENCE = 30.0
SESSIONS = 30


def described(signer: Signer, session: AgentSession) -> dict[str, Any]:
    query = f"runtime={session.runtime.id}&session={session.id}&endpoint={session.qualifier}"
    return signed(signer, "GET", f"/_coracle/session?{query}").json


def version_of(signer: Signer, session: AgentSession) -> int:
    return int(described(signer, session)["version"])


def outdated(signer: Signer, session: AgentSession) -> bool:
    """Whether it has been stopped for its version."""
    return described(signer, session).get("reason") == "outdated"


def begun(signer: Signer, runtime: Runtime, count: int) -> dict[int, list[AgentSession]]:
    """New sessions, by the version that they began with."""
    versions: dict[int, list[AgentSession]] = {}
    for _ in range(count):
        session = runtime.session(qualifier="prod")
        session.start("anything")
        versions.setdefault(version_of(signer, session), []).append(session)
    return versions


def coracle_rollout(server: Server, *arguments: str) -> dict[str, object]:
    command = [BINARIES / "coracle", "rollout", *arguments, "--data-dir", server.data, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_share_of_new_sessions_moves_and_is_rolled_back(simulated: Server, cloud: Aws, signer: Signer) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"))
    runtime.create_endpoint("prod")
    runtime.update(description="second")
    runtime.wait_for("READY")
    arn = runtime.endpoint("prod")["agentRuntimeEndpointArn"]
    assert begun(signer, runtime, 3).keys() == {1}

    shown = coracle_rollout(simulated, "set", arn, "--version", "2", "--percent", "50")
    assert shown == {
        "version": 1,
        "canary": {"version": 2, "percent": 50},
        "oldSessions": "finish",
        "sessions": {"1": 3},
    }
    versions = begun(signer, runtime, SESSIONS)
    assert versions.keys() == {1, 2}
    moved = versions[2][0]
    labels = {"runtime": runtime.id, "endpoint": "prod", "version": "2"}
    assert metric(simulated, "version_sessions", **labels) == len(versions[2])
    assert metric(simulated, "version_invocations_total", **labels, outcome="answered") == len(versions[2])
    # A session that begins again does so with the same version.
    moved.stop()
    wait_until("it to be gone", moved.stopped, PATIENCE)
    moved.start("anything")
    assert version_of(signer, moved) == 2

    # Whoever runs goes on, and whoever begins does not move any more.
    assert coracle_rollout(simulated, "back", arn)["canary"] is None
    assert version_of(signer, moved) == 2
    assert begun(signer, runtime, 5).keys() == {1}

    # Sessions of the version that was rolled back are stopped when nobody uses them.
    cloud.control.tag_resource(resourceArn=arn, tags={"coracle:old-sessions": "stop-when-idle"})

    def running() -> set[str]:
        return set(signed(signer, "GET", f"/_coracle/rollout?endpoint={quote(arn, safe='')}").json["sessions"])

    wait_until("sessions of version 2 to be stopped", lambda: running() == {"1"}, PATIENCE)
    runtime.delete_endpoint("prod")
    runtime.delete()


def test_a_session_in_use_is_not_stopped_for_its_version(cloud: Aws, signer: Signer) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"))
    tags = {"coracle:old-sessions": "stop-when-idle"}
    runtime.create_endpoint("prod", tags=tags)
    busy, idle = runtime.session(qualifier="prod"), runtime.session(qualifier="prod")
    busy.start("ping", status="HealthyBusy")
    idle.start("anything")
    # What it says of itself is heard with the next ping.
    wait_until("it to be busy", lambda: described(signer, busy)["state"] == "active", PATIENCE)
    runtime.update(description="second")
    runtime.wait_for("READY")
    cloud.control.update_agent_runtime_endpoint(agentRuntimeId=runtime.id, endpointName="prod", agentRuntimeVersion="2")
    wait_until("the idle session to be stopped", lambda: outdated(signer, idle), PATIENCE)
    assert version_of(signer, busy) == 1
    idle.start("anything")
    assert version_of(signer, idle) == 2
    busy.start("ping", status="Healthy")
    wait_until("the other one to follow", lambda: outdated(signer, busy), PATIENCE)
    runtime.delete_endpoint("prod")
    runtime.delete()


def test_nonsense_is_refused(cloud: Aws, signer: Signer) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"))
    endpoint = quote(runtime.endpoint()["agentRuntimeEndpointArn"], safe="")
    for query, status in {
        f"endpoint={endpoint}&version=2&percent=10": 404,
        f"endpoint={endpoint}&version=1": 400,
        f"endpoint={endpoint}&version=1&percent=101": 400,
        f"endpoint={endpoint}&oldSessions=kill": 400,
        f"endpoint={quote(runtime.arn, safe='')}&version=1&percent=10": 400,
    }.items():
        assert signed(signer, "PUT", f"/_coracle/rollout?{query}").status == status, query
    runtime.delete()
