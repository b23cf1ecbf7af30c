"""Sandboxes that stand ready before anybody asks for them."""

import os
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from harness.aws import Aws, agent_zip
from harness.metrics import metric
from harness.pools import READY_TIMEOUT, ready
from harness.raw import Signer, signed
from harness.server import SMALL_SANDBOXES, Server
from harness.waiting import wait_until


def pools(signer: Signer) -> list[dict[str, object]]:
    return signed(signer, "GET", "/_coracle/pools").json["pools"]


def started_warm(server: Server) -> float:
    return metric(server, "session_starts_total", origin="warm")


def test_tags_and_the_operator_say_how_many_stand_ready(simulated: Server, cloud: Aws, signer: Signer) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"))
    runtime.create_endpoint("prod")
    assert pools(signer) == []
    cloud.control.tag_resource(resourceArn=runtime.arn, tags={"coracle:warm": "1"})
    ready(simulated, 2)
    endpoint = quote(runtime.endpoint("prod")["agentRuntimeEndpointArn"], safe="")
    answer = signed(signer, "PUT", f"/_coracle/pools?resource={endpoint}&size=3-5")
    assert answer.status == 200, answer.body
    ready(simulated, 4)
    sizes = {pool["endpoint"]: pool["size"] for pool in pools(signer)}
    assert sizes == {"DEFAULT": "1-1", "prod": "3-5"}
    before = started_warm(simulated)
    runtime.session(qualifier="prod").start("anything")
    assert started_warm(simulated) == before + 1
    ready(simulated, 4)
    # A version that half of the sessions begin with has half of the sandboxes, rounded up, as the endpoint's own has.
    runtime.update(description="second")
    runtime.wait_for("READY")
    canary = f"/_coracle/rollout?endpoint={endpoint}"
    assert signed(signer, "PUT", f"{canary}&version=2&percent=50").status == 200
    ready(simulated, 5)
    prod = {pool["version"]: pool["size"] for pool in pools(signer) if pool["endpoint"] == "prod"}
    assert prod == {"1": "2-3", "2": "2-3"}
    warm, missed = started_warm(simulated), metric(simulated, "warm_pool_requests_total", outcome="miss")
    runtime.session(qualifier="prod").start("anything")
    runtime.session(qualifier="prod").start("anything")
    assert started_warm(simulated) == warm + 2
    assert metric(simulated, "warm_pool_requests_total", outcome="miss") == missed
    assert signed(signer, "DELETE", canary).status == 200
    ready(simulated, 4)
    refused = signed(signer, "PUT", f"/_coracle/pools?resource={endpoint}&size=many")
    assert refused.status == 400
    runtime.delete_endpoint("prod")
    ready(simulated, 1)
    cloud.control.untag_resource(resourceArn=runtime.arn, tagKeys=["coracle:warm"])
    ready(simulated, 0)
    runtime.delete()


@pytest.mark.microvm
def test_a_session_takes_a_paused_machine_that_knows_the_time(own_server: Callable[..., Server]) -> None:
    sandbox = SMALL_SANDBOXES["sandbox"] | {"warm": "1"}
    server = own_server("microvm", "warm", sandbox=sandbox)
    storage = [{"sessionStorage": {"mountPath": "/mnt/data"}}]
    runtime = Aws(server, "PYTHON_3_13").deploy(
        agent_zip("toolbox"), READY_TIMEOUT, platformVersion="V2", filesystemConfigurations=storage
    )
    ready(server, 1)
    (pid,) = server.machines()
    before = processor_seconds(pid)
    time.sleep(3)
    assert processor_seconds(pid) < before + 0.05, "a paused machine costs processor time"
    session = runtime.session()
    asked = time.time()
    me = session.do("whoami")
    assert started_warm(server) == 1
    # It stood still for longer than that; how precise the clock is depends on how busy this host is.
    assert asked - 0.5 < me["time"] < time.time() + 0.5
    session.do("remember", value="mine")
    ready(server, 1)
    other = runtime.session()
    them = other.do("whoami")
    assert other.do("recall") is None
    assert session.do("recall") == "mine"
    # What a session keeps comes to whichever machine it takes.
    session.do("write", name="/mnt/data/note", text="mine")
    assert other.do("files", folder="/mnt/data") == []
    session.stop()
    ready(server, 1)
    assert session.do("read", name="/mnt/data/note") == "mine"
    assert started_warm(server) == 3
    for differs in ("hostname", "random"):
        assert me[differs] != them[differs], differs
    server.stop()
    server.assert_nothing_left()


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.microvm
def test_nothing_is_left_of_a_sandbox_that_was_being_made_when_the_server_stopped(
    own_server: Callable[..., Server], python: str
) -> None:
    server = own_server("microvm", "half-warm")
    runtime = Aws(server, python).deploy(agent_zip("toolbox"), platformVersion="V2")
    runtime.aws.control.tag_resource(resourceArn=runtime.arn, tags={"coracle:warm": "1"})
    # At several moments of its making.
    for moment in (0.0, 0.03, 0.06, 0.1, 0.15):
        if not server.running:
            server.start()
        wait_until("a sandbox to be made", lambda: any(server.data.glob("sandboxes/*/")), READY_TIMEOUT)
        time.sleep(moment)
        server.stop()
