"""Conflicts, pages and repeated requests of the control plane."""

import uuid

import pytest
from botocore.exceptions import ClientError

from harness.aws import ROLE, Aws, Runtime, agent_zip, failure, new_runtime_name
from harness.raw import Signer, signed


@pytest.fixture(scope="module")
def zip_artifact(cloud: Aws) -> dict:
    return cloud.artifact(agent_zip("toolbox"))


@pytest.fixture
def runtime(cloud: Aws, zip_artifact: dict):
    runtime = cloud.deploy(b"", agentRuntimeArtifact=zip_artifact)
    yield runtime
    if not runtime.gone():
        runtime.delete()


def refused(call, **members) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as raised:
        call(**members)
    said = failure(raised.value)
    return said["status"], said["code"], said["message"]


def test_a_name_in_use(cloud: Aws, runtime: Runtime, zip_artifact: dict) -> None:
    name = runtime.get()["agentRuntimeName"]
    status, code, message = refused(
        cloud.control.create_agent_runtime,
        agentRuntimeName=name, roleArn=ROLE, agentRuntimeArtifact=zip_artifact,
    )  # fmt: skip
    assert (status, code) == (409, "ConflictException")
    assert "name" in message


def test_default_belongs_to_the_service(cloud: Aws, runtime: Runtime) -> None:
    control, of = cloud.control, {"agentRuntimeId": runtime.id}
    status, _, message = refused(control.create_agent_runtime_endpoint, name="DEFAULT", **of)
    assert (status, message) == (409, "An endpoint with the specified name already exists")
    status, _, message = refused(control.delete_agent_runtime_endpoint, endpointName="DEFAULT", **of)
    assert (status, message) == (409, "Default endpoints are removed when you delete the agent")
    update = {"endpointName": "DEFAULT", "agentRuntimeVersion": "1"}
    assert refused(control.update_agent_runtime_endpoint, **update, **of)[0] == 409


def test_endpoints_hold_their_runtime(cloud: Aws, runtime: Runtime) -> None:
    of = {"agentRuntimeId": runtime.id}
    runtime.create_endpoint("prod")
    status, _, message = refused(cloud.control.delete_agent_runtime, **of)
    assert (status, message) == (409, "This agent has endpoints that must be deleted first")
    runtime.delete_endpoint("prod")
    runtime.delete()


def test_the_replay_of_a_create_returns_the_first_outcome(cloud: Aws, zip_artifact: dict) -> None:
    request = {
        "agentRuntimeName": new_runtime_name(),
        "roleArn": ROLE,
        "agentRuntimeArtifact": zip_artifact,
        "clientToken": str(uuid.uuid4()),
    }
    first = cloud.control.create_agent_runtime(**request)
    Runtime(cloud, first["agentRuntimeId"], first["agentRuntimeArn"]).wait_for("READY")
    again = cloud.control.create_agent_runtime(**request)
    for member in ("agentRuntimeId", "agentRuntimeArn", "agentRuntimeVersion", "createdAt"):
        assert again[member] == first[member]

    with pytest.raises(cloud.control.exceptions.ValidationException) as raised:
        cloud.control.create_agent_runtime(**(request | {"description": "another"}))
    assert raised.value.response["reason"] == "IdempotentParameterMismatchException"


def test_the_replay_of_an_update_makes_one_version(cloud: Aws, runtime: Runtime) -> None:
    token = str(uuid.uuid4())
    first = runtime.update(clientToken=token)
    again = runtime.update(clientToken=token)
    assert first["agentRuntimeVersion"] == again["agentRuntimeVersion"] == "2"
    runtime.wait_for("READY")
    assert runtime.get()["agentRuntimeVersion"] == "2"


