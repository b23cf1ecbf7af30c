"""State machines, repeated requests, pages, and what is not there."""

import http.client
import os
import random
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from suite.asserting import OwnServer, raw_of, refusal
from suite.raw import Raw
from suite.server import ROLE, ROOT, Aws, Server, new_name, new_session, until


def test_a_runtime_under_way_takes_neither_update_nor_delete(aws: Aws) -> None:
    slow = {"environmentVariables": {"SIMULATED_PREPARE": "refuse:too old"}}
    runtime = aws.create(**slow)["agentRuntimeId"]
    found = aws.settled(runtime)
    assert (found["status"], found["failureReason"]) == ("CREATE_FAILED", "too old")
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    assert refusal(lambda: aws.control.update_agent_runtime(**update)) == (409, "ConflictException")
    assert refusal(lambda: aws.invoke(found["agentRuntimeArn"])) == (404, "ResourceNotFoundException")
    default = aws.control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName="DEFAULT")
    assert default["status"] == "CREATE_FAILED"
    assert "liveVersion" not in default
    answer = aws.control.delete_agent_runtime(agentRuntimeId=runtime)
    assert (answer["status"], answer["agentRuntimeId"]) == ("DELETING", runtime)


def test_code_of_an_objects_version_that_is_not_kept_is_not_taken_for_another(aws: Aws) -> None:
    artifact = aws.artifact()
    artifact["codeConfiguration"]["code"]["s3"]["versionId"] = "3HL4kqtJlcpXroDTDmJ"
    found = aws.settled(aws.create(agentRuntimeArtifact=artifact)["agentRuntimeId"])
    assert found["status"] == "CREATE_FAILED"
    assert "versionId" in found["failureReason"]


def test_a_failed_update_leaves_what_is_live_and_can_be_tried_again(aws: Aws) -> None:
    found = aws.deploy()
    runtime = found["agentRuntimeId"]
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    bad = {"environmentVariables": {"SIMULATED_PREPARE": "refuse:broken"}}
    aws.control.update_agent_runtime(**update, **bad)
    assert aws.settled(runtime)["status"] == "UPDATE_FAILED"
    default = aws.control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName="DEFAULT")
    assert (default["status"], default["liveVersion"], default["targetVersion"]) == ("UPDATE_FAILED", "1", "2")
    assert default["failureReason"]
    assert aws.invoke(found["agentRuntimeArn"])["statusCode"] == 200
    aws.control.update_agent_runtime(**update)
    assert aws.settled(runtime)["status"] == "READY"
    default = aws.settled_endpoint(runtime, "DEFAULT")
    assert (default["liveVersion"], default["targetVersion"]) == ("3", "3")


def test_default_cannot_be_made_changed_or_deleted_by_itself(aws: Aws) -> None:
    named = {"agentRuntimeId": aws.deploy()["agentRuntimeId"], "endpointName": "DEFAULT"}
    create = {"agentRuntimeId": named["agentRuntimeId"], "name": "DEFAULT"}
    control = aws.control
    texts = {
        "with the specified name already exists": lambda: control.create_agent_runtime_endpoint(**create),
        "follow the newest version": lambda: control.update_agent_runtime_endpoint(**named),
        "are removed when you delete the agent": lambda: control.delete_agent_runtime_endpoint(**named),
    }
    for text, call in texts.items():
        with pytest.raises(aws.control.exceptions.ConflictException, match=text):
            call()


def test_a_runtime_with_endpoints_and_a_version_in_use_stay(aws: Aws) -> None:
    runtime = aws.deploy()["agentRuntimeId"]
    aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="prod")
    aws.settled_endpoint(runtime, "prod")
    delete = aws.control.delete_agent_runtime
    assert refusal(lambda: delete(agentRuntimeId=runtime)) == (409, "ConflictException")
    assert refusal(lambda: delete(agentRuntimeId=runtime, agentRuntimeVersion="1")) == (409, "ConflictException")
    assert refusal(lambda: delete(agentRuntimeId=runtime, agentRuntimeVersion="7"))[0] == 404


def test_a_name_is_taken_once(aws: Aws) -> None:
    name = new_name()
    aws.create(agentRuntimeName=name)
    assert refusal(lambda: aws.create(agentRuntimeName=name)) == (409, "ConflictException")


def test_a_repeated_create_has_one_effect_also_across_a_restart(own_server: OwnServer) -> None:
    server = own_server()
    aws, token = server.aws(), str(uuid.uuid4())
    request = {"agentRuntimeName": new_name(), "clientToken": token, "agentRuntimeArtifact": aws.artifact()}
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: aws.create(**request), range(16)))
    server.kill()
    server.start()
    aws = server.aws()
    answers.append(aws.create(**request))
    for answer in answers:
        del answer["ResponseMetadata"]
        assert answer == answers[0]
    assert len(aws.control.list_agent_runtimes()["agentRuntimes"]) == 1
    with pytest.raises(ClientError) as caught:
        aws.create(**request, description="another")
    error = caught.value.response
    assert error["Error"]["Code"] == "ValidationException"
    assert error["reason"] == "IdempotentParameterMismatchException"


