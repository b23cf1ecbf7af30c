"""Every request is signed, and a signature that does not fit is refused as AWS does."""

import dataclasses
import datetime
import json

import pytest

from harness.aws import Aws, agent_zip
from harness.raw import SESSION_HEADER, Signer, invocation_path, send, signed

LIST = "/runtimes/?maxResults=10"
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/none-0123456789"


def test_a_good_signature(signer: Signer) -> None:
    assert signed(signer, "POST", LIST).status == 200


def test_unsigned(signer: Signer) -> None:
    for method, path in (("POST", LIST), ("POST", invocation_path(ARN)), ("GET", "/some-bucket/key")):
        answer = send(signer.server, method, path, b"")
        assert answer.status == 403, (path, answer.body)
    answer = send(signer.server, "POST", LIST, b"")
    assert answer.error in ("MissingAuthenticationTokenException", "MissingAuthenticationToken")
    assert "WWW-Authenticate" not in answer.headers


def test_wrong_secret(signer: Signer) -> None:
    answer = signed(dataclasses.replace(signer, secret_key="wrong"), "POST", LIST)
    assert (answer.status, answer.error) == (403, "InvalidSignatureException")
    assert signer.secret_key not in answer.body.decode()


def test_unknown_key(signer: Signer) -> None:
    answer = signed(dataclasses.replace(signer, access_key="AKIANOBODY"), "POST", LIST)
    assert answer.status == 403
    assert answer.error in ("UnrecognizedClientException", "InvalidClientTokenId")


@pytest.mark.parametrize("minutes", [-60, -6, 6, 60])
def test_a_clock_that_is_off(signer: Signer, minutes: int) -> None:
    late = dataclasses.replace(signer, skew=datetime.timedelta(minutes=minutes))
    answer = signed(late, "POST", LIST)
    assert answer.status == 403
    assert answer.error in ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed")


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_is_nearly_right(signer: Signer, minutes: int) -> None:
    late = dataclasses.replace(signer, skew=datetime.timedelta(minutes=minutes))
    assert signed(late, "POST", LIST).status == 200


@pytest.mark.parametrize("path", ["/runtimes/", invocation_path(ARN)])
def test_tampered_body(signer: Signer, path: str) -> None:
    method = "PUT" if path == "/runtimes/" else "POST"
    headers = signer.headers(method, path, b'{"a": 1}', {SESSION_HEADER: "s" * 40})
    answer = send(signer.server, method, path, b'{"a": 2}', headers)
    assert answer.status in (403, 404), answer.body
    if path == "/runtimes/":
        assert (answer.status, answer.error) == (403, "InvalidSignatureException")


def test_tampered_body_never_reaches_the_agent(signer: Signer, cloud: Aws) -> None:
    runtime = cloud.deploy(agent_zip("toolbox"))
    path = invocation_path(runtime.arn)
    headers = signer.headers("POST", path, b'{"a": 1}', {SESSION_HEADER: "s" * 40})
    answer = send(signer.server, "POST", path, b'{"a": 2}', headers)
    assert (answer.status, answer.error) == (403, "InvalidSignatureException")
    runtime.delete()


def test_tampered_path_query_and_header(signer: Signer) -> None:
    headers = signer.headers("POST", LIST, b"", {"X-Amzn-Trace-Id": "a"})
    assert send(signer.server, "POST", LIST, b"", headers).status == 200
    for path, changes in (
        ("/runtimes/?maxResults=11", {}),
        ("/runtimes/x-0123456789/versions/?maxResults=10", {}),
        (LIST, {"X-Amz-Date": "20200101T000000Z"}),
    ):
        assert send(signer.server, "POST", path, b"", headers | changes).status == 403, path


@pytest.mark.parametrize(
    "header",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=zz",
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256 " + "x" * 8000,
    ],
)
def test_a_malformed_authorization(signer: Signer, header: str) -> None:
    answer = send(signer.server, "POST", LIST, b"", {"Authorization": header})
    assert answer.status in (400, 403), answer.body
    assert answer.error.endswith(("Exception", "Token", "Signature", "Denied")), answer.error


def test_a_signature_in_the_query(signer: Signer) -> None:
    path = "/runtimes/none-0123456789/"
    answer = send(signer.server, "GET", signer.presigned("GET", path))
    assert (answer.status, answer.error) == (404, "ResourceNotFoundException")
    expired = dataclasses.replace(signer, skew=datetime.timedelta(minutes=-10))
    assert send(signer.server, "GET", expired.presigned("GET", path)).status == 403
    other = signer.presigned("GET", path).replace("none-", "some-")
    assert send(signer.server, "GET", other).status == 403


def test_any_region_is_accepted_and_keeps_its_own_resources(signer: Signer, cloud: Aws) -> None:
    elsewhere = dataclasses.replace(signer, region="eu-north-1")
    answer = signed(elsewhere, "POST", "/runtimes/")
    assert answer.status == 200
    assert json.loads(answer.body)["agentRuntimes"] == []


def test_credentials_are_for_their_owner_only(signer: Signer) -> None:
    assert signer.server.credentials_file.stat().st_mode & 0o077 == 0
