"""What agents may do on the server with the credentials of their session: what the role of their runtime allows."""

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from suite.asserting import OwnServer, invocations, policy, raw_of, refusal
from suite.server import ACCOUNT, SECOND, SECOND_ACCOUNT, Aws, Server, new_name, new_session, until
from test_model import CONTROL, DATA, World

FRONT, EVERYTHING, NOTHING, MAKER, READER, PASSER, ELSEWHERE = (
    f"arn:aws:iam::{account}:role/{name}"
    for account, name in (
        (ACCOUNT, "front"),
        (ACCOUNT, "team/everything"),
        (ACCOUNT, "nothing"),
        (ACCOUNT, "maker"),
        (ACCOUNT, "reader"),
        (ACCOUNT, "passer"),
        (SECOND_ACCOUNT, "elsewhere"),
    )
)
RUNTIMES = "arn:aws:bedrock-agentcore:*:*:runtime"
CONFIG = f"""
[roles."{FRONT}"]
allow = [
  {{ actions = ["bedrock-agentcore:InvokeAgentRuntime"], resources = ["{RUNTIMES}/helper_*"] }},
  {{ actions = ["bedrock-agentcore:GetAgentCard"], resources = ["{RUNTIMES}/*/runtime-endpoint/prod"] }},
]
[roles."{EVERYTHING}"]
allow = [{{ actions = ["*"], resources = ["*"] }}]
[roles."{NOTHING}"]
allow = []
[roles."{MAKER}"]
allow = [{{ actions = ["bedrock-agentcore:*AgentRuntime*"], resources = ["*"] }}]
[roles."{READER}"]
allow = [
  {{ actions = ["s3:GetObject", "s3:DeleteObject"], resources = ["arn:aws:s3:::*/open/*"] }},
  {{ actions = ["s3:ListBucket"], resources = ["arn:aws:s3:::shelf-*"] }},
]
[roles."{PASSER}"]
allow = [
  {{ actions = ["*AgentRuntime*", "iam:PassRole", "s3:GetObject"], resources = ["*"] }},
  {{ actions = ["bedrock-agentcore:ListTagsForResource"], resources = ["arn:aws-*"] }},
]
[roles."{ELSEWHERE}"]
allow = [{{ actions = ["*"], resources = ["*"] }}]
"""

CREDENTIALS = json.dumps({"do": "credentials"}).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(CONFIG)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def aws(server: Server) -> Aws:
    return server.aws()


@pytest.fixture(scope="module")
def helper(aws: Aws) -> dict[str, Any]:
    return aws.deploy(agentRuntimeName=new_name("helper"))


def credentials(aws: Aws, arn: str, session: str | None = None) -> dict[str, str] | None:
    """What the agent of a session finds."""
    answer = aws.invoke(arn, CREDENTIALS, runtimeSessionId=session or new_session(), contentType="application/json")
    found = json.loads(answer["body"])
    return found and {name.removeprefix("aws_"): value for name, value in found.items()}


def agent_of(server: Server, role: str) -> Aws:
    """Clients with the credentials of a session whose runtime has this role."""
    arn = server.aws().deploy(roleArn=role)["agentRuntimeArn"]
    found = credentials(server.aws(), arn)
    assert found, f"{role} has no credentials"
    return server.aws(found)


