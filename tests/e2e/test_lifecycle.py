"""The whole life of a runtime and its sessions, through plain boto3."""

import json

import pytest

from harness.aws import Aws, agent_zip
from harness.waiting import wait_until


def events(stream):
    """The events of an SSE stream, as they arrive."""
    for line in stream.iter_lines(chunk_size=1):
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_create_invoke_update_stop_delete(aws: Aws) -> None:
    runtime = aws.create(agent_zip("toolbox"), platformVersion="V2", environmentVariables={"AGENT_VERSION": "one"})
    assert runtime.arn == f"arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/{runtime.id}"
    runtime.wait_for("READY")
    described = runtime.get()
    assert described["agentRuntimeVersion"] == "1"
    assert described["lifecycleConfiguration"] == {"idleRuntimeSessionTimeout": 900, "maxLifetime": 28800}
    default = runtime.endpoint()
    assert (default["status"], default["liveVersion"], default["targetVersion"]) == ("READY", "1", "1")

    # An answer that streams: the first event is readable while the handler still waits for the gate.
    old = runtime.session()
    answer = old.start("gated_stream", name="gate")
    assert answer["contentType"].startswith("text/event-stream")
    assert answer["runtimeSessionId"] == old.id
    stream = events(answer["response"])
    assert next(stream) == "first"
    assert old.do("open", name="gate") == "ok"
    assert list(stream) == ["second"]

    # The session is there again, with its memory.
    old.do("remember", value="tea")
    assert old.do("recall") == "tea"

    # A new version: DEFAULT moves, the running session stays, a new one starts on the new version.
    updated = runtime.update(environmentVariables={"AGENT_VERSION": "two"})
    assert (updated["agentRuntimeVersion"], updated["status"]) == ("2", "UPDATING")
    runtime.wait_for("READY")
    default = runtime.endpoint()
    assert (default["liveVersion"], default["targetVersion"]) == ("2", "2")
    assert old.do("environment")["AGENT_VERSION"] == "one"
    assert old.do("recall") == "tea"
    new = runtime.session()
    assert new.do("environment")["AGENT_VERSION"] == "two"
    assert runtime.get(agentRuntimeVersion="1")["environmentVariables"] == {"AGENT_VERSION": "one"}

    # A stopped session is gone; its id may be used again and starts afresh, on the new version.
    assert old.stop()["statusCode"] == 200
    wait_until("the stopped session to be gone", old.stopped, 20)
    assert old.do("recall") is None
    assert old.do("environment")["AGENT_VERSION"] == "two"

    deleted = aws.control.delete_agent_runtime(agentRuntimeId=runtime.id)
    assert (deleted["status"], deleted["agentRuntimeId"]) == ("DELETING", runtime.id)
    wait_until("the runtime to be gone", runtime.gone, 60)
    assert old.fails("recall")["status"] == 404


def test_a_custom_endpoint_keeps_its_version(aws: Aws) -> None:
    runtime = aws.deploy(agent_zip("toolbox"), environmentVariables={"AGENT_VERSION": "one"})
    created = runtime.create_endpoint("stable", agentRuntimeVersion="1")
    assert (created["endpointName"], created["targetVersion"]) == ("stable", "1")
    runtime.update(environmentVariables={"AGENT_VERSION": "two"})
    runtime.wait_for("READY")
    stable = runtime.session(qualifier="stable")
    assert stable.do("environment")["AGENT_VERSION"] == "one"
    stable.stop()
    with pytest.raises(aws.control.exceptions.ConflictException):
        aws.control.delete_agent_runtime(agentRuntimeId=runtime.id)
    runtime.delete_endpoint("stable")
    runtime.delete()


def test_a_failed_update_leaves_the_old_version_serving(aws: Aws) -> None:
    runtime = aws.deploy(agent_zip("toolbox"), environmentVariables={"AGENT_VERSION": "one"})
    runtime.update(b"this is no zip")
    runtime.wait_for("UPDATE_FAILED")
    assert "zip" in runtime.get()["failureReason"]
    assert runtime.endpoint()["liveVersion"] == "1"
    session = runtime.session()
    assert session.do("environment")["AGENT_VERSION"] == "one"
    session.stop()
    runtime.delete()


def test_deleting_a_runtime_ends_its_sessions(aws: Aws, server) -> None:
    before = set(server.left_processes())
    runtime = aws.deploy(agent_zip("toolbox"))
    session = runtime.session()
    session.do("remember", value=1)
    runtime.delete()
    wait_until("the session's processes to end", lambda: set(server.left_processes()) <= before, 20)


def test_the_server_makes_a_session_id_when_there_is_none(toolbox, aws: Aws) -> None:
    client = aws.data
    client.meta.events.register_first(
        "before-sign.bedrock-agentcore.InvokeAgentRuntime", _drop_session_id, unique_id="no-session"
    )
    try:
        answer = client.invoke_agent_runtime(
            agentRuntimeArn=toolbox.arn, payload=json.dumps({"do": "remember", "value": "found"}).encode()
        )
    finally:
        client.meta.events.unregister("before-sign.bedrock-agentcore.InvokeAgentRuntime", unique_id="no-session")
    session = toolbox.session(answer["runtimeSessionId"])
    assert len(session.id) >= 33
    assert session.do("recall") == "found"
    session.stop()


def _drop_session_id(request, **_kwargs) -> None:
    del request.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"]
