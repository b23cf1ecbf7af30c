"""Bearer tokens of a real OpenID provider, judged by a runtime's customJWTAuthorizer."""

import base64
import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from bedrock_agentcore.runtime.shell import ShellFramer
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from javascript import NODE, npm_packages
from suite.asserting import HEADERS, OwnServer, headers_at_agent, invocations, policy, raw_of
from suite.raw import Answer, Raw
from suite.server import REGION, Aws, new_session, until
from test_clients import CLIENTS, HERE

AUDIENCE = "https://agents.example"


class Issuer:
    """A provider that runs in a process of its own."""

    def __init__(self, folder: Path) -> None:
        script = folder / "provider.mjs"
        shutil.copy(HERE / "clients" / "provider.mjs", script)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([str(NODE), str(script)], cwd=folder, text=True, **pipes)
        self.url = f"http://127.0.0.1:{self._says('port')}"

    @property
    def discovery(self) -> str:
        return f"{self.url}/.well-known/openid-configuration"

    def token(self, client: str = "app", audience: str = AUDIENCE, scope: str = "agents.run") -> str:
        form = {"grant_type": "client_credentials", "scope": scope, "resource": audience}
        basic = base64.b64encode(f"{client}:secret".encode()).decode()
        request = urllib.request.Request(f"{self.url}/token", urllib.parse.urlencode(form).encode())
        request.add_header("Authorization", f"Basic {basic}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["access_token"]

    def change_keys(self) -> None:
        self._process.stdin.write("change\n")
        self._process.stdin.flush()
        self._says("changed")

    def _says(self, word: str) -> str:
        """What follows the word in the line that begins with it; the provider gives advice in others."""
        for line in self._process.stdout:
            if line.startswith(f"{word} "):
                return line.removeprefix(word).strip()
        raise AssertionError(f"the provider ended before it said {word}")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer(npm_packages(CLIENTS / "oidc-provider", "oidc-provider@9", "jose@6"))
    yield issuer
    issuer.end()


def deployed(aws: Aws, issuer: Issuer, headers: list[str] | None = None, **rules: Any) -> str:
    """The target of the invocations of a runtime that takes the issuer's tokens."""
    more = {"requestHeaderConfiguration": {"requestHeaderAllowlist": headers}} if headers else {}
    authorizer = {"discoveryUrl": issuer.discovery, **(rules or {"allowedAudience": [AUDIENCE]})}
    runtime = aws.deploy(authorizerConfiguration={"customJWTAuthorizer": authorizer}, **more)
    return invocations(runtime["agentRuntimeArn"])


def bring(raw: Raw, target: str, token: str, body: bytes = b"{}", **headers: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw.send("POST", target, {"Authorization": f"Bearer {token}"} | headers, body, sign=False)


def test_a_good_token_opens_its_runtime_and_nothing_else(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, other = deployed(aws, issuer), deployed(aws, issuer, allowedClients=["other"])
    token = issuer.token()
    answer = bring(raw, target, token, HEADERS, X_Amzn_Bedrock_AgentCore_Runtime_User_Id="somebody-else")
    assert answer.status == 200, answer.body
    seen = headers_at_agent(answer)
    assert "authorization" not in seen, "it is not on the allow-list"
    assert "x-amzn-bedrock-agentcore-runtime-user-id" not in seen, "the token says who it is"
    refused = bring(raw, other, token)
    assert (refused.status, refused.error) == (401, "UnauthorizedException")
    assert refused.json["message"] == "Claim 'client_id' value mismatch with configuration"
    assert "resource_metadata=" in refused.headers["www-authenticate"]
    for method, path in (("POST", "/runtimes/"), ("GET", "/_coracle/v1/sessions")):
        bearer = {"Authorization": f"Bearer {token}"}
        assert raw.send(method, path, bearer, sign=False).status == 403, path


def test_an_agent_gets_the_token_if_the_runtime_says_so(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, token = deployed(aws, issuer, ["Authorization"]), issuer.token()
    assert headers_at_agent(bring(raw, target, token, HEADERS))["authorization"] == f"Bearer {token}"


def test_a_token_stops_a_session(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, token = deployed(aws, issuer), issuer.token()
    session = bring(raw, target, token).headers["x-amzn-bedrock-agentcore-runtime-session-id"]
    stop = target.replace("/invocations", "/stopruntimesession")

    def stopped() -> int:
        return bring(raw, stop, token, X_Amzn_Bedrock_AgentCore_Runtime_Session_Id=session).status

    assert stopped() == 200
    until("the session to be gone", lambda: stopped() == 404, 30)


def test_a_token_opens_a_shell_as_the_sdk_brings_it(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    arn = urllib.parse.unquote(deployed(aws, issuer).split("/")[2])
    session, framer = new_session(), ShellFramer()

    def at_shell(token: str) -> ClientConnection:
        sdk = AgentCoreRuntimeClient(REGION)
        url, offered = sdk.connect_shell_oauth(arn, bearer_token=token, session_id=session, shell_id="mine")
        place = urllib.parse.urlsplit(raw.url)
        here = socket.create_connection((place.hostname, place.port), timeout=30)
        return connect(url.replace("wss://", "ws://"), sock=here, subprotocols=offered)

    with at_shell(issuer.token()) as shell:
        assert json.loads(framer.decode(shell.recv(30)).payload)["metadata"]["shellId"] == "mine"
        shell.send(framer.encode_stdin("keys"))
        assert framer.decode(shell.recv(30)).text == "keys"
    with pytest.raises(InvalidStatus) as refused:
        at_shell(issuer.token(audience="https://other.example"))
    assert refused.value.response.status_code == 401


def test_the_url_of_a_session_takes_tokens_of_its_runtime_only(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    authorizer = {"discoveryUrl": issuer.discovery, "allowedAudience": [AUDIENCE]}
    # The simulated agent listens on its own port and no other.
    ports = [{"port": 8080}]
    runtime = aws.deploy(authorizerConfiguration={"customJWTAuthorizer": authorizer}, allowedPorts=ports)
    arn, token = runtime["agentRuntimeArn"], issuer.token()
    begun = bring(raw, invocations(arn), token)
    url = begun.headers["x-amzn-bedrock-agentcore-runtime-session-endpoint-url"].removeprefix(raw.url)
    answer = bring(raw, f"{url}/8080/", token, HEADERS, Content_Type="application/json")
    assert answer.status == 200, answer.headers
    assert "authorization" not in headers_at_agent(answer)
    challenged = raw.send("POST", f"{url}/8080/", sign=False)
    assert (challenged.status, challenged.error, challenged.body) == (401, "AuthenticationRequired", b"")
    assert "resource_metadata" in challenged.headers["www-authenticate"]
    for refused in (raw.send("POST", f"{url}/8080/"), bring(raw, f"{url}/8081/", token)):
        assert (refused.status, refused.error, refused.body) == (403, "AccessDenied", b"")
    proxy = "bedrock-agentcore:InvokeAgentRuntimeProxy"
    aws.control.put_resource_policy(resourceArn=arn, policy=policy(arn, "Deny", "*", proxy))
    assert bring(raw, f"{url}/8080/", token).status == 403
    assert bring(raw, invocations(arn), token).status == 200
    assert bring(raw, f"{url}/8080/", issuer.token(audience="https://other.example")).status == 401


def claim(name: str, kind: str, operator: str, **value: Any) -> dict[str, Any]:
    wanted = {"claimMatchOperator": operator, "claimMatchValue": value}
    return {"inboundTokenClaimName": name, "inboundTokenClaimValueType": kind, "authorizingClaimMatchValue": wanted}


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        ({"allowedAudience": ["https://other.example", AUDIENCE]}, None),
        ({"allowedAudience": ["https://other.example"]}, "Claim 'aud' value mismatch with configuration"),
        ({"allowedClients": ["app"], "allowedScopes": ["agents.run", "more"]}, None),
        ({"allowedClients": ["app"], "allowedScopes": ["agents.read"]}, "The token has none of the allowed scopes"),
        ({"customClaims": [claim("team", "STRING", "EQUALS", matchValueString="blue")]}, None),
        (
            {"customClaims": [claim("team", "STRING", "EQUALS", matchValueString="red")]},
            "Claim 'team' value mismatch with configuration",
        ),
        ({"customClaims": [claim("groups", "STRING_ARRAY", "CONTAINS", matchValueString="ops")]}, None),
        (
            {"customClaims": [claim("groups", "STRING_ARRAY", "CONTAINS_ANY", matchValueStringList=["a", "b"])]},
            "Claim 'groups' value mismatch with configuration",
        ),
    ],
)
def test_each_rule_counts(raw: Raw, aws: Aws, issuer: Issuer, rules: dict[str, Any], refusal: str | None) -> None:
    answer = bring(raw, deployed(aws, issuer, **rules), issuer.token())
    assert answer.status == (401 if refusal else 200), answer.body
    assert refusal is None or answer.json["message"] == refusal


def test_what_is_not_the_issuers_is_refused(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, token = deployed(aws, issuer), issuer.token()
    head, claims, signature = token.split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged["sub"] = "root"
    forged = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for bad in (f"{head}.{forged}.{signature}", f"{none}.{claims}.", f"{none}.{forged}.{signature}", "x" * 20_000):
        answer = bring(raw, target, bad)
        assert (answer.status, answer.error) == (401, "UnauthorizedException")


def test_new_keys_of_the_issuer_are_found_and_it_may_be_gone_for_a_while(own_server: OwnServer, issuer: Issuer) -> None:
    server = own_server()
    raw, target = raw_of(server), deployed(server.aws(), issuer)
    old = issuer.token()
    assert bring(raw, target, old).status == 200
    issuer.change_keys()
    new = issuer.token()
    # Keys are not fetched again at once: a stranger could ask for it with every request.
    assert bring(raw, target, new).status == 401
    until("the new key to be found", lambda: bring(raw, target, new).status == 200, 60)
    issuer.end()
    assert bring(raw, target, new).status == 200, "known keys still count"


def test_an_issuer_that_cannot_be_asked_is_said_to_be_that(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, token = deployed(aws, issuer), issuer.token()
    issuer.end()
    answer = bring(raw, target, token)
    assert answer.status == 503
    assert issuer.discovery in answer.json["message"]


def test_a_policy_may_close_a_runtime_to_token_bearers(raw: Raw, aws: Aws, issuer: Issuer) -> None:
    target, token = deployed(aws, issuer), issuer.token()
    arn = urllib.parse.unquote(target.split("/")[2])
    aws.control.put_resource_policy(resourceArn=arn, policy=policy(arn, "Deny", "*"))
    answer = bring(raw, target, token)
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
