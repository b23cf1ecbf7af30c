"""Every constraint of the service model, operation by operation, from the model that boto3 ships.

Requests that fit (each optional member alone, each value at its bounds, everything at once) must be taken, and
`Get` must return what was put. Requests that break one constraint must be refused with the code, status, reason
and field. Every answer must be what the model says answers are. Each test prints `N passed, 0 failed`.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from suite import model, rules
from suite.raw import Answer, Raw
from suite.server import Aws, new_name, new_session, until

CONTROL = [
    "CreateAgentRuntime",
    "UpdateAgentRuntime",
    "GetAgentRuntime",
    "DeleteAgentRuntime",
    "ListAgentRuntimes",
    "ListAgentRuntimeVersions",
    "CreateAgentRuntimeEndpoint",
    "UpdateAgentRuntimeEndpoint",
    "GetAgentRuntimeEndpoint",
    "DeleteAgentRuntimeEndpoint",
    "ListAgentRuntimeEndpoints",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "PutResourcePolicy",
    "GetResourcePolicy",
    "DeleteResourcePolicy",
]
DATA = ["GetAgentCard", "InvokeAgentRuntime", "InvokeAgentRuntimeCommand", "StopRuntimeSession"]
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@dataclass
class Score:
    """What became of the cases of one operation."""

    operation: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def case(self, what: str, check: Callable[[], None]) -> None:
        try:
            check()
        except (AssertionError, ClientError, KeyError, json.JSONDecodeError, OSError) as error:
            self.failed.append(f"{what}: {type(error).__name__}: {error}")
        else:
            self.passed += 1

    def report(self, capsys: pytest.CaptureFixture[str]) -> None:
        with capsys.disabled():
            print(f"\n{self.operation}: {self.passed} passed, {len(self.failed)} failed", end=" ")
        assert not self.failed, "\n".join(self.failed[:40])
        assert self.passed > 0


@dataclass
class World:
    """What the operations need to be there."""

    aws: Aws
    raw: Raw
    runtime: dict[str, Any]
    endpoint: str = "present"

    @property
    def id(self) -> str:
        return self.runtime["agentRuntimeId"]

    @property
    def arn(self) -> str:
        return self.runtime["agentRuntimeArn"]

    def operation(self, name: str) -> OperationModel:
        client = self.aws.data if name in DATA else self.aws.control
        return client.meta.service_model.operation_model(name)

    def known(self, name: str) -> dict[str, Any]:
        """The members without which an operation finds nothing, with fitting values."""
        members = self.operation(name).input_shape.members
        values = {
            "agentRuntimeId": self.id,
            "endpointName": self.endpoint,
            "resourceArn": self.arn,
            "agentRuntimeArn": self.arn,
            "agentRuntimeName": new_name(),
            "roleArn": "arn:aws:iam::000000000000:role/sample",
            "agentRuntimeArtifact": self.runtime["agentRuntimeArtifact"],
            "name": new_name(),
            "tags": {"key": "value"},
            "tagKeys": ["key"],
            "policy": policy(self.arn),
            "runtimeSessionId": new_session(),
            "body": {"command": "true"},
        }
        required = self.operation(name).input_shape.required_members
        return {member: values[member] for member in members if member in required and member in values}

    def call(self, name: str, members: dict[str, Any]) -> dict[str, Any]:
        """Calls through boto3 and checks that the answer is one by the model."""
        client = self.aws.data if name in DATA else self.aws.control
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
        answer = getattr(client, method)(**members)
        metadata = answer.pop("ResponseMetadata")
        operation = self.operation(name)
        assert metadata["HTTPStatusCode"] == operation.http["responseCode"], metadata
        assert uuid.UUID(metadata["RequestId"])
        wrong = list(model.check_output(operation.output_shape, answer, name))
        assert not wrong, wrong
        return answer


def policy(arn: str, **statement: Any) -> str:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "bedrock-agentcore:InvokeAgentRuntime", "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow | statement]})


@pytest.fixture(scope="module")
def world(aws: Aws, raw: Raw) -> World:
    runtime = aws.deploy()
    aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime["agentRuntimeId"], name="present")
    aws.settled_endpoint(runtime["agentRuntimeId"], "present")
    return World(aws, raw, runtime)


def refused_by_model(answer: Answer, name: str) -> None:
    assert (answer.status, answer.error) == (400, "ValidationException"), (answer.status, answer.body[:300])
    body = answer.json
    assert body["reason"] == "FieldValidationFailed", body
    assert body["message"], body
    assert answer.fields == {name}, f"expected {name}, got {answer.fields}"
    assert all(each["message"] for each in body["fieldList"])
    assert uuid.UUID(answer.headers["x-amzn-requestid"])


def breakages(operation: OperationModel) -> Iterator[tuple[model.Path, str, Any, str]]:
    """Place, what is broken, the value there, and the field that the answer must name."""
    for path, shape in model.places(operation.input_shape):
        if shape.type_name == "blob":
            continue
        location = operation.input_shape.members[path[0]].serialization.get("location")
        name = model.field(operation, path)
        for each in model.broken(shape):
            # Outside the body everything is text, and any number of texts a list.
            if each.what == "wrong type" and shape.type_name in ("string", "list") and location:
                continue
            text = isinstance(each.value, str) or (location == "querystring" and isinstance(each.value, int | float))
            repeated = location == "querystring" and isinstance(each.value, list) and None not in each.value
            if location and not text and not repeated:
                continue
            # What is empty in a path is another path, and in a header no header.
            if location in ("uri", "header") and each.value == "":
                continue
            if location == "header" and not str(each.value).isascii():
                continue
            if path[-1] == model.KEY:
                if not isinstance(each.value, str):
                    continue
                shown = model.field(operation, path, each.value)
                yield path, each.what, each.value, shown
                continue
            yield path, each.what, each.value, f"{name}.{each.below}" if each.below else name


@pytest.mark.parametrize("name", CONTROL + DATA)
def test_what_breaks_the_model_is_refused(name: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    operation, score = world.operation(name), Score(f"{name}, broken")
    for path, what, value, expected in breakages(operation):
        part = model.request_with(operation.input_shape, path, value)
        request = world.known(name) | {path[0]: part[path[0]]}

        def check(request: dict[str, Any] = request, expected: str = expected) -> None:
            payload = b"{}" if name == "InvokeAgentRuntime" else b""
            refused_by_model(world.raw.call(operation, request, payload), expected)

        score.case(f"{'.'.join(path)} {what}", check)
    for member in operation.input_shape.required_members:
        # A path has its labels, a body is never missing, and an empty list leaves no trace in a query.
        location = operation.input_shape.members[member].serialization.get("location")
        if location in ("uri", "querystring") or member == "payload":
            continue
        request = {other: value for other, value in world.known(name).items() if other != member}
        score.case(
            f"{member} missing",
            lambda request=request, member=member: refused_by_model(world.raw.call(operation, request), member),
        )
    for what, body in unreadable(operation):
        score.case(what, lambda body=body: refused_as_unreadable(world.raw.call(operation, world.known(name), body)))
    score.report(capsys)


def unreadable(operation: OperationModel) -> Iterator[tuple[str, bytes]]:
    shape = operation.input_shape
    in_body = [each for each in shape.members.values() if "location" not in each.serialization]
    if in_body and "payload" not in shape.serialization:
        yield from (("no JSON", b"{"), ("a list", b"[]"), ("text", b'"a"'), ("not UTF-8", b'{"a":"\xff"}'))
        yield from (("a member twice", b'{"a":1,"a":2}'), ("bottomless", b"[" * 10_000))


def refused_as_unreadable(answer: Answer) -> None:
    assert (answer.status, answer.error) == (400, "ValidationException"), (answer.status, answer.body[:300])
    assert answer.json["reason"] == "CannotParse", answer.body


def test_everything_that_is_broken_is_told_at_once(world: World) -> None:
    broken = {
        "agentRuntimeName": "not-a-name",
        "agentRuntimeArtifact": {},
        "environmentVariables": {"NAME": 7},
        "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 59},
        "allowedPorts": [{"port": 7999}],
    }
    answer = world.raw.call(world.operation("CreateAgentRuntime"), broken)
    assert answer.fields == {
        "agentRuntimeName",
        "agentRuntimeArtifact",
        "roleArn",
        "environmentVariables",
        "lifecycleConfiguration.idleRuntimeSessionTimeout",
        "allowedPorts.1.port",
    }


def variations(operation: OperationModel) -> Iterator[tuple[str, dict[str, Any]]]:
    """Members beside the required ones: each place alone, at its bounds, and everything at once."""
    shape = operation.input_shape
    for path, there in model.places(shape):
        if rules.refused(path) or path[-1] == model.KEY or shape.members[path[0]].serialization.get("location"):
            continue
        cases = [("", model.fitting(there)), *model.at_bounds(there)]
        for what, value in cases:
            part = model.request_with(shape, path, value)
            yield f"{'.'.join(path)} {what}", {path[0]: part[path[0]]}
    yield "everything", rules.EVERYTHING


# Members of a request that are no members of what Get answers, and those this server must refuse.
NOT_ECHOED = {"clientToken", "tags", "agentRuntimeName"}
UNIQUE = ("agentRuntimeName", "clientToken")


def echoed(given: dict[str, Any], found: dict[str, Any]) -> None:
    for member, value in given.items():
        if member in NOT_ECHOED:
            continue
        if member == "lifecycleConfiguration":
            value = found[member] | value
        assert found.get(member) == value, f"{member}: put {value!r}, got {found.get(member)!r}"


def test_create_takes_and_echoes_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("CreateAgentRuntime, valid")
    tags = {"tags": {"team": "boats", "empty": ""}}
    cases = [*variations(world.operation("CreateAgentRuntime")), ("everything with tags", rules.EVERYTHING | tags)]
    for what, members in cases:
        request = rules.completed(world.known("CreateAgentRuntime") | members)
        unique_name(request, members)

        def check(request: dict[str, Any] = request) -> None:
            created = world.call("CreateAgentRuntime", request)
            assert created["status"] == "CREATING"
            assert created["agentRuntimeVersion"] == "1"
            echoed(request, world.call("GetAgentRuntime", {"agentRuntimeId": created["agentRuntimeId"]}))
            if "tags" in request:
                listed = world.call("ListTagsForResource", {"resourceArn": created["agentRuntimeArn"]})
                assert listed["tags"] == request["tags"]

        score.case(what, check)
    score.report(capsys)


def unique_name(request: dict[str, Any], members: dict[str, Any]) -> None:
    """A sample value that may be used once is made one of its own."""
    if len(members.get("agentRuntimeName", "x" * 48)) < 48:
        request["agentRuntimeName"] = new_name()
    if "clientToken" in members:
        token = request["clientToken"]
        request["clientToken"] = uuid.uuid4().hex + "1" * (len(token) - 32)


def test_update_takes_and_echoes_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("UpdateAgentRuntime, valid")
    runtime = world.aws.deploy()["agentRuntimeId"]
    base = world.known("UpdateAgentRuntime") | {"agentRuntimeId": runtime}
    token_and_metadata = {"metadataConfiguration": {"requireMMDSV2": False}}
    cases = [*variations(world.operation("UpdateAgentRuntime")), ("everything", rules.EVERYTHING | token_and_metadata)]
    for what, members in cases:
        request = rules.completed(base | members)
        unique_name(request, members)

        def check(request: dict[str, Any] = request) -> None:
            before = world.aws.settled(runtime)
            updated = world.call("UpdateAgentRuntime", request)
            assert updated["status"] == "UPDATING"
            assert int(updated["agentRuntimeVersion"]) == int(before["agentRuntimeVersion"]) + 1
            found = world.call("GetAgentRuntime", {"agentRuntimeId": runtime})
            echoed(request, found)
            assert found.get("description") == request.get("description"), "an update replaces"

        score.case(what, check)
    world.aws.settled(runtime)
    score.report(capsys)


def test_endpoints_take_and_echo_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("endpoint operations, valid")
    runtime, control = world.id, world.aws.control

    def whole_life(members: dict[str, Any], change: dict[str, Any]) -> None:
        name = new_name()
        created = world.call("CreateAgentRuntimeEndpoint", {"agentRuntimeId": runtime, "name": name} | members)
        assert (created["status"], created["endpointName"], created["targetVersion"]) == ("CREATING", name, "1")
        world.aws.settled_endpoint(runtime, name)
        named = {"agentRuntimeId": runtime, "endpointName": name}
        found = world.call("GetAgentRuntimeEndpoint", named)
        assert (found["liveVersion"], found["targetVersion"], found["status"]) == ("1", "1", "READY")
        assert found.get("description") == members.get("description")
        tags = world.call("ListTagsForResource", {"resourceArn": found["agentRuntimeEndpointArn"]})
        assert tags["tags"] == members.get("tags", {})
        updated = world.call("UpdateAgentRuntimeEndpoint", named | change)
        assert updated["status"] == "UPDATING"
        found = world.aws.settled_endpoint(runtime, name)
        assert found.get("description") == change.get("description", members.get("description"))
        deleted = world.call("DeleteAgentRuntimeEndpoint", named)
        assert (deleted["status"], deleted["endpointName"]) == ("DELETING", name)
        until("the endpoint to go", lambda: is_gone(control.get_agent_runtime_endpoint, named))

    for what, members in variations(world.operation("CreateAgentRuntimeEndpoint")):
        if what in ("everything", "agentRuntimeVersion max") or "name" in members:
            continue
        unique_name(members, members)
        score.case(f"create {what}", lambda members=members: whole_life(members, {}))
    for what, change in variations(world.operation("UpdateAgentRuntimeEndpoint")):
        if what in ("everything", "agentRuntimeVersion max"):
            continue
        unique_name(change, change)
        score.case(f"update {what}", lambda change=change: whole_life({"description": "before"}, change))
    for length in (1, 48):
        name = "e" * length

        def bounds(name: str = name) -> None:
            world.call("CreateAgentRuntimeEndpoint", {"agentRuntimeId": runtime, "name": name})
            world.aws.settled_endpoint(runtime, name)
            token = uuid.uuid4().hex + "-0123"
            world.call(
                "DeleteAgentRuntimeEndpoint", {"agentRuntimeId": runtime, "endpointName": name, "clientToken": token}
            )

        score.case(f"name of {length}", bounds)
    score.report(capsys)


def is_gone(get: Callable[..., Any], named: dict[str, Any]) -> bool:
    try:
        get(**named)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException"
        return True
    return False


def test_reads_and_deletes_take_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score, runtime = Score("Get, Delete and List, valid"), {"agentRuntimeId": world.id}
    score.case("get version", lambda: world.call("GetAgentRuntime", runtime | {"agentRuntimeVersion": "1"}))
    for name, more in [
        ("ListAgentRuntimes", {}),
        ("ListAgentRuntimeVersions", runtime),
        ("ListAgentRuntimeEndpoints", runtime),
    ]:
        for size in (1, 100):
            score.case(f"{name} by {size}", lambda name=name, more=more, size=size: every_page(world, name, more, size))

    def delete(**members: str) -> None:
        created = world.aws.deploy()["agentRuntimeId"]
        deleted = world.call("DeleteAgentRuntime", {"agentRuntimeId": created} | members)
        assert deleted == {"status": "DELETING", "agentRuntimeId": created}
        named = {"agentRuntimeId": created}
        until("the runtime to go", lambda: is_gone(world.aws.control.get_agent_runtime, named))

    score.case("delete", delete)
    score.case("delete with a token", lambda: delete(clientToken=str(uuid.uuid4())))
    score.case("delete a version", lambda: delete_version(world))
    score.report(capsys)


def every_page(world: World, name: str, members: dict[str, Any], size: int) -> None:
    token: dict[str, Any] = {}
    for _ in range(3):
        answer = world.call(name, members | token | {"maxResults": size})
        if "nextToken" not in answer:
            return
        token = {"nextToken": answer["nextToken"]}


def delete_version(world: World) -> None:
    runtime = world.aws.deploy()["agentRuntimeId"]
    world.call("UpdateAgentRuntime", world.known("UpdateAgentRuntime") | {"agentRuntimeId": runtime})
    world.aws.settled(runtime)
    named = {"agentRuntimeId": runtime, "agentRuntimeVersion": "1"}
    assert world.call("DeleteAgentRuntime", named) == {"status": "DELETING"} | named
    assert is_gone(world.aws.control.get_agent_runtime, named)


def test_tags_and_policies_take_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("tags and policies, valid")
    runtime = world.aws.deploy()
    arn = runtime["agentRuntimeArn"]
    endpoint = f"{arn}/runtime-endpoint/DEFAULT"

    def tags(resource: str, tags: dict[str, str]) -> None:
        world.call("TagResource", {"resourceArn": resource, "tags": tags})
        listed = world.call("ListTagsForResource", {"resourceArn": resource})["tags"]
        assert tags.items() <= listed.items()
        world.call("UntagResource", {"resourceArn": resource, "tagKeys": list(listed)})
        assert world.call("ListTagsForResource", {"resourceArn": resource})["tags"] == {}

    for resource in (arn, endpoint):
        for what, members in variations(world.operation("TagResource")):
            if "tags" in members and what != "everything":
                score.case(what, lambda r=resource, members=members: tags(r, members["tags"]))
        score.case("odd characters", lambda r=resource: tags(r, {"a b": "1", "a:/=+@-._": "\t"}))
        score.case("no keys", lambda r=resource: world.call("UntagResource", {"resourceArn": r, "tagKeys": []}))

    def policies(resource: str, text: str) -> None:
        assert world.call("PutResourcePolicy", {"resourceArn": resource, "policy": text}) == {"policy": text}
        assert world.call("GetResourcePolicy", {"resourceArn": resource}) == {"policy": text}
        for _ in range(2):
            world.call("DeleteResourcePolicy", {"resourceArn": resource})
        assert is_gone(world.aws.control.get_resource_policy, {"resourceArn": resource})

    for resource in (arn, endpoint):
        account = {"Principal": {"AWS": ["111111111111", "arn:aws:iam::222222222222:root"]}}
        for text in [
            policy(resource),
            policy(resource, Sid="one", Effect="Deny", Action=["bedrock-agentcore:*"], Resource=[resource]),
            policy(resource, **account),
            policy(resource) + " " * (20480 - len(policy(resource))),
        ]:
            score.case("policy", lambda r=resource, text=text: policies(r, text))
    score.report(capsys)


def test_invoke_takes_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score, shape = Score("InvokeAgentRuntime, valid"), world.operation("InvokeAgentRuntime").input_shape
    seen = json.dumps({"do": "headers"}).encode()
    given = {
        "contentType": "application/json",
        "accept": "text/event-stream",
        "mcpSessionId": "m" * 1024,
        "mcpProtocolVersion": "2025-06-18",
        "mcpMethod": "tools/call",
        "mcpName": "add",
        "runtimeUserId": "user",
        "runtimeSessionId": new_session(),
        "traceId": "Root=1-58406520-a006649127e371903a2de979",
        "traceParent": "00-58406520a006649127e371903a2de979-4c721bf33e3caf8f-01",
        "traceState": "vendor=1",
        "baggage": "key=value",
    }
    headers = [name for name in shape.members if shape.members[name].serialization.get("location") == "header"]
    assert set(headers) == set(given), "a member that is not tested"

    def check(members: dict[str, str]) -> None:
        answer = world.aws.invoke(world.arn, seen, **members)
        found = {name.lower(): value for name, value in json.loads(answer["body"]).items()}
        for member in members.keys() & given.keys():
            wire = shape.members[member].serialization["name"].lower()
            assert found[wire] in (members[member], [members[member]]), f"{member}: {found.get(wire)!r}"
        assert answer["statusCode"] == 200
        assert answer["contentType"]
        for echo in ("runtimeSessionId", "traceId", "traceParent", "traceState", "baggage"):
            if echo in members:
                assert answer[echo] == members[echo], echo

    for member, value in given.items():
        score.case(member, lambda member=member, value=value: check({member: value}))
        most = shape.members[member].metadata.get("max")
        if most and member != "contentType":
            longest = (value * most)[:most]
            if member == "runtimeSessionId":
                longest = "s" * most
            score.case(f"{member} at max", lambda member=member, longest=longest: check({member: longest}))
    score.case("all at once", lambda: check(given))
    score.case("qualifier", lambda: check({"qualifier": "present"}))

    def by_id() -> None:
        answer = world.aws.invoke(world.id, seen, accountId="000000000000")
        assert answer["statusCode"] == 200

    score.case("id and account", by_id)
    score.case("endpoint's ARN", lambda: world.aws.invoke(f"{world.arn}/runtime-endpoint/present", seen))
    score.report(capsys)


def test_stop_takes_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("StopRuntimeSession, valid")
    for more in ({}, {"qualifier": "present"}, {"clientToken": str(uuid.uuid4())}):

        def check(more: dict[str, str] = more) -> None:
            session = new_session()
            qualifier = {name: value for name, value in more.items() if name == "qualifier"}
            world.aws.invoke(world.arn, runtimeSessionId=session, **qualifier)
            stopped = world.call(
                "StopRuntimeSession", {"agentRuntimeArn": world.arn, "runtimeSessionId": session} | more
            )
            assert stopped == {"runtimeSessionId": session, "statusCode": 200}

        score.case(str(more), check)
    score.report(capsys)


def test_a_command_takes_every_member(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score("InvokeAgentRuntimeCommand, valid")
    shape = world.operation("InvokeAgentRuntimeCommand").input_shape
    given = {
        "contentType": "application/json",
        "accept": "application/vnd.amazon.eventstream",
        "runtimeSessionId": new_session(),
        "traceId": "Root=1-58406520-a006649127e371903a2de979",
        "traceParent": "00-58406520a006649127e371903a2de979-4c721bf33e3caf8f-01",
        "traceState": "vendor=1",
        "baggage": "key=value",
        "qualifier": "present",
        "accountId": "000000000000",
        "body": {"command": "true", "timeout": 1},
    }
    assert set(shape.members) - {"agentRuntimeArn"} == set(given), "a member that is not tested"

    def check(members: dict[str, Any]) -> None:
        members = {"agentRuntimeArn": world.arn, "body": {"command": "echo"}} | members
        answer = world.aws.data.invoke_agent_runtime_command(**members)
        assert answer["contentType"] == "application/vnd.amazon.eventstream"
        for echo in ("runtimeSessionId", "traceId", "traceParent", "traceState", "baggage"):
            if echo in members:
                assert answer[echo] == members[echo], echo
        chunks = [event["chunk"] for event in answer["stream"]]
        assert chunks[0] == {"contentStart": {}}
        # The simulated agent runs nothing: it says what it was to run.
        assert "".join(chunk["contentDelta"]["stdout"] for chunk in chunks[1:-1]) == members["body"]["command"]
        assert chunks[-1] == {"contentStop": {"exitCode": 0, "status": "COMPLETED"}}

    for member, value in given.items():
        score.case(member, lambda member=member, value=value: check({member: value}))
    score.case("all at once", lambda: check(given))
    score.case("longest", lambda: check({"body": {"command": "x" * 65536, "timeout": 3600}}))
    score.report(capsys)
