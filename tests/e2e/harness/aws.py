"""Plain AWS clients for a server, and the few calls that every test makes."""

import contextlib
import io
import json
import sys
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from harness.waiting import wait_until

AGENTS = Path(__file__).resolve().parents[1] / "agents"
ROLE = "arn:aws:iam::000000000000:role/coracle-tests"
# The server of the agents lets this one invoke runtimes with the names that `new_runtime_name` makes by itself.
FRONT_ROLE = "arn:aws:iam::000000000000:role/front"
BUCKET = "coracle-tests"
# A first invocation boots a machine, in emulation and beside other tests.
INVOKE_TIMEOUT = 120
# Making a version's template boots a machine, too, and starts its agent.
STATUS_TIMEOUT = 180.0
# The service documents up to 15 s between the answer to a stop and the end of the session.
CONFLICT_TIMEOUT = 30.0

Json = dict[str, Any]


def host_python() -> str:
    """The managed runtime that an agent of the `process` driver gets: the interpreter of the tests."""
    return f"PYTHON_3_{sys.version_info.minor}"


def new_session_id() -> str:
    return f"session-{uuid.uuid4()}"


def new_runtime_name(prefix: str = "agent") -> str:
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def zip_of(files: dict[str, str | bytes]) -> bytes:
    """A zip of these files, readable by everybody."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def agent_zip(name: str) -> bytes:
    """The zip of one of the test agents, with `main.py` as its entry point."""
    return zip_of({"main.py": (AGENTS / f"{name}.py").read_text()})


class Reachable(Protocol):
    """What a client must know of a server."""

    @property
    def url(self) -> str: ...

    def client_environment(self) -> dict[str, str]: ...


class Aws:
    """boto3 clients for one server, and short forms of the calls tests make most."""

    def __init__(self, server: Reachable, python: str, read_timeout: float = INVOKE_TIMEOUT) -> None:
        self._read_timeout = read_timeout
        environment = server.client_environment()
        credentials = _credentials(Path(environment["AWS_SHARED_CREDENTIALS_FILE"]))
        self._session = boto3.Session(**credentials, region_name=environment["AWS_REGION"])
        self.server = server
        self._url = server.url
        self.python = python
        self.access_key = credentials["aws_access_key_id"]
        self.secret_key = credentials["aws_secret_access_key"]
        self.control = self.client("bedrock-agentcore-control")
        self.data = self.client("bedrock-agentcore")
        self.s3 = self.client("s3")

    def client(self, service: str, **options: Any) -> Any:
        """A client that does not repeat requests, so that a test sees the first answer."""
        settings = {"read_timeout": self._read_timeout, "connect_timeout": 10, "max_pool_connections": 64}
        config = Config(retries={"total_max_attempts": 1}, **(settings | options))
        return self._session.client(service, endpoint_url=self._url, config=config)

    def upload(self, content: bytes, key: str | None = None) -> Json:
        """Stores a zip and returns it as an artifact's `code`."""
        key = key or f"{uuid.uuid4().hex}.zip"
        with contextlib.suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
            self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return {"s3": {"bucket": BUCKET, "prefix": key}}

    def artifact(self, content: bytes, entry_point: str = "main.py", runtime: str | None = None) -> Json:
        """Stores a zip and returns the `agentRuntimeArtifact` that runs it."""
        return {
            "codeConfiguration": {
                "code": self.upload(content),
                "runtime": runtime or self.python,
                "entryPoint": [entry_point],
            }
        }

    def create(self, content: bytes, **members: Any) -> "Runtime":
        """Creates a runtime, without waiting for it.

        Of platform version V1, unless told otherwise: making a template costs more than the few boots of most tests.
        """
        request: Json = {"agentRuntimeName": new_runtime_name(), "roleArn": ROLE, "platformVersion": "V1"}
        if "agentRuntimeArtifact" not in members:
            request["agentRuntimeArtifact"] = self.artifact(content)
        answer = self.control.create_agent_runtime(**(request | members))
        return Runtime(self, answer["agentRuntimeId"], answer["agentRuntimeArn"])

    def deploy(self, content: bytes, timeout: float = STATUS_TIMEOUT, **members: Any) -> "Runtime":
        """Creates a runtime and waits until it serves."""
        return self.create(content, **members).wait_for("READY", timeout)


def _credentials(path: Path) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    found = {key.strip(): value.strip() for key, value in pairs}
    return {key: found[key] for key in ("aws_access_key_id", "aws_secret_access_key")}