def test_what_was_given_is_given_back(cloud: Aws, zip_artifact: dict) -> None:
    given = {
        "description": "répondeur ✓",
        "environmentVariables": {"A": "b", "C": ""},
        "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 120, "maxLifetime": 3600},
        "networkConfiguration": {"networkMode": "PUBLIC"},
        "protocolConfiguration": {"serverProtocol": "HTTP"},
        "platformVersion": "V1",
    }
    runtime = cloud.deploy(b"", agentRuntimeArtifact=zip_artifact, **given)
    described = runtime.get()
    assert {member: described[member] for member in given} == given | {
        "protocolConfiguration": described["protocolConfiguration"]
    }
    assert described["protocolConfiguration"]["serverProtocol"] == "HTTP"
    assert described["agentRuntimeArtifact"] == zip_artifact
    assert described["roleArn"] == ROLE
    runtime.delete()


def test_pages_of_one(cloud: Aws, runtime: Runtime, zip_artifact: dict) -> None:
    """The paginators of boto3 walk through every item once, in the promised order."""
    control = cloud.control
    others = [cloud.deploy(b"", agentRuntimeArtifact=zip_artifact) for _ in range(2)]
    for number in range(2):
        runtime.update(environmentVariables={"N": str(number)})
        runtime.wait_for("READY")
    names = ["DEFAULT", "blue", "green"]
    for name in names[1:]:
        runtime.create_endpoint(name)

    def all_items(operation: str, key: str, **members) -> list[dict]:
        pages = control.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1}, **members)
        items = []
        for page in pages:
            assert len(page[key]) <= 1
            items += page[key]
        return items

    runtimes = all_items("list_agent_runtimes", "agentRuntimes")
    ids = [item["agentRuntimeId"] for item in runtimes]
    assert len(ids) == len(set(ids))
    assert {runtime.id, *(other.id for other in others)} <= set(ids)
    changed = [item["lastUpdatedAt"] for item in runtimes]
    assert changed == sorted(changed, reverse=True)
    versions = all_items("list_agent_runtime_versions", "agentRuntimes", agentRuntimeId=runtime.id)
    assert [item["agentRuntimeVersion"] for item in versions] == ["3", "2", "1"]
    endpoints = all_items("list_agent_runtime_endpoints", "runtimeEndpoints", agentRuntimeId=runtime.id)
    assert sorted(item["name"] for item in endpoints) == sorted(names)
    for name in names[1:]:
        runtime.delete_endpoint(name)
    for other in others:
        other.delete()


@pytest.mark.parametrize("query", ["nextToken=garbage", "maxResults=0", "maxResults=101", "maxResults=x"])
def test_a_page_that_is_none(signer: Signer, query: str) -> None:
    answer = signed(signer, "POST", f"/runtimes/?{query}")
    assert (answer.status, answer.error) == (400, "ValidationException"), answer.body


def test_paths_without_the_trailing_slash(signer: Signer, runtime: Runtime) -> None:
    assert signed(signer, "GET", f"/runtimes/{runtime.id}").status == 200
    assert signed(signer, "POST", "/runtimes").status == 200


def test_a_version_in_use_is_kept(cloud: Aws, runtime: Runtime) -> None:
    of = {"agentRuntimeId": runtime.id}
    assert refused(cloud.control.delete_agent_runtime, agentRuntimeVersion="1", **of)[0] == 409
    runtime.update()
    runtime.wait_for("READY")
    answer = cloud.control.delete_agent_runtime(agentRuntimeVersion="1", **of)
    assert answer["agentRuntimeVersion"] == "1"
    assert refused(cloud.control.get_agent_runtime, agentRuntimeVersion="9", **of)[0] == 404
    assert runtime.get()["agentRuntimeVersion"] == "2"


def test_everything_survives_a_restart(own_server) -> None:
    server = own_server("simulated", "restart")
    before = Aws(server, "PYTHON_3_13").deploy(agent_zip("toolbox"))
    described = before.get()
    server.stop()
    server.start()
    aws = Aws(server, "PYTHON_3_13")
    after = Runtime(aws, before.id, before.arn)
    without = "ResponseMetadata"
    assert {k: v for k, v in after.get().items() if k != without} == {
        k: v for k, v in described.items() if k != without
    }
    after.update()
    after.wait_for("READY")
    server.stop()
