"""The helpers of the `bedrock-agentcore` SDK. Arguments: bucket, key, role, name."""

import sys

from bedrock_agentcore._utils.config import WaitConfig
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from botocore.exceptions import ClientError

bucket, key, role, name = sys.argv[1:]
client = AgentCoreRuntimeClient(region="us-east-1")
wait = WaitConfig(max_wait=60, poll_interval=1)
code = {"s3": {"bucket": bucket, "prefix": key}}
artifact = {"codeConfiguration": {"code": code, "runtime": "PYTHON_3_13", "entryPoint": ["main.py"]}}
made = {"agentRuntimeArtifact": artifact, "roleArn": role, "networkConfiguration": {"networkMode": "PUBLIC"}}

created = client.create_agent_runtime_and_wait(wait_config=wait, agentRuntimeName=name, **made)
assert created["status"] == "READY", created
runtime = {"agentRuntimeId": created["agentRuntimeId"]}
updated = client.update_agent_runtime_and_wait(wait_config=wait, **runtime, **made, description="second")
assert (updated["status"], updated["agentRuntimeVersion"]) == ("READY", "2"), updated
endpoint = client.create_agent_runtime_endpoint_and_wait(
    wait_config=wait, **runtime, name="prod", agentRuntimeVersion="1"
)
assert endpoint["liveVersion"] == "1", endpoint
named = runtime | {"endpointName": "prod"}
endpoint = client.update_agent_runtime_endpoint_and_wait(wait_config=wait, **named, agentRuntimeVersion="2")
assert endpoint["liveVersion"] == "2", endpoint
status = client.get_aggregated_status(runtime["agentRuntimeId"], "prod")
assert status["runtime"]["status"] == status["endpoint"]["status"] == "READY", status
client.teardown_endpoint_and_runtime(runtime["agentRuntimeId"], "prod")
try:
    client.get_agent_runtime(**runtime)
except ClientError as error:
    assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
else:
    raise AssertionError("the runtime is still there")
print("done")