@dataclass(frozen=True)
class Runtime:
    """An agent runtime on a server."""

    aws: Aws
    id: str
    arn: str

    def get(self, **members: Any) -> Json:
        return self.aws.control.get_agent_runtime(agentRuntimeId=self.id, **members)

    def endpoint(self, name: str = "DEFAULT") -> Json:
        return self.aws.control.get_agent_runtime_endpoint(agentRuntimeId=self.id, endpointName=name)

    def wait_for(self, status: str, timeout: float = STATUS_TIMEOUT) -> "Runtime":
        """Waits until the runtime settles, and asserts that it settled as expected."""

        def settled() -> Json | None:
            answer = self.get()
            return answer if not answer["status"].endswith("ING") else None

        answer = wait_until(f"runtime {self.id} to settle", settled, timeout)
        assert answer["status"] == status, answer.get("failureReason", answer["status"])
        if status == "READY":
            wait_until("DEFAULT to be READY", lambda: self.endpoint()["status"] == "READY", timeout)
        return self

    def update(self, content: bytes | None = None, **members: Any) -> Json:
        """Makes a new version, of the present code and platform version unless others are given; does not wait."""
        present = self.get()
        artifact = self.aws.artifact(content) if content else present["agentRuntimeArtifact"]
        request = {
            "agentRuntimeId": self.id,
            "agentRuntimeArtifact": artifact,
            "roleArn": ROLE,
            "platformVersion": present["platformVersion"],
        }
        return self.aws.control.update_agent_runtime(**(request | members))

    def create_endpoint(self, name: str, **members: Any) -> Json:
        """Creates an endpoint and waits until it serves."""
        answer = self.aws.control.create_agent_runtime_endpoint(agentRuntimeId=self.id, name=name, **members)
        wait_until(f"endpoint {name} to serve", lambda: self.endpoint(name)["status"] == "READY", STATUS_TIMEOUT)
        return answer

    def delete_endpoint(self, name: str) -> None:
        """Deletes an endpoint and waits until it is gone."""
        self.aws.control.delete_agent_runtime_endpoint(agentRuntimeId=self.id, endpointName=name)

        def gone() -> bool:
            try:
                self.endpoint(name)
            except self.aws.control.exceptions.ResourceNotFoundException:
                return True
            return False

        wait_until(f"endpoint {name} to be gone", gone, STATUS_TIMEOUT)

    def delete(self) -> None:
        """Deletes the runtime and waits until it is gone."""
        self.aws.control.delete_agent_runtime(agentRuntimeId=self.id)
        wait_until(f"runtime {self.id} to be gone", self.gone, STATUS_TIMEOUT)

    def gone(self) -> bool:
        try:
            self.get()
        except self.aws.control.exceptions.ResourceNotFoundException:
            return True
        return False

    def session(self, session_id: str | None = None, qualifier: str | None = None) -> "AgentSession":
        return AgentSession(self, session_id or new_session_id(), qualifier)


@dataclass(frozen=True)
class AgentSession:
    """One session of a runtime; nothing runs until the first invocation."""

    runtime: Runtime
    id: str
    qualifier: str | None = None

    def invoke(self, payload: bytes, **members: Any) -> Json:
        """Invokes with a raw payload and returns boto3's answer, whose `response` is a stream."""
        if self.qualifier:
            members["qualifier"] = self.qualifier
        return self.runtime.aws.data.invoke_agent_runtime(
            agentRuntimeArn=self.runtime.arn, runtimeSessionId=self.id, payload=payload, **members
        )

    def start(self, do: str, **arguments: Any) -> Json:
        """Sends a command to the toolbox agent and returns boto3's answer."""
        return self.invoke(json.dumps({"do": do, **arguments}).encode(), contentType="application/json")

    def do(self, command: str, **arguments: Any) -> Any:
        """Sends a command to the toolbox agent and returns what it answers.

        Tries again while the session is being started or ended, as SDKs do by themselves.
        """

        def answered() -> Json | None:
            try:
                return self.start(command, **arguments)
            except self.runtime.aws.data.exceptions.RetryableConflictException:
                return None

        answer = wait_until(f"session {self.id} to be neither starting nor stopping", answered, CONFLICT_TIMEOUT)
        return json.loads(answer["response"].read())

    def fails(self, do: str, **arguments: Any) -> Json:
        """Sends a command that must fail, and returns `{"status", "code", "message"}` of the failure."""
        try:
            answer = self.start(do, **arguments)
            body = answer["response"].read(2000)
        except ClientError as error:
            return failure(error)
        raise AssertionError(f"{do} should have failed, but answered {body!r}")

    def stop(self) -> Json:
        return self.runtime.aws.data.stop_runtime_session(
            agentRuntimeArn=self.runtime.arn,
            runtimeSessionId=self.id,
            **({"qualifier": self.qualifier} if self.qualifier else {}),
        )

    def stopped(self) -> bool:
        """Whether the session is gone."""
        try:
            self.stop()
        except ClientError as error:
            if failure(error)["status"] not in (404, 409):
                raise
            return failure(error)["status"] == 404
        raise AssertionError(f"session {self.id} could be stopped twice")

    def stop_if_running(self) -> None:
        """Frees what the session holds; it may have ended already."""
        try:
            self.stop()
        except ClientError as error:
            if failure(error)["status"] not in (404, 409):
                raise


def failure(error: ClientError) -> Json:
    """What the server answered, in short."""
    response = error.response
    return {
        "status": response["ResponseMetadata"]["HTTPStatusCode"],
        "code": response["Error"]["Code"],
        "message": response["Error"]["Message"],
    }
