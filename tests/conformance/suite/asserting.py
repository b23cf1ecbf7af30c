"""What several test files look at in the same way."""

import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from suite.raw import Answer, Raw
from suite.server import REGION, Server

# Makes the simulated agent answer with the headers it got.
HEADERS = json.dumps({"do": "headers"}).encode()
OwnServer = Callable[..., Server]


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    """Status and code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def invocations(arn: str) -> str:
    return f"/runtimes/{urllib.parse.quote(arn, safe='')}/invocations"


def raw_of(server: Server, keys: dict[str, str] | None = None, region: str = REGION) -> Raw:
    return Raw(server.url, keys or server.keys(), region)


def policy(arn: str, effect: str, principal: str, action: str = "bedrock-agentcore:*") -> str:
    named = {"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [named]})


def headers_at_agent(answer: Answer) -> dict[str, str]:
    values = {name.lower(): value for name, value in answer.json.items()}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}
