"""Bad input, and what it gets. Sent raw, because boto3 refuses some of it before it leaves."""

import copy
import json
from typing import Any

import pytest

from harness.aws import ROLE, Aws, Runtime, agent_zip, new_runtime_name
from harness.raw import SESSION_HEADER, Signer, invocation_path, signed

Json = dict[str, Any]


def create_request(cloud: Aws) -> Json:
    return {
        "agentRuntimeName": new_runtime_name(),
        "roleArn": ROLE,
        "agentRuntimeArtifact": {
            "codeConfiguration": {
                "code": {"s3": {"bucket": "some-bucket", "prefix": "some.zip"}},
                "runtime": "PYTHON_3_13",
                "entryPoint": ["main.py"],
            }
        },
    }


def changed(request: Json, path: str, value: Any) -> Json:
    """The request with the member at a dotted path set, or removed when the value is `...`."""
    request = copy.deepcopy(request)
    *parents, last = path.split(".")
    target = request
    for parent in parents:
        target = target.setdefault(parent, {})
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return request


LIFECYCLE = "lifecycleConfiguration"
CODE = "agentRuntimeArtifact.codeConfiguration"
BAD_CREATES = {
    "name with a hyphen": ("agentRuntimeName", "my-agent", "agentRuntimeName"),
    "name of 49 characters": ("agentRuntimeName", "a" * 49, "agentRuntimeName"),
    "name that begins with a digit": ("agentRuntimeName", "1agent", "agentRuntimeName"),
    "empty name": ("agentRuntimeName", "", "agentRuntimeName"),
    "no name": ("agentRuntimeName", ..., "agentRuntimeName"),
    "name of the wrong type": ("agentRuntimeName", 7, "agentRuntimeName"),
    "no role": ("roleArn", ..., "roleArn"),
    "role that is none": ("roleArn", "admin", "roleArn"),
    "no artifact": ("agentRuntimeArtifact", ..., "agentRuntimeArtifact"),
    "union without a member": ("agentRuntimeArtifact", {}, "agentRuntimeArtifact"),
    "union with two members": (
        "agentRuntimeArtifact.containerConfiguration", {"containerUri": "registry/image:tag"},
        "agentRuntimeArtifact",
    ),
    "unknown runtime value": (f"{CODE}.runtime", "PYTHON_2_7", "runtime"),
    "no runtime value": (f"{CODE}.runtime", ..., "runtime"),
    "no entry point": (f"{CODE}.entryPoint", [], "entryPoint"),
    "entry point of three parts": (f"{CODE}.entryPoint", ["a", "b", "c.py"], "entryPoint"),
    "bucket in capitals": (f"{CODE}.code.s3.bucket", "Bucket", "bucket"),
    "empty key": (f"{CODE}.code.s3.prefix", "", "prefix"),
    "idle beyond the lifetime": (
        LIFECYCLE, {"idleRuntimeSessionTimeout": 600, "maxLifetime": 300}, "idleRuntimeSessionTimeout",
    ),
    "idle of 59 seconds": (LIFECYCLE, {"idleRuntimeSessionTimeout": 59}, "idleRuntimeSessionTimeout"),
    "lifetime beyond a fortnight": (LIFECYCLE, {"maxLifetime": 1_209_601}, "maxLifetime"),
    "lifetime that is a text": (LIFECYCLE, {"maxLifetime": "long"}, "maxLifetime"),
    "unknown network mode": ("networkConfiguration", {"networkMode": "PRIVATE"}, "networkMode"),
    "unknown protocol": ("protocolConfiguration", {"serverProtocol": "SOAP"}, "serverProtocol"),
    "51 environment variables": (
        "environmentVariables", {f"V{number}": "x" for number in range(51)}, "environmentVariables",
    ),
    "description of 4097 characters": ("description", "x" * 4097, "description"),
    "short client token": ("clientToken", "short", "clientToken"),
    "tag with a forbidden character": ("tags", {"a!": "b"}, "tags"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CREATES)
def test_create_is_refused_and_names_the_field(signer: Signer, cloud: Aws, case: str) -> None:
    path, value, field = BAD_CREATES[case]
    request = changed(create_request(cloud), path, value)
    answer = signed(signer, "PUT", "/runtimes/", json.dumps(request).encode(), {"Content-Type": "application/json"})
    assert (answer.status, answer.error) == (400, "ValidationException"), answer.body
    body = answer.json
    assert body["message"]
    assert body["reason"] == "FieldValidationFailed"
    assert any(field in entry["name"] and entry["message"] for entry in body["fieldList"]), body
    assert answer.headers["x-amzn-RequestId"]
    names = [runtime["agentRuntimeName"] for page in _pages(cloud) for runtime in page["agentRuntimes"]]
    assert request.get("agentRuntimeName") not in names


def _pages(cloud: Aws) -> Any:
    return cloud.control.get_paginator("list_agent_runtimes").paginate()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b'{"a":' * 10_000])
