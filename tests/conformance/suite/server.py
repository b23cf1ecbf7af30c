"""A `coracle serve` on the simulated driver, and AWS clients for it."""

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("CORACLE_BIN_DIR", ROOT / "target" / "debug")) / "coracle"
ACCOUNT = "000000000000"
REGION = "us-east-1"
BUCKET = "conformance"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/conformance"
SECOND = {"access_key_id": "SECONDACCOUNT", "secret_access_key": "second-secret"}
SECOND_ACCOUNT = "111111111111"
COLLEAGUE = {"access_key_id": "COLLEAGUE", "secret_access_key": "colleague-secret"}

CREDENTIALS = f"""
[[credentials]]
access_key_id = "{SECOND["access_key_id"]}"
secret_access_key = "{SECOND["secret_access_key"]}"
account = "{SECOND_ACCOUNT}"
principal = "second"

[[credentials]]
access_key_id = "{COLLEAGUE["access_key_id"]}"
secret_access_key = "{COLLEAGUE["secret_access_key"]}"
account = "{ACCOUNT}"
principal = "colleague"
"""


Found = TypeVar("Found")


def until(what: str, look: Callable[[], Found], timeout: float = 20.0) -> Found:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.01)
    return found


class Server:
    """One server on a data folder of its own; it can be killed and started again."""

    def __init__(self, config: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="coracle-conformance-"))
        self.log = self.folder / "log"
        (self.folder / "coracle.toml").write_text(CREDENTIALS + config)
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Starts the server and waits until it is ready."""
        address = self.folder / "data" / "address"
        address.unlink(missing_ok=True)
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--driver", "simulated"]
        command += ["--data-dir", self.folder / "data", "--config", self.folder / "coracle.toml"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.address = until("the server to listen", lambda: self._alive() and _read(address))
        self.url = f"http://{self.address}"
        until("the server to be ready", self._ready)

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
        return True

    def _ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
            return answer.status == 200
        return False

    def kill(self) -> None:
        """Ends the server as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def remove(self) -> None:
        """Ends the server and removes its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def keys(self) -> dict[str, str]:
        """The administrator key."""
        lines = (self.folder / "data" / "credentials").read_text().splitlines()
        pairs = dict(map(str.strip, line.split("=", 1)) for line in lines if "=" in line)
        return {
            "access_key_id": pairs["aws_access_key_id"],
            "secret_access_key": pairs["aws_secret_access_key"],
        }

    def environment(self) -> dict[str, str]:
        """All that an AWS client needs, and nothing of the developer's own set-up."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "data" / "credentials"),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def aws(self, keys: dict[str, str] | None = None, region: str = REGION) -> "Aws":
        """Clients with these keys, by default the administrator's."""
        return Aws(self.url, keys or self.keys(), region)


class Aws:
    """boto3 clients that show the first answer, and the calls that most tests make."""

    def __init__(self, url: str, keys: dict[str, str], region: str) -> None:
        self.url, self.keys, self.region = url, keys, region
        named = {f"aws_{name}": value for name, value in keys.items()}
        session = boto3.Session(region_name=region, **named)
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64)

        def client(service: str) -> Any:
            return session.client(service, endpoint_url=url, config=config)

        self.control, self.data = client("bedrock-agentcore-control"), client("bedrock-agentcore")
        self.sts = client("sts")
        # So that presigned URLs are signed like everything else.
        self.s3 = session.client("s3", endpoint_url=url, config=config.merge(Config(signature_version="s3v4")))

    def artifact(self) -> dict[str, Any]:
        """Code that the simulated driver can prepare."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("main.py", "print('hello')\n")
        with contextlib.suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
            self.s3.create_bucket(Bucket=f"{BUCKET}-{self.region}-{self.keys['access_key_id'].lower()}")
        bucket = f"{BUCKET}-{self.region}-{self.keys['access_key_id'].lower()}"
        self.s3.put_object(Bucket=bucket, Key="code.zip", Body=buffer.getvalue())
        code = {"s3": {"bucket": bucket, "prefix": "code.zip"}}
        return {"codeConfiguration": {"code": code, "runtime": "PYTHON_3_13", "entryPoint": ["main.py"]}}

    def create(self, **members: Any) -> dict[str, Any]:
        """Creates a runtime and returns the answer."""
        defaults = {"agentRuntimeName": new_name(), "roleArn": ROLE}
        if "agentRuntimeArtifact" not in members:
            defaults["agentRuntimeArtifact"] = self.artifact()
        return self.control.create_agent_runtime(**(defaults | members))

    def settled(self, runtime: str, **version: str) -> dict[str, Any]:
        """The runtime once nothing is under way."""

        def look() -> dict[str, Any] | None:
            found = self.control.get_agent_runtime(agentRuntimeId=runtime, **version)
            return None if found["status"] in ("CREATING", "UPDATING", "DELETING") else found

        return until(f"{runtime} to settle", look)

    def settled_endpoint(self, runtime: str, name: str) -> dict[str, Any]:
        """The endpoint once nothing is under way."""

        def look() -> dict[str, Any] | None:
            found = self.control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName=name)
            return None if found["status"] in ("CREATING", "UPDATING", "DELETING") else found

        return until(f"endpoint {name} to settle", look)

    def deploy(self, **members: Any) -> dict[str, Any]:
        """A runtime that is ready."""
        found = self.settled(self.create(**members)["agentRuntimeId"])
        assert found["status"] == "READY", found
        return found

    def invoke(self, arn: str, payload: bytes = b"{}", **members: Any) -> dict[str, Any]:
        """Invokes a runtime and adds the whole answer as `body`."""
        answer = self.data.invoke_agent_runtime(agentRuntimeArn=arn, payload=payload, **members)
        return answer | {"body": answer["response"].read()}


def new_name(prefix: str = "conf") -> str:
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def new_session() -> str:
    return f"session-{uuid.uuid4()}"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
