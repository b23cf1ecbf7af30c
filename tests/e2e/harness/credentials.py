"""Credentials of sessions: as an agent finds them without an AWS client, and in the hands of whoever has them."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from harness.aws import AgentSession
from harness.server import Server

# Run by the agent. It sets `result`.
FIND = """
import http.client
def ask(method, path, headers):
    connection = http.client.HTTPConnection("169.254.169.254", 80, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
roles, known = "/latest/meta-data/iam/security-credentials/", {"X-aws-ec2-metadata-token": token}
result = ask("GET", roles + ask("GET", roles, known), known)
"""

Keys = tuple[str, str, str]


def found_by(agent: AgentSession) -> Keys:
    """New credentials, which its agent asks for; it needs `TOOLBOX_MAY_DO_DAMAGE`."""
    found = json.loads(agent.do("python", code=FIND))
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def client(server: Server, keys: Keys, service: str = "bedrock-agentcore") -> Any:
    """A client outside that uses them."""
    access_key, secret, token = keys
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


def said_of(server: Server, keys: Keys) -> str:
    """The ARN of whoever has these credentials, or why nobody has them."""
    try:
        return client(server, keys, "sts").get_caller_identity()["Arn"]
    except ClientError as error:
        return error.response["Error"]["Code"]