def test_a_body_that_is_no_json_object_is_refused(signer: Signer, body: bytes) -> None:
    answer = signed(signer, "PUT", "/runtimes/", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.error) == (400, "ValidationException"), answer.body
    assert answer.json["message"]


def test_unknown_members_are_ignored(signer: Signer, cloud: Aws) -> None:
    request = create_request(cloud) | {"inventedNextYear": {"a": [1]}}
    answer = signed(signer, "PUT", "/runtimes/", json.dumps(request).encode())
    assert answer.status == 202, answer.body


@pytest.fixture(scope="module")
def runtime(cloud: Aws) -> Runtime:
    return cloud.deploy(agent_zip("toolbox"))


@pytest.mark.parametrize("length", [1, 32, 257, 1000])
def test_a_session_id_of_the_wrong_length(signer: Signer, cloud: Aws, runtime: Runtime, length: int) -> None:
    headers = {SESSION_HEADER: "s" * length}
    for verb in ("invocations", "stopruntimesession"):
        answer = signed(signer, "POST", invocation_path(runtime.arn, verb), b"{}", headers)
        assert (answer.status, answer.error) == (400, "ValidationException"), (verb, answer.body)
        assert "runtimeSessionId" in answer.body.decode()


@pytest.mark.parametrize("length", [33, 256])
def test_a_session_id_of_an_allowed_length(runtime: Runtime, length: int) -> None:
    session = runtime.session("s" * length)
    assert session.start("recall")["runtimeSessionId"] == session.id
    session.stop()


@pytest.mark.parametrize("bad", ["has/slash", "has\ttab"])
def test_a_session_id_with_forbidden_characters(signer: Signer, runtime: Runtime, bad: str) -> None:
    answer = signed(signer, "POST", invocation_path(runtime.arn), b"{}", {SESSION_HEADER: bad + "s" * 33})
    assert answer.status == 400, answer.body


@pytest.mark.parametrize(
    ("arn", "status"),
    [
        ("arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/none-0123456789", 404),
        ("arn:aws:bedrock-agentcore:us-east-1:111111111111:runtime/none-0123456789", 403),
        ("arn:aws:s3:::bucket", 400),
        ("nonsense", 400),
    ],
)
def test_invoking_what_is_not_there(signer: Signer, arn: str, status: int) -> None:
    answer = signed(signer, "POST", invocation_path(arn), b"{}", {SESSION_HEADER: "s" * 40})
    assert answer.status == status, answer.body


def test_unknown_endpoints_and_versions(signer: Signer, cloud: Aws, runtime: Runtime) -> None:
    for path in (
        "/runtimes/none-0123456789/",
        f"/runtimes/{runtime.id}/?version=9",
        f"/runtimes/{runtime.id}/runtime-endpoints/nowhere/",
    ):
        answer = signed(signer, "GET", path)
        assert (answer.status, answer.error) == (404, "ResourceNotFoundException"), (path, answer.body)
    path = invocation_path(runtime.arn, query="?qualifier=nowhere")
    answer = signed(signer, "POST", path, b"{}", {SESSION_HEADER: "s" * 40})
    assert (answer.status, answer.error) == (404, "ResourceNotFoundException")


def test_an_operation_that_is_not_there(signer: Signer) -> None:
    """In the service model, but not served: said plainly instead of a fake success."""
    answer = signed(signer, "POST", "/memories/create", b"{}")
    assert (answer.status, answer.error) == (404, "UnknownOperationException"), answer.body
    assert "CreateMemory" in answer.json["message"]


def test_a_path_that_is_nothing(signer: Signer) -> None:
    answer = signed(signer, "GET", "/no/such/path")
    assert answer.status == 404, answer.body
