"""How long a new session takes, through boto3: prints figures for docs/benchmarks.md and asserts nothing.

    CORACLE_BIN_DIR=target/release python tests/e2e/bench_starts.py [--agent plain|sdk] [--sessions 50]

Each figure is from the request to the first byte of the answer, every session a new one. `plain` is a server of the
standard library, `sdk` one on the `bedrock-agentcore` SDK. The bare process runs the same file with this Python.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.aws import Aws, Runtime, host_python, new_session_id, zip_of
from harness.metrics import metric
from harness.packages import installed
from harness.raw import Signer, signed
from harness.server import Server
from harness.waiting import wait_until

PYTHON = "PYTHON_3_13"
SDK = ("bedrock-agentcore",)
AGENTS = {
    "plain": """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b'{"status": "Healthy"}')

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
""",
    "sdk": """
from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
def answer(payload):
    return payload


app.run()
""",
}


def said(name: str, seconds: list[float]) -> None:
    cut = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
    p50, p90, p99 = (1000 * cut[index] for index in (49, 89, 98))
    print(f"{name:34} p50 {p50:7.0f}  p90 {p90:7.0f}  p99 {p99:7.0f} ms  of {len(seconds)}", flush=True)


def bare_process(source: str, packages: Path | None) -> float:
    environment = os.environ | ({"PYTHONPATH": str(packages)} if packages else {})
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", source], env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                request = urllib.request.Request("http://127.0.0.1:8080/invocations", b"{}")
                urllib.request.urlopen(request, timeout=10).read(1)
                return time.perf_counter() - begun
            except OSError:
                time.sleep(0.002)
    finally:
        process.kill()
        process.wait()


class Bench:
    """A server, and sessions that are started on it."""

    def __init__(self, server: Server) -> None:
        self.server, self.aws = server, Aws(server, PYTHON)

    def first_byte(self, runtime: Runtime, session: str) -> float:
        begun = time.perf_counter()
        answer = self.aws.data.invoke_agent_runtime(
            agentRuntimeArn=runtime.arn, runtimeSessionId=session, payload=b"{}", contentType="application/json"
        )
        answer["response"].read(1)
        return time.perf_counter() - begun

    def end(self, runtime: Runtime, session: str) -> None:
        self.aws.data.stop_runtime_session(agentRuntimeArn=runtime.arn, runtimeSessionId=session)

    def none_left(self) -> None:
        wait_until("the sessions to end", lambda: metric(self.server, "sessions") == 0, 120)

    def one_by_one(self, runtime: Runtime, count: int, before: Callable[[], None] = lambda: None) -> list[float]:
        taken = []
        for _ in range(count):
            before()
            session = new_session_id()
            taken.append(self.first_byte(runtime, session))
            self.end(runtime, session)
            self.none_left()
        return taken

    def at_once(self, runtime: Runtime, sessions: list[str]) -> list[float]:
        taken: list[float] = []
        threads = [
            threading.Thread(target=lambda session=session: taken.append(self.first_byte(runtime, session)))
            for session in sessions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return taken

    def tag(self, runtime: Runtime, key: str, value: str | None) -> None:
        if value is None:
            self.aws.control.untag_resource(resourceArn=runtime.arn, tagKeys=[key])
        else:
            self.aws.control.tag_resource(resourceArn=runtime.arn, tags={key: value})

    def pool_has(self, count: int) -> None:
        def full() -> bool:
            ready = metric(self.server, "warm_pool_sandboxes", state="ready")
            return ready == count and metric(self.server, "warm_pool_sandboxes", state="starting") == 0

        wait_until("the pool", full, 120)

    def hibernated(self, runtime: Runtime, count: int) -> None:
        """Sessions asleep, and what waking them takes."""
        self.tag(runtime, "coracle:hibernate", "1")
        sessions = [new_session_id() for _ in range(min(count, 10))]
        for session in sessions:
            self.first_byte(runtime, session)
        taken: list[float] = []
        while len(taken) < count:
            self.none_left()
            taken += [self.first_byte(runtime, session) for session in sessions]
        said("wake", taken)
        self.none_left()
        folders = list((self.server.data / "hibernated").iterdir())
        kept = [path.stat() for folder in folders for path in folder.iterdir()]
        own = sum(stat.st_blocks * 512 for stat in kept if stat.st_nlink == 1)
        print(f"{'on disk per hibernated session':34} {own / len(folders) / 2**20:.1f} MiB", flush=True)
        for session in sessions:
            self.end(runtime, session)
        self.tag(runtime, "coracle:hibernate", None)

    def memory(self) -> None:
        """What idle sessions take of the host, as the server sees it."""
        signer = Signer(self.server, self.aws.access_key, self.aws.secret_key)
        sessions = signed(signer, "GET", "/_coracle/sessions").json["sessions"]
        for kind in ("private", "shared"):
            mean = statistics.mean(session[f"{kind}MemoryBytes"] for session in sessions)
            print(f"{f'{kind} memory of an idle session':34} {mean / 2**20:.1f} MiB", flush=True)

    def rate(self, runtime: Runtime, seconds: float) -> float:
        """Sessions started per second by four callers."""
        ends, counts = time.monotonic() + seconds, [0] * 4

        def work(caller: int) -> None:
            while time.monotonic() < ends:
                session = new_session_id()
                self.first_byte(runtime, session)
                counts[caller] += 1
                self.end(runtime, session)

        threads = [threading.Thread(target=work, args=(caller,)) for caller in range(len(counts))]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", choices=AGENTS, default="plain")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rate-seconds", type=float, default=60)
    options = parser.parse_args()
    source, files = AGENTS[options.agent], {"main.py": AGENTS[options.agent]}
    packages = installed(SDK, host_python()) if options.agent == "sdk" else None
    if options.agent == "sdk":
        folder = installed(SDK, PYTHON)
        inside = (path for path in folder.rglob("*") if path.is_file() and "botocore/data" not in str(path))
        files |= {str(path.relative_to(folder)): path.read_bytes() for path in inside}
    print(f"load average {os.getloadavg()[0]:.1f} before", flush=True)
    said("bare process", [bare_process(source, packages) for _ in range(10)])
    server = Server("microvm", "bench", {"limits": {"init_timeout_secs": 300}}).start()
    try:
        bench, code = Bench(server), zip_of(files)
        begun = time.perf_counter()
        runtime = bench.aws.deploy(code, 300, platformVersion="V2")
        print(f"{'create to READY':34} {time.perf_counter() - begun:.1f} s", flush=True)
        bench.one_by_one(runtime, 1)
        said("restore", bench.one_by_one(runtime, options.sessions))
        said("restore, ten at once", bench.at_once(runtime, ten := [new_session_id() for _ in range(10)]))
        time.sleep(10)
        bench.memory()
        for session in ten:
            bench.end(runtime, session)
        bench.none_left()
        print(f"{'sessions per second':34} {bench.rate(runtime, options.rate_seconds):.2f}", flush=True)
        bench.none_left()
        bench.tag(runtime, "coracle:warm", "5")
        said("warm pool", bench.one_by_one(runtime, options.sessions, lambda: bench.pool_has(5)))
        bench.tag(runtime, "coracle:warm", None)
        bench.pool_has(0)
        bench.hibernated(runtime, options.sessions)
        said("boot (V1)", bench.one_by_one(bench.aws.deploy(code, 300, platformVersion="V1"), 3))
        print(f"load average {os.getloadavg()[0]:.1f} after", flush=True)
    finally:
        server.clean_up()


if __name__ == "__main__":
    main()