def said(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException", caught.value.response
    return caught.value.response["Error"]["Message"]


def test_an_agent_invokes_the_runtimes_that_its_role_names_and_no_other(
    server: Server, aws: Aws, helper: dict[str, Any]
) -> None:
    front = agent_of(server, FRONT)
    arn, own = helper["agentRuntimeArn"], front.sts.get_caller_identity()
    assert own["Account"] == ACCOUNT
    assert own["Arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/front/BedrockAgentCore-")
    assert front.invoke(arn, b"hello")["body"] == b"hello"
    assert front.invoke(f"{arn}/runtime-endpoint/DEFAULT")["statusCode"] == 200
    assert front.invoke(helper["agentRuntimeId"], accountId=ACCOUNT)["statusCode"] == 200
    other = aws.deploy()["agentRuntimeArn"]
    action = "bedrock-agentcore:InvokeAgentRuntime"
    assert said(lambda: front.invoke(other)) == (
        f"User: {own['Arn']} is not authorized to perform: {action} on resource: {other} "
        f"because no identity-based policy allows the {action} action"
    )
    # What is not there looks like what is not allowed.
    missing = other.replace("runtime/", "runtime/x")
    assert said(lambda: front.invoke(missing)) == said(lambda: front.invoke(other)).replace(other, missing)
    assert "InvokeAgentRuntimeForUser" in said(lambda: front.invoke(arn, runtimeUserId="ann"))


def test_each_operation_is_refused_without_its_right_and_begins_with_it(server: Server, helper: dict[str, Any]) -> None:
    nothing, everything = agent_of(server, NOTHING), agent_of(server, EVERYTHING)
    world = World(nothing, raw_of(server, nothing.keys), helper)
    allowed = raw_of(server, everything.keys)
    for name in CONTROL + DATA:
        operation, known = world.operation(name), world.known(name)
        refused = world.raw.call(operation, known)
        assert (refused.status, refused.error) == (403, "AccessDeniedException"), f"{name}: {refused.body!r}"
        assert (
            f"is not authorized to perform: bedrock-agentcore:{name} on resource: arn:aws:bedrock"
            in refused.json["message"]
        ), name
        # So that it gets past its right and no further, where it would change something.
        broken = {"agentRuntimeId": "sample-AbCdEf0123", "resourceArn": "arn:nothing", "agentRuntimeName": "-"}
        begun = allowed.call(operation, known | {each: broken[each] for each in broken if each in known})
        assert begun.error != "AccessDeniedException", f"{name}: {begun.body!r}"
    implemented = coverage()
    assert set(CONTROL + DATA) == implemented, "an operation is implemented and not tested here"


def coverage() -> set[str]:
    """The operations that the server has, as its documentation says."""
    rows = (Path(__file__).resolve().parents[2] / "docs" / "coverage.md").read_text().splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| `")]
    return {cell[0].strip("`") for cell in cells if cell[-1] == "✓"}


def test_what_is_outside_the_model_needs_its_right_too(server: Server, aws: Aws, helper: dict[str, Any]) -> None:
    arn = aws.deploy(protocolConfiguration={"serverProtocol": "MCP"})["agentRuntimeArn"]
    nothing = agent_of(server, NOTHING)
    raw = raw_of(server, nothing.keys)
    path = invocations(arn)
    websocket, shells = path.replace("/invocations", "/ws"), path.replace("/invocations", "/ws/shells")
    for target in (websocket, shells):
        answer = raw.send("GET", target)
        assert (answer.status, answer.error) == (403, "AccessDeniedException"), answer.body
    assert raw.send("GET", path).status == 404
    assert raw_of(server).send("GET", path).status == 405
    assert raw.send("GET", "/_coracle/sessions").status == 403


def test_buckets_open_to_agents_as_their_role_says(server: Server, aws: Aws) -> None:
    shelf, everything, nothing = "shelf-1", agent_of(server, EVERYTHING).s3, agent_of(server, NOTHING).s3
    reader = agent_of(server, READER)
    everything.create_bucket(Bucket=shelf)
    for key in ("open/one", "open/two", "closed"):
        everything.put_object(Bucket=shelf, Key=key, Body=key.encode())
    assert shelf in [bucket["Name"] for bucket in everything.list_buckets()["Buckets"]]
    assert aws.s3.get_object(Bucket=shelf, Key="closed")["Body"].read() == b"closed"

    assert reader.s3.get_object(Bucket=shelf, Key="open/one")["Body"].read() == b"open/one"
    url = reader.s3.generate_presigned_url("get_object", Params={"Bucket": shelf, "Key": "open/one"})
    assert urllib.request.urlopen(url).read() == b"open/one"
    assert reader.s3.list_objects_v2(Bucket=shelf)["KeyCount"] == 3
    action, closed = "s3:GetObject", f"arn:aws:s3:::{shelf}/closed"
    assert said_by_s3(lambda: reader.s3.get_object(Bucket=shelf, Key="closed")) == (
        f"User: {reader.sts.get_caller_identity()['Arn']} is not authorized to perform: {action} on resource: {closed} "
        f"because no identity-based policy allows the {action} action"
    )
    deleted = reader.s3.delete_objects(Bucket=shelf, Delete={"Objects": [{"Key": "open/two"}, {"Key": "closed"}]})
    assert [each["Key"] for each in deleted["Deleted"]] == ["open/two"]
    assert [(each["Key"], each["Code"]) for each in deleted["Errors"]] == [("closed", "AccessDenied")]
    upload = {"Bucket": shelf, "Key": "open/three"}
    parts = upload | {"UploadId": everything.create_multipart_upload(**upload)["UploadId"]}
    one = upload | {"Key": "open/one"}
    for refused in (
        lambda s3: s3.put_object(**upload, Body=b"1"),
        lambda s3: s3.create_multipart_upload(**upload),
        lambda s3: s3.upload_part(**parts, PartNumber=1, Body=b"1"),
        lambda s3: s3.complete_multipart_upload(**parts),
        lambda s3: s3.abort_multipart_upload(**parts),
        lambda s3: s3.list_parts(**parts),
        lambda s3: s3.create_bucket(Bucket="shelf-2"),
        lambda s3: s3.delete_bucket(Bucket=shelf),
        lambda s3: s3.get_bucket_location(Bucket=shelf),
        lambda s3: s3.list_buckets(),
        lambda s3: s3.get_object(**one, VersionId="null"),
    ):
        said_by_s3(lambda call=refused: call(reader.s3))
        said_by_s3(lambda call=refused: call(nothing))
    for refused in (lambda: nothing.list_objects_v2(Bucket=shelf), lambda: nothing.get_object(**one)):
        said_by_s3(refused)
    # An answer without a body has no words.
    for refused in (lambda: nothing.head_bucket(Bucket=shelf), lambda: nothing.head_object(**one)):
        assert refusal(refused)[0] == 403

    # Another account's buckets stay closed, whatever a role of this one allows.
    aws_of_second = server.aws(SECOND)
    aws_of_second.s3.create_bucket(Bucket="shelf-of-another")
    aws_of_second.s3.put_object(Bucket="shelf-of-another", Key="open/one", Body=b"1")
    said_by_s3(lambda: everything.get_object(Bucket="shelf-of-another", Key="open/one"))

    without = {name: value for name, value in reader.keys.items() if name != "session_token"}
    stolen = reader.keys | {"secret_access_key": "x" * 40}
    for keys, said in ((without, (400, "InvalidToken")), (stolen, (403, "SignatureDoesNotMatch"))):
        assert refusal(lambda keys=keys: server.aws(keys).s3.get_object(**one)) == said


def said_by_s3(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == "AccessDenied", caught.value.response
    return caught.value.response["Error"].get("Message", "")


def test_no_body_is_read_of_who_may_not_send_it(server: Server, helper: dict[str, Any]) -> None:
    keys, path = agent_of(server, NOTHING).keys, invocations(helper["agentRuntimeArn"])
    command, url = path.replace("invocations", "commands"), f"/sessions/{'a' * 26}/8080/"
    for target in (path, command, "/runtimes/", url):
        for headers in ({}, {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}):
            assert raw_of(server, keys).announce(target, 1_000_000, headers) == 403, target


def test_refused_requests_of_a_role_do_not_use_up_its_account_s_rates(own_server: OwnServer) -> None:
    server = own_server(CONFIG + "[rate_limits]\nenabled = true\nlists = 1\n")
    nothing = agent_of(server, NOTHING)
    for _ in range(5):
        said(lambda: nothing.control.list_agent_runtimes())
    assert server.aws().control.list_agent_runtimes()["agentRuntimes"]


def test_who_may_make_runtimes_may_not_give_them_any_role_code_folder_or_tag(server: Server, aws: Aws) -> None:
    maker = agent_of(server, MAKER)
    wanted = {"agentRuntimeName": new_name(), "roleArn": EVERYTHING, "agentRuntimeArtifact": aws.artifact()}
    refused = said(lambda: maker.control.create_agent_runtime(**wanted))
    assert f"is not authorized to perform: iam:PassRole on resource: {EVERYTHING} " in refused
    assert "TagResource" in said(lambda: maker.control.create_agent_runtime(**wanted, tags={"a": "b"}))
    runtime = aws.deploy()["agentRuntimeId"]
    update = {name: wanted[name] for name in ("roleArn", "agentRuntimeArtifact")}
    assert "iam:PassRole" in said(lambda: maker.control.update_agent_runtime(agentRuntimeId=runtime, **update))
    versioned = {"code": {"s3": {"bucket": "some-bucket", "prefix": "code.zip", "versionId": "version-1"}}}
    wanted_code = {"codeConfiguration": versioned | {"runtime": "PYTHON_3_13", "entryPoint": ["main.py"]}}
    passing = wanted | {"agentRuntimeArtifact": wanted_code, "roleArn": NOTHING}
    passer = agent_of(server, PASSER)
    assert "s3:GetObjectVersion on resource: arn:aws:s3:::some-bucket/code.zip" in said(
        lambda: passer.control.create_agent_runtime(**passing)
    )
    shared = f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:access-point/fsap-0123456789abcdef0"
    mounts = [{"efsAccessPoint": {"accessPointArn": shared, "mountPath": "/mnt/shared"}}]
    mounting = f"elasticfilesystem:ClientMount on resource: {shared}"
    assert mounting in said(lambda: passer.control.create_agent_runtime(**wanted, filesystemConfigurations=mounts))
    update |= {"filesystemConfigurations": mounts}
    assert mounting in said(lambda: passer.control.update_agent_runtime(agentRuntimeId=runtime, **update))
    made = agent_of(server, EVERYTHING).control.create_agent_runtime(**wanted)
    assert aws.settled(made["agentRuntimeId"])["status"] == "READY"


def test_policies_of_resources_judge_roles_and_their_sessions(server: Server, aws: Aws) -> None:
    found = aws.deploy(agentRuntimeName=new_name("helper"))
    arn, front = found["agentRuntimeArn"], agent_of(server, FRONT)
    put = aws.control.put_resource_policy
    put(resourceArn=arn, policy=policy(arn, "Deny", FRONT))
    assert said(lambda: front.invoke(arn)).endswith("with an explicit deny in a resource-based policy")
    # What a resource's policy allows is not enough: the role must allow it, too.
    put(resourceArn=arn, policy=policy(arn, "Allow", FRONT))
    stop = {"agentRuntimeArn": arn, "runtimeSessionId": new_session()}
    assert "no identity-based policy" in said(lambda: front.data.stop_runtime_session(**stop))
    assert front.invoke(arn)["statusCode"] == 200
    # Another account must open itself, and the role must be allowed to go there.
    second = server.aws(SECOND).deploy(agentRuntimeName=new_name("helper"))["agentRuntimeArn"]
    assert "is not authorized" in said(lambda: front.invoke(second))
    for resource in (second, f"{second}/runtime-endpoint/DEFAULT"):
        server.aws(SECOND).control.put_resource_policy(
            resourceArn=resource, policy=policy(resource, "Allow", FRONT, "bedrock-agentcore:*")
        )
    assert front.invoke(second)["statusCode"] == 200
    assert "no identity-based policy" in said(
        lambda: front.data.stop_runtime_session(**stop | {"agentRuntimeArn": second})
    )


def test_who_is_denied_a_runtime_does_not_learn_what_it_speaks(server: Server, aws: Aws) -> None:
    mcp = {"serverProtocol": "MCP"}
    arn = aws.deploy(agentRuntimeName=new_name("helper"), protocolConfiguration=mcp)["agentRuntimeArn"]
    raw, path = raw_of(server, agent_of(server, FRONT).keys), invocations(arn)
    assert raw.send("GET", path).status == 405
    aws.control.put_resource_policy(resourceArn=arn, policy=policy(arn, "Deny", FRONT))
    assert raw.send("GET", path).status == 404
    answer = raw.send("POST", path, body=b"{}")
    assert (answer.status, answer.error) == (403, "AccessDeniedException"), answer.body


def test_a_resource_is_judged_by_its_own_name_however_it_is_written(server: Server, helper: dict[str, Any]) -> None:
    arn, passer = helper["agentRuntimeArn"], agent_of(server, PASSER)
    for partition in ("aws", "aws-cn"):
        written = arn.replace("arn:aws:", f"arn:{partition}:")
        refused = said(lambda written=written: passer.control.list_tags_for_resource(resourceArn=written))
        assert f"ListTagsForResource on resource: {arn} " in refused


def test_only_a_role_of_the_account_that_is_configured_has_credentials(server: Server, aws: Aws) -> None:
    for role in (f"arn:aws:iam::{ACCOUNT}:role/unknown", f"arn:aws:iam::{ACCOUNT}:role/everything", ELSEWHERE):
        assert credentials(aws, aws.deploy(roleArn=role)["agentRuntimeArn"]) is None, role


def test_credentials_end_with_their_session(server: Server, aws: Aws, helper: dict[str, Any]) -> None:
    arn, session = aws.deploy(roleArn=FRONT)["agentRuntimeArn"], new_session()
    front = server.aws(credentials(aws, arn, session))
    assert front.invoke(helper["agentRuntimeArn"])["statusCode"] == 200
    aws.data.stop_runtime_session(agentRuntimeArn=arn, runtimeSessionId=session)
    expired = (403, "ExpiredTokenException")
    until("the credentials to end", lambda: outcome(front, helper) == expired)
    assert refusal(lambda: front.s3.list_buckets())[1] == "ExpiredToken"
    # A later session of the same name is another one.
    again = server.aws(credentials(aws, arn, session))
    assert outcome(again, helper) == 200
    assert outcome(front, helper) == expired
    aws.control.delete_agent_runtime(agentRuntimeId=arn.split("/")[1])
    until("the credentials to end", lambda: outcome(again, helper) == expired)


def outcome(who: Aws, helper: dict[str, Any]) -> Any:
    try:
        return who.invoke(helper["agentRuntimeArn"])["statusCode"]
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_only_the_right_token_makes_a_key_good(server: Server, aws: Aws, helper: dict[str, Any]) -> None:
    arn = aws.deploy(roleArn=FRONT)["agentRuntimeArn"]
    one, two = credentials(aws, arn), credentials(aws, arn)
    assert one
    assert two
    assert one != two
    sealed = bytearray(base64.b64decode(one["session_token"]))
    sealed[-2] ^= 1
    without = {name: value for name, value in one.items() if name != "session_token"}
    wrong = [
        without,
        one | {"session_token": two["session_token"]},
        one | {"session_token": base64.b64encode(sealed).decode()},
        one | {"session_token": "x"},
    ]
    for keys in wrong:
        assert outcome(server.aws(keys), helper) == (403, "UnrecognizedClientException"), keys
    stolen = one | {"secret_access_key": two["secret_access_key"]}
    assert outcome(server.aws(stolen), helper) == (403, "InvalidSignatureException")
    for keys, code in ((wrong[0], "InvalidClientTokenId"), (stolen, "SignatureDoesNotMatch")):
        assert refusal(server.aws(keys).sts.get_caller_identity) == (403, code)
    assert outcome(server.aws(one), helper) == 200


def test_an_agent_does_not_see_the_credentials_of_who_calls_it(server: Server, helper: dict[str, Any]) -> None:
    front = agent_of(server, FRONT)
    seen = front.invoke(helper["agentRuntimeArn"], json.dumps({"do": "headers"}).encode())["body"].decode()
    assert front.keys["session_token"] not in seen
    assert front.keys["access_key_id"] not in seen


def test_without_the_servers_key_no_credentials_are_good(own_server: OwnServer) -> None:
    server = own_server(CONFIG)
    aws = server.aws()
    arn = aws.deploy(roleArn=EVERYTHING)["agentRuntimeArn"]
    keys = credentials(aws, arn)
    helper = aws.deploy()
    assert outcome(server.aws(keys), helper) == 200
    secret = server.folder / "data" / "session-key"
    assert secret.stat().st_mode & 0o777 == 0o600
    server.kill()
    secret.unlink()
    server.start()
    assert outcome(server.aws(keys), helper) == (403, "UnrecognizedClientException")


def test_a_misspelt_action_stops_the_server_from_starting() -> None:
    config = CONFIG.replace("InvokeAgentRuntime", "InvokeAgentRuntim")
    with pytest.raises(AssertionError, match="no action of this server"):
        Server(config)