def test_repeated_updates_endpoints_and_stops_have_one_effect(aws: Aws) -> None:
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    session = new_session()
    stop = {"agentRuntimeArn": arn, "runtimeSessionId": session}
    endpoint = {"agentRuntimeId": runtime, "name": "prod"}
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (aws.control.update_agent_runtime, update),
        (aws.control.create_agent_runtime_endpoint, endpoint),
        (aws.data.stop_runtime_session, stop),
    ]
    for call, request in calls:
        aws.invoke(arn, runtimeSessionId=session)
        token = str(uuid.uuid4())
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _, c=call, r=request, t=token: c(**r, clientToken=t), range(8)))
        for answer in answers:
            del answer["ResponseMetadata"]
            assert answer == answers[0]
        aws.settled(runtime)
    assert aws.settled(runtime)["agentRuntimeVersion"] == "2"
    other = {"agentRuntimeArn": arn, "runtimeSessionId": new_session(), "clientToken": token}
    with pytest.raises(ClientError) as caught:
        aws.data.stop_runtime_session(**other)
    assert caught.value.response["reason"] == "IdempotentParameterMismatchException"
    # While the session ends the answer is a conflict.
    gone = (404, "ResourceNotFoundException")
    until("the session to be gone", lambda: refusal(lambda: aws.data.stop_runtime_session(**stop)) == gone)


def test_a_repeated_deletion_is_no_error(aws: Aws) -> None:
    runtime = aws.deploy()["agentRuntimeId"]
    named = {"agentRuntimeId": runtime}
    aws.control.create_agent_runtime_endpoint(**named, name="prod")
    aws.settled_endpoint(runtime, "prod")
    update = {"roleArn": ROLE, "agentRuntimeArtifact": aws.artifact()}
    aws.control.update_agent_runtime(**named, **update)
    aws.settled(runtime)
    endpoint = named | {"endpointName": "prod"}
    read = aws.control.get_agent_runtime
    deletions: list[tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = [
        (aws.control.delete_agent_runtime_endpoint, aws.control.get_agent_runtime_endpoint, endpoint),
        (aws.control.delete_agent_runtime, read, named | {"agentRuntimeVersion": "1"}),
        (aws.control.delete_agent_runtime, read, named),
    ]
    gone = (404, "ResourceNotFoundException")

    def ended(look: Callable[..., Any], request: dict[str, Any]) -> bool:
        try:
            look(**request)
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return False

    for delete, look, request in deletions:
        token = str(uuid.uuid4())
        first = delete(**request, clientToken=token)
        answers = [delete(**request, clientToken=token)]
        until("the deletion to end", lambda look=look, request=request: ended(look, request))
        answers.append(delete(**request, clientToken=token))
        for answer in (first, *answers):
            assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 202
        assert answers == [first] * 2
        assert refusal(lambda delete=delete, request=request: delete(**request)) == gone


def test_a_runtime_that_is_being_deleted_is_not_there_to_invoke(aws: Aws) -> None:
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    over = threading.Event()

    def invoke(_: int) -> set[str]:
        codes: set[str] = set()
        while not over.is_set():
            try:
                aws.invoke(arn)
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])
        return codes

    with ThreadPoolExecutor(4) as threads:
        seen = [threads.submit(invoke, number) for number in range(4)]
        try:
            aws.control.delete_agent_runtime(agentRuntimeId=runtime)
            until("the runtime to be gone", lambda: runtime not in listed(aws))
        finally:
            over.set()
        codes = set().union(*(each.result() for each in seen))
    assert "ResourceNotFoundException" in codes
    # Of a session that was ended meanwhile.
    assert codes <= {"ResourceNotFoundException", "RetryableConflictException", "RuntimeClientError"}


def listed(aws: Aws) -> set[str]:
    pages = aws.control.get_paginator("list_agent_runtimes").paginate()
    return {item["agentRuntimeId"] for page in pages for item in page["agentRuntimes"]}


def test_pages_show_everything_once_while_runtimes_come_and_go(own_server: OwnServer) -> None:
    aws = own_server().aws()
    kept = {aws.deploy()["agentRuntimeId"] for _ in range(6)}
    going = [aws.deploy()["agentRuntimeId"] for _ in range(2)]
    seen: list[str] = []
    pages = aws.control.get_paginator("list_agent_runtimes").paginate(PaginationConfig={"PageSize": 1})
    for number, page in enumerate(pages):
        seen += [item["agentRuntimeId"] for item in page["agentRuntimes"]]
        if number in (1, 3):
            aws.control.delete_agent_runtime(agentRuntimeId=going.pop())
            aws.deploy()
    assert len(seen) == len(set(seen))
    assert kept <= set(seen)


