"""An agent in a microVM finds credentials of its session where AWS clients look for them, and does with them what its
role may do on this server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness import credentials
from harness.aws import FRONT_ROLE, AgentSession, Aws, Runtime, failure, new_runtime_name, new_session_id
from harness.packages import bundle
from harness.server import Server
from harness.waiting import wait_until

pytestmark = pytest.mark.microvm

BOTO3 = ("boto3==1.44.5",)
# What clients look up in their data: endpoints, and one service.
DATA = ("endpoints", "partitions", "_retry", "sdk-default-configuration", "bedrock-agentcore/")
# An emulated guest may take longer for an answer than a client waits by itself.
PATIENT = {"AWS_METADATA_SERVICE_TIMEOUT": "20", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}

# Run by the agent. Each sets `result`.
INVOKE = """
import boto3
from botocore.config import Config
session = boto3.Session()
found = session.get_credentials()
client = session.client("bedrock-agentcore", config=Config(retries={{"total_max_attempts": 1}}, read_timeout=120))
def invoke(arn):
    try:
        answer = client.invoke_agent_runtime(
            agentRuntimeArn=arn, runtimeSessionId={session!r}, payload=b'{{"do": "remember", "value": 7}}',
            contentType="application/json",
        )
        return answer["response"].read().decode()
    except client.exceptions.AccessDeniedException as error:
        return error.response["Error"]["Message"]
keys = found.get_frozen_credentials()
result = {{
    "method": found.method, "endpoint": client.meta.endpoint_url, "answers": [invoke(arn) for arn in {arns!r}],
    "keys": [keys.access_key, keys.secret_key, keys.token],
}}
"""
METADATA = """
import http.client
def ask(method, path, host="169.254.169.254", **headers):
    connection = http.client.HTTPConnection(host, 80, timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
TTL = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
_, token = ask("PUT", "/latest/api/token", **TTL)
credentials = "/latest/meta-data/iam/security-credentials/"
known = {"X_aws_ec2_metadata_token": token}
result = {
    "role": ask("GET", credentials, **known),
    "without a token": ask("GET", credentials),
    "with another's": ask("GET", credentials, X_aws_ec2_metadata_token=TOKEN),
    "through a proxy": ask("GET", credentials, **known, X_Forwarded_For="192.0.2.1"),
    "token": token,
}
"""
# Whether this server is reached at all, and what it says to those who sign nothing.
SERVER = """
import urllib.error, urllib.request
def ask(path):
    try:
        return urllib.request.urlopen("http://192.0.0.1:4580" + path, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error.reason).__name__
result = [ask(path) for path in ("/healthz", "/metrics", "/_coracle/sessions")]
"""


@pytest.fixture(scope="module")
def front(aws: Aws) -> Runtime:
    """The toolbox with boto3, under a role that may invoke what the tests' other runtimes are called."""
    return aws.deploy(
        bundle("toolbox", BOTO3, aws.python, data=DATA),
        agentRuntimeName=new_runtime_name("front"),
        roleArn=FRONT_ROLE,
        platformVersion="V2",
        environmentVariables=PATIENT | {"TOOLBOX_MAY_DO_DAMAGE": "1"},
    )


@pytest.fixture(scope="module")
def agent(front: Runtime) -> Iterator[AgentSession]:
    session = front.session()
    yield session
    session.stop_if_running()


def metadata(agent: AgentSession, token: str = "none") -> dict[str, Any]:
    return agent.do("python", code=f"TOKEN = {token!r}\n{METADATA}")


def test_boto3_in_an_agent_calls_another_agent_and_nothing_else(
    agent: AgentSession, toolbox: Runtime, server: Server
) -> None:
    called = new_session_id()
    arns = [toolbox.arn, agent.runtime.arn]
    found = agent.do("python", code=INVOKE.format(session=called, arns=arns))
    assert (found["method"], found["endpoint"]) == ("iam-role", "http://192.0.0.1:4580")
    assert json.loads(found["answers"][0]) == "ok"
    assert (
        f"is not authorized to perform: bedrock-agentcore:InvokeAgentRuntime on resource: {agent.runtime.arn} "
        in (found["answers"][1])
    )
    assert toolbox.session(called).do("recall") == 7
    toolbox.session(called).stop_if_running()

    # They are good outside, too, for whom the agent gives them to, and for no longer than its session.
    control = credentials.client(server, found["keys"], "bedrock-agentcore-control")
    with pytest.raises(ClientError) as refused:
        control.delete_agent_runtime(agentRuntimeId=toolbox.id)
    assert failure(refused.value)["code"] == "AccessDeniedException"
    agent.stop()

    def ended() -> bool:
        with pytest.raises(ClientError) as refused:
            control.delete_agent_runtime(agentRuntimeId=toolbox.id)
        return failure(refused.value)["code"] == "ExpiredTokenException"

    wait_until("the credentials to end with the session", ended, 30)


def test_metadata_is_each_sandboxes_own(front: Runtime, session: AgentSession) -> None:
    agent = front.session()
    try:
        own, others = metadata(agent), metadata(session)
        assert own["role"] == [200, "front"]
        assert own["without a token"][0] == own["with another's"][0] == 401
        assert own["through a proxy"][0] == 403
        # Its role is not one of this server's: a machine without a role, whoever's token it has.
        assert others["role"][0] == 404
        assert metadata(session, own["token"])["with another's"][0] == 401
        # Who has a role reaches this server, as a client that has signed nothing, and who has none does not.
        assert agent.do("python", code=SERVER) == [200, 403, 403]
        assert session.do("python", code=SERVER) == ["ConnectionRefusedError"] * 3
    finally:
        agent.stop_if_running()
