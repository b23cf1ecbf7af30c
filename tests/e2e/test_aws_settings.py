"""`agentcore` goes where the AWS SDKs would: host names of AWS, endpoints of profiles, programs that know the keys."""

import configparser
import json
import os
import re
import subprocess
from pathlib import Path

import boto3
import pytest

from harness.server import BINARIES, Server

# One of each of AWS's partitions.
REGIONS = (
    "eu-west-1",
    "us-gov-west-1",
    "cn-north-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "us-isof-south-1",
    "eu-isoe-west-1",
)
NOBODY = "nobody-AbCdEf0123"
UNREACHABLE, NOT_DEPLOYED = 4, 3


def agentcore(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it for somebody who has nothing but these variables."""
    return subprocess.run(
        [BINARIES / "agentcore", "--debug", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("region", REGIONS)
def test_without_an_endpoint_the_host_names_are_those_of_aws(region: str, tmp_path: Path) -> None:
    # Nothing leaves this machine: nobody listens where the proxy is said to be.
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hush", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = agentcore(tmp_path, "--region", region, "--runtime", NOBODY, "status", **keys)
    assert done.returncode == UNREACHABLE, done.stderr
    found = re.search(r"endpoint (\S+)/ \(data (\S+)/, s3 \S+\) from AWS host names", done.stderr)
    assert found, done.stderr
    session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="hush", region_name=region)
    services = ("bedrock-agentcore-control", "bedrock-agentcore")
    assert list(found.groups()) == [session.client(service).meta.endpoint_url for service in services]
    assert f"/{region}/bedrock-agentcore/aws4_request" not in done.stderr, "signatures are not shown"


def test_a_profile_with_services_and_a_program_that_knows_the_keys(simulated: Server, tmp_path: Path) -> None:
    """The server checks the signature, so an answer of its own says that the keys arrived."""
    credentials = configparser.ConfigParser()
    credentials.read(simulated.credentials_file)
    default = credentials["default"]
    answer = {
        "Version": 1,
        "AccessKeyId": default["aws_access_key_id"],
        "SecretAccessKey": default["aws_secret_access_key"],
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    (tmp_path / "config").write_text(
        f"[profile boat]\nregion = eu-west-1\nservices = mine\ncredential_process = cat {tmp_path}/answer.json\n"
        f"[services mine]\nbedrock_agentcore =\n  endpoint_url = http://127.0.0.1:9\n"
        f"bedrock_agentcore_control =\n  endpoint_url = {simulated.url}\n"
    )
    environment = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "boat"}
    done = agentcore(tmp_path, "--runtime", NOBODY, "status", **environment)
    assert done.returncode == NOT_DEPLOYED, done.stderr
    assert "from profile `boat`" in done.stderr
    assert default["aws_secret_access_key"] not in done.stderr
    arn = f"arn:aws:bedrock-agentcore:eu-west-1:000000000000:runtime/{NOBODY}"
    done = agentcore(tmp_path, "--runtime", arn, "invoke", "hello", **environment)
    assert done.returncode == UNREACHABLE, "the data plane is elsewhere"
    environment["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] = simulated.url
    done = agentcore(tmp_path, "--runtime", arn, "invoke", "hello", **environment)
    assert done.returncode == NOT_DEPLOYED, done.stderr
