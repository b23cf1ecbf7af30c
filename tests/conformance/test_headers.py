"""What crosses in heads: trace, allow-list, request ids, CORS."""

import re
import uuid

import pytest
from botocore.exceptions import ClientError

from suite.asserting import HEADERS, OwnServer, headers_at_agent, invocations, raw_of
from suite.raw import Raw
from suite.server import Aws, Server


def test_trace_headers_are_made_where_absent_and_agree(raw: Raw, aws: Aws) -> None:
    target = invocations(aws.deploy()["agentRuntimeArn"])
    answer = raw.send("POST", target, body=HEADERS)
    trace, parent = answer.headers["x-amzn-trace-id"], answer.headers["traceparent"]
    root = re.fullmatch(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});Sampled=1", trace)
    assert root, trace
    assert parent == f"00-{root[1]}{root[2]}-{root[3]}-01"
    at_agent = headers_at_agent(answer)
    assert (at_agent["x-amzn-trace-id"], at_agent["traceparent"]) == (trace, parent)
    given = "00-58406520a006649127e371903a2de979-4c721bf33e3caf8f-00"
    answer = raw.send("POST", target, {"traceparent": given}, HEADERS)
    assert answer.headers["traceparent"] == given
    assert "1-58406520-a006649127e371903a2de979" in answer.headers["x-amzn-trace-id"]


def test_allow_listed_headers_cross_and_no_others(raw: Raw, aws: Aws) -> None:
    custom = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Team"
    listed = {"requestHeaderConfiguration": {"requestHeaderAllowlist": ["X-Mine", custom]}}
    target = invocations(aws.deploy(**listed)["agentRuntimeArn"])
    sent = {"X-Mine": "m", custom: "boats", "X-Other": "o", "Cookie": "c", "Content-Type": "text/plain"}
    answer = raw.send("POST", target, sent, HEADERS)
    at_agent = headers_at_agent(answer)
    assert (at_agent["x-mine"], at_agent[custom.lower()], at_agent["content-type"]) == ("m", "boats", "text/plain")
    for dropped in ("x-other", "cookie", "authorization", "x-amz-date"):
        assert dropped not in at_agent
    assert at_agent["x-amzn-bedrock-agentcore-runtime-request-id"] == answer.headers["x-amzn-requestid"]
    assert raw.send("POST", target, {"X-Mine": "m" * 4096}, HEADERS).status == 200
    answer = raw.send("POST", target, {"X-Mine": "m" * 4097}, HEADERS)
    assert (answer.status, answer.fields) == (400, {"X-Mine"})


def test_without_a_content_type_the_agent_sees_json(raw: Raw, aws: Aws) -> None:
    answer = raw.send("POST", invocations(aws.deploy()["agentRuntimeArn"]), body=HEADERS)
    assert headers_at_agent(answer)["content-type"] == "application/json"


def test_every_answer_has_a_request_id_of_its_own(server: Server, raw: Raw, aws: Aws) -> None:
    answers = [
        raw.send("GET", "/healthz", sign=False),
        raw.send("GET", "/nowhere"),
        raw.send("GET", "/runtimes/sample-AbCdEf0123/"),
        raw.send("GET", "/runtimes/sample-AbCdEf0123/", sign=False),
        raw.send("POST", "/runtimes/"),
    ]
    ids = {str(uuid.UUID(answer.headers["x-amzn-requestid"])) for answer in answers}
    ids.add(aws.s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    ids.add(aws.sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    with pytest.raises(ClientError) as caught:
        aws.s3.get_object(Bucket="conformance-nowhere", Key="k")
    ids.add(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])
    assert len(ids) == 8


def test_the_server_is_asked_for_its_health_without_a_body_too(raw: Raw) -> None:
    answer = raw.send("HEAD", "/healthz", sign=False)
    assert (answer.status, answer.body) == (200, b"")


def test_browsers_of_allowed_origins_get_in(own_server: OwnServer) -> None:
    server = own_server('[cors]\nallowed_origins = ["https://app.example.com"]\n')
    raw, target = raw_of(server), "/runtimes/"
    asks = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-amz-date",
    }
    answer = raw.send("OPTIONS", target, asks, sign=False)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == asks["Origin"]
    assert answer.headers["access-control-allow-headers"] == "authorization,x-amz-date"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert raw.send("OPTIONS", target, asks | {"Origin": "https://evil.example"}, sign=False).status == 403
    answer = raw.send("POST", target, {"Origin": asks["Origin"]})
    assert answer.headers["access-control-allow-origin"] == asks["Origin"]
    assert "x-amzn-requestid" in answer.headers["access-control-expose-headers"]
    answer = raw.send("POST", target, {"Origin": asks["Origin"]}, sign=False)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, asks["Origin"])
    answer = raw.send("POST", target, {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_without_configured_origins_nothing_is_said_of_cors(raw: Raw) -> None:
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    answer = raw.send("OPTIONS", "/runtimes/", asks, sign=False)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
