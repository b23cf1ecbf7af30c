"""Who may do what and how often: accounts, regions, policies, quotas, rates."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from suite.asserting import OwnServer, invocations, policy, raw_of, refusal
from suite.raw import Raw
from suite.server import ACCOUNT, COLLEAGUE, SECOND, SECOND_ACCOUNT, Aws, Server, new_session, until


def test_another_account_and_another_region_see_nothing(server: Server, aws: Aws) -> None:
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    session = new_session()
    aws.invoke(arn, runtimeSessionId=session)
    second, elsewhere = server.aws(SECOND), server.aws(region="eu-west-1")
    assert second.sts.get_caller_identity()["Account"] == SECOND_ACCOUNT
    for other, status in ((second, 403), (elsewhere, 404)):
        assert runtime not in str(other.control.list_agent_runtimes())
        named = {"agentRuntimeId": runtime}
        assert refusal(lambda o=other, n=named: o.control.get_agent_runtime(**n))[0] == 404
        assert refusal(lambda o=other, n=named: o.control.delete_agent_runtime(**n))[0] == 404
        assert refusal(lambda o=other, n=named: o.control.list_agent_runtime_versions(**n))[0] == 404
        assert other.control.list_agent_runtime_endpoints(**named)["runtimeEndpoints"] == []
        assert refusal(lambda o=other: o.control.list_tags_for_resource(resourceArn=arn))[0] == status
        assert refusal(lambda o=other: o.control.put_resource_policy(resourceArn=arn, policy="{}"))[0] == status
        assert refusal(lambda o=other: o.invoke(arn))[0] == status
        stop = {"agentRuntimeArn": arn, "runtimeSessionId": session}
        assert refusal(lambda o=other, s=stop: o.data.stop_runtime_session(**s))[0] == status
        own = other.create(agentRuntimeName=found["agentRuntimeName"])
        assert own["agentRuntimeArn"] != arn
    bucket = found["agentRuntimeArtifact"]["codeConfiguration"]["code"]["s3"]["bucket"]
    assert bucket not in str(second.s3.list_buckets()["Buckets"])
    assert refusal(lambda: second.s3.get_object(Bucket=bucket, Key="code.zip"))[0] in (403, 404)
    stolen = second.create(agentRuntimeArtifact=found["agentRuntimeArtifact"])["agentRuntimeId"]
    assert second.settled(stolen)["status"] == "CREATE_FAILED"


def test_only_the_operators_account_reaches_the_operator_api(server: Server, raw: Raw) -> None:
    assert raw.send("GET", "/_coracle/sessions").status == 200
    assert raw_of(server, COLLEAGUE).send("GET", "/_coracle/sessions").status == 200
    assert raw_of(server, SECOND).send("GET", "/_coracle/sessions").status == 403


def test_a_caller_learns_who_it_is(server: Server) -> None:
    identity = server.aws(COLLEAGUE).sts.get_caller_identity()
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/colleague"


def test_policies_deny_and_open(server: Server, aws: Aws) -> None:
    arn = aws.deploy()["agentRuntimeArn"]
    default = f"{arn}/runtime-endpoint/DEFAULT"
    second, colleague = server.aws(SECOND), server.aws(COLLEAGUE)
    put, remove = aws.control.put_resource_policy, aws.control.delete_resource_policy

    put(resourceArn=default, policy=policy(default, "Deny", f"arn:aws:iam::{ACCOUNT}:user/colleague"))
    assert refusal(lambda: colleague.invoke(arn)) == (403, "AccessDeniedException")
    assert aws.invoke(arn)["statusCode"] == 200
    remove(resourceArn=default)
    assert colleague.invoke(arn)["statusCode"] == 200

    put(resourceArn=arn, policy=policy(arn, "Allow", SECOND_ACCOUNT))
    assert refusal(lambda: second.invoke(arn))[0] == 403, "the endpoint's policy must allow it, too"
    put(resourceArn=default, policy=policy(default, "Allow", SECOND_ACCOUNT))
    assert second.invoke(arn)["statusCode"] == 200
    assert refusal(lambda: second.control.delete_agent_runtime(agentRuntimeId=arn.split("/")[1]))[0] == 404

    only = "bedrock-agentcore:InvokeAgentRuntime"
    put(resourceArn=arn, policy=policy(arn, "Allow", SECOND_ACCOUNT, only))
    assert second.invoke(arn)["statusCode"] == 200
    assert refusal(lambda: second.invoke(arn, runtimeUserId="somebody"))[0] == 403
    stop = {"agentRuntimeArn": arn, "runtimeSessionId": new_session()}
    assert refusal(lambda: second.data.stop_runtime_session(**stop))[0] == 403


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "{}",
        '{"Statement": []}',
        '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}',
    ],
)
def test_what_is_no_policy_for_the_resource_is_refused(text: str, aws: Aws) -> None:
    arn = aws.deploy()["agentRuntimeArn"]
    with pytest.raises(ClientError) as caught:
        aws.control.put_resource_policy(resourceArn=arn, policy=text)
    assert caught.value.response["fieldList"][0]["name"] == "policy"


def test_quotas_hold_for_their_account(own_server: OwnServer) -> None:
    server = own_server(
        f"""
        [quotas.general]
        runtimes = 2
        versions_per_runtime = 2
        endpoints_per_runtime = 1
        active_sessions = 2
        [quotas.accounts.{SECOND_ACCOUNT}]
        """
    )
    aws, second = server.aws(), server.aws(SECOND)
    quota = (402, "ServiceQuotaExceededException")
    found = aws.deploy()
    runtime, arn = found["agentRuntimeId"], found["agentRuntimeArn"]
    aws.deploy()
    assert refusal(aws.create) == quota
    server.aws(region="eu-west-1").create()
    update = {"agentRuntimeId": runtime, "roleArn": found["roleArn"], "agentRuntimeArtifact": aws.artifact()}
    aws.control.update_agent_runtime(**update)
    aws.settled(runtime)
    assert refusal(lambda: aws.control.update_agent_runtime(**update)) == quota
    aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="one")
    assert refusal(lambda: aws.control.create_agent_runtime_endpoint(agentRuntimeId=runtime, name="two")) == quota

    def invoke(_: int) -> str:
        try:
            aws.invoke(arn, runtimeSessionId=(session := new_session()))
        except ClientError as error:
            return error.response["Error"]["Code"]
        return session

    with ThreadPoolExecutor(8) as threads:
        sessions = list(threads.map(invoke, range(8)))
    running = [session for session in sessions if session != quota[1]]
    assert len(running) == 2, sessions
    assert aws.invoke(arn, runtimeSessionId=running[0])["statusCode"] == 200
    aws.data.stop_runtime_session(agentRuntimeArn=arn, runtimeSessionId=running[0])
    until("the place of the stopped session", lambda: invoke(0) != quota[1])
    for _ in range(4):
        own = second.deploy()["agentRuntimeArn"]
        assert second.invoke(own)["statusCode"] == 200


def test_rates_hold_per_account_once_turned_on(own_server: OwnServer) -> None:
    server = own_server("[rate_limits]\nenabled = true\nlists = 2\nnew_sessions = 1\n")
    raw, second = raw_of(server), raw_of(server, SECOND)
    answers = [raw.send("POST", "/runtimes/") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].error == "ThrottlingException"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert second.send("POST", "/runtimes/").status == 200
    aws = server.aws()
    arn = aws.deploy()["agentRuntimeArn"]
    session = new_session()
    aws.invoke(arn, runtimeSessionId=session)
    assert refusal(lambda: aws.invoke(arn)) == (429, "ThrottlingException")
    assert aws.invoke(arn, runtimeSessionId=session)["statusCode"] == 200


def test_agents_clients_are_told_of_rates_in_their_protocols_form(own_server: OwnServer) -> None:
    server = own_server("[rate_limits]\nenabled = true\ndata = 1\n")
    raw, aws = raw_of(server), server.aws()
    call = b'{"jsonrpc": "2.0", "id": 7, "method": "tools/list"}'
    both = {"Accept": "application/json, text/event-stream"}
    for protocol, status, code in (("MCP", 200, -32003), ("A2A", 429, -32053)):
        target = invocations(aws.deploy(protocolConfiguration={"serverProtocol": protocol})["agentRuntimeArn"])
        answers = [raw.send("POST", target, both, call) for _ in range(20)]
        refused = [answer for answer in answers if answer.error]
        assert refused, "nothing was limited"
        for answer in refused:
            assert (answer.status, answer.error) == (status, "ThrottlingException")
            assert (answer.json["id"], answer.json["error"]["code"]) == (7, code)
            assert int(answer.headers["retry-after"]) >= 1


def test_nothing_is_limited_unless_configured(raw: Raw) -> None:
    assert {raw.send("POST", "/runtimes/").status for _ in range(60)} == {200}