def test_a_token_of_another_list_or_of_nobody_is_refused(aws: Aws) -> None:
    runtime = aws.deploy()["agentRuntimeId"]
    for index in range(2):
        aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name=f"e{index}")
    first = aws.control.list_agent_runtime_endpoints(agentRuntimeId=runtime, maxResults=1)
    for token in (first["nextToken"], "made-up", "x" * 2048):
        assert refusal(lambda token=token: aws.control.list_agent_runtimes(nextToken=token)) == (
            400,
            "ValidationException",
        )


def test_an_operation_that_is_not_there_is_named(aws: Aws) -> None:
    with pytest.raises(ClientError) as caught:
        aws.control.list_memories()
    error = caught.value.response["Error"]
    assert error["Code"] == "UnknownOperationException"
    assert "ListMemories" in error["Message"]


def test_a_service_that_is_not_there_says_so_in_its_own_form(server: Server) -> None:
    keys = {f"aws_{name}": value for name, value in server.keys().items()}
    session = boto3.Session(region_name="us-east-1", **keys)
    calls = {"iam": "list_roles", "logs": "describe_log_groups", "bedrock-runtime": "list_async_invokes"}
    for service, call in calls.items():
        client = session.client(service, endpoint_url=server.url)
        with pytest.raises(ClientError, match="does not have the service"):
            getattr(client, call)()
    with pytest.raises(ClientError, match="InvalidAction"):
        session.client("sts", endpoint_url=server.url).get_session_token()


def test_a_request_that_was_signed_for_another_service_is_not_authentic(server: Server) -> None:
    for service in ("bedrock", "bedrock-agentcore-control"):
        answer = Raw(server.url, server.keys(), "us-east-1", service).send("POST", "/runtimes/")
        assert (answer.status, answer.error) == (403, "InvalidSignatureException")
        assert "'bedrock-agentcore'" in answer.json["message"]


def test_every_operation_of_the_models_is_answered_by_its_state(aws: Aws, raw: Raw) -> None:
    """What docs/coverage.md calls implemented is, and nothing else."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\S+) \|$", (ROOT / "docs" / "coverage.md").read_text(), re.MULTILINE)
    states = dict(rows)
    models = [aws.control.meta.service_model, aws.data.meta.service_model]
    assert sum(len(model.operation_names) for model in models) == 250
    for model in models:
        for name in model.operation_names:
            operation = model.operation_model(name)
            target = re.sub(r"\{[^}]+\}", "sample-AbCdEf0123", operation.http["requestUri"])
            answer = raw.send(operation.http["method"], target)
            unknown = answer.error == "UnknownOperationException"
            assert unknown == (states[name] != "✓"), f"{name}: {states[name]}, {answer.status} {answer.error}"
            if unknown:
                assert name in answer.json["message"]


def test_broken_http_does_no_harm(server: Server, raw: Raw) -> None:
    host, port = server.address.split(":")
    for junk in (
        b"\x00\xff" * 200,
        b"GET / HTTP/9.9\r\n\r\n",
        b"PUT /runtimes/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000,
    ):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.connect()
        connection.sock.sendall(junk)
        connection.sock.shutdown(1)
        while connection.sock.recv(4096):
            pass
        connection.close()
    assert raw.send("POST", "/runtimes/").status == 200


def test_malformed_requests_leave_memory_flat_and_every_answer_well_formed(own_server: OwnServer) -> None:
    server = own_server()
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status")

    def resident() -> int:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read_text())[1])

    connections = [raw_of(server) for _ in range(4)]
    chance = random.Random(7)

    def send(raw: Raw, count: int) -> None:
        for _ in range(count):
            method, target, body = malformed(chance)
            answer = raw.send(method, target, body=body)
            assert 400 <= answer.status < 500, (method, target, answer.status, answer.body)
            assert answer.error
            assert answer.json["message"]

    def round_of(count: int) -> None:
        with ThreadPoolExecutor(len(connections)) as threads:
            list(threads.map(lambda raw: send(raw, count // len(connections)), connections))

    rounds = int(os.environ.get("CORACLE_MALFORMED", "4000"))
    round_of(rounds // 4)
    before = resident()
    round_of(rounds - rounds // 4)
    assert resident() - before < 16 * 1024, "kB more than before"


def malformed(chance: random.Random) -> tuple[str, str, bytes]:
    """A request that is signed and otherwise wrong."""
    method = chance.choice(["PUT", "POST", "GET", "DELETE"])
    label = chance.choice(["%00", "%FF", "a" * 3000, "%2F%3A", "-", "..", "arn%3aaws%3a", "sample-AbCdEf0123"])
    paths = ["/runtimes/{}/", "/runtimes/{}/invocations", "/tags/{}", "/resourcepolicy/{}"]
    paths += ["/runtimes/{}/versions/?maxResults={}", "/runtimes/{}/runtime-endpoints/{}/"]
    target = chance.choice(paths).replace("{}", label)
    bodies = [b"{", b"[]", b"null", b'"', b"{}", b'{"agentRuntimeName":' + b"[" * 900, chance.randbytes(300)]
    body = chance.choice(bodies)
    return method, target, b"" if method == "GET" else body
