"""The server that is measured, as boto3 and as its operator see it. What `coracle bench` runs beside its scripts, which
get the usual variables of AWS clients and boto3 (PYTHONPATH). Progress goes to stderr.
"""

import json
import os
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

WAIT_SECONDS = 900
AT_ONCE = 10
BUCKET = "bench"
# The payload suits all agents whose starts are measured.
PAYLOAD = json.dumps({"prompt": "hello"}).encode()


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def wait(what, holds, poll=0.02):
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"not within {WAIT_SECONDS} seconds: {what}")
        time.sleep(poll)


def new_session():
    return f"bench-session-{uuid.uuid4()}"


class Server:
    """The server, as boto3 and as its operator see it."""

    def __init__(self, data_dir):
        self.data_dir = Path(data_dir)
        self.url = os.environ["AWS_ENDPOINT_URL"]
        # A request is sent once: an error shall be seen, and not be made up for.
        config = Config(read_timeout=WAIT_SECONDS, retries={"total_max_attempts": 1}, max_pool_connections=AT_ONCE)
        self.session = boto3.Session()
        self.control = self.session.client("bedrock-agentcore-control", config=config)
        self.data = self.session.client("bedrock-agentcore", config=config)
        self.s3 = self.session.client("s3", config=config)
        self.s3.create_bucket(Bucket=BUCKET)

    def operator(self, path):
        request = AWSRequest("GET", self.url + path)
        SigV4Auth(self.session.get_credentials(), "bedrock-agentcore", self.session.region_name).add_auth(request)
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=dict(request.headers))) as answer:
            return json.load(answer)

    def running_sessions(self):
        sessions = self.operator("/_coracle/sessions")["sessions"]
        return [session for session in sessions if session["state"] != "hibernated"]

    def deploy(self, agent, platform, **members):
        """The ARN of a runtime of this agent, and how long it took, in seconds."""
        key = f"{agent['name']}.zip"
        with open(agent["zip"], "rb") as file:
            self.s3.upload_fileobj(file, BUCKET, key)
        code = {"s3": {"bucket": BUCKET, "prefix": key}}
        configuration = {"code": code, "runtime": agent["runtime"], "entryPoint": ["main.py"]}
        return self.create(agent["name"], {"codeConfiguration": configuration}, platform, **members)

    def create(self, name, artifact, platform, **members):
        """The ARN of a runtime of this artifact, and how long it took, in seconds."""
        began = time.perf_counter()
        made = self.control.create_agent_runtime(
            agentRuntimeName=f"bench_{name}_{platform}",
            agentRuntimeArtifact=artifact,
            roleArn="arn:aws:iam::000000000000:role/bench",
            networkConfiguration={"networkMode": "PUBLIC"},
            platformVersion=platform,
            **members,
        )

        def ready():
            described = self.control.get_agent_runtime(agentRuntimeId=made["agentRuntimeId"])
            if described["status"].endswith("FAILED"):
                sys.exit(f"the agent could not be deployed: {described.get('failureReason')}")
            return described["status"] == "READY"

        wait("the version to be READY", ready)
        return made["agentRuntimeArn"], time.perf_counter() - began


class Runtime:
    """Starts and ends sessions of one runtime."""

    def __init__(self, server, arn):
        self.server, self.arn = server, arn

    def ask(self, session):
        """The body of the agent's answer, still to be read."""
        answer = self.server.data.invoke_agent_runtime(
            agentRuntimeArn=self.arn, runtimeSessionId=session, payload=PAYLOAD, contentType="application/json"
        )
        return answer["response"]

    def first_byte(self, session):
        began = time.perf_counter()
        answer = self.ask(session)
        answer.read(1)
        taken = time.perf_counter() - began
        answer.read()
        return taken

    def end(self, sessions):
        for session in sessions:
            self.server.data.stop_runtime_session(agentRuntimeArn=self.arn, runtimeSessionId=session)

    def none_left(self):
        wait("the sessions to end", lambda: not self.server.running_sessions())
