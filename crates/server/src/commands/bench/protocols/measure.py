"""Talks to one session in every way there is, and prints how fast that goes, as JSON.

Run by `coracle bench protocols` beside `client.py`, with what to measure as its only argument (JSON).
"""

import json
import sys
import time
import urllib.request

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from client import Server, new_session, progress
from websockets.sync.client import connect

PORT = 8080
PIECE = 64 * 1024
SMALL = 64
WARM_UP = 5
# A client may send 250 frames per second.
FRAME_PAUSE = 0.005
# A URL of a WebSocket may be good for 300 s.
URL_SECONDS = 60


def timed(count, work, pause=0.0):
    """How long each of so many takes, in seconds; with a pause after each, which is not counted."""
    times = []
    for _ in range(WARM_UP + count):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        time.sleep(pause)
    return times[WARM_UP:]


def per_second(amount, work):
    """So much of something, by the second."""
    began = time.perf_counter()
    work()
    return amount / (time.perf_counter() - began)


class Session:
    """A session of the agent, in all its ways."""

    def __init__(self, server, arn):
        self.server, self.arn, self.id = server, arn, new_session()
        answer = self.invoke(0)
        self.url = answer["sessionEndpointUrl"]

    def invoke(self, size):
        payload = json.dumps({"bytes": size}).encode()
        answer = self.server.data.invoke_agent_runtime(
            agentRuntimeArn=self.arn, runtimeSessionId=self.id, payload=payload, contentType="application/json"
        )
        assert len(answer["response"].read()) == size + 2
        return answer

    def download(self, size):
        request = AWSRequest("GET", f"{self.url}/{PORT}/download?bytes={size}")
        self.signed(SigV4Auth, request)
        with urllib.request.urlopen(urllib.request.Request(request.url, headers=dict(request.headers))) as answer:
            left = size
            while piece := answer.read(PIECE):
                left -= len(piece)
            assert left == 0

    def command(self, command):
        """When a command has begun, and the size of what it printed."""
        began = time.perf_counter()
        answer = self.server.data.invoke_agent_runtime_command(
            agentRuntimeArn=self.arn, runtimeSessionId=self.id, body={"command": command, "timeout": 600}
        )
        started, size = None, 0
        for event in answer["stream"]:
            started = started or time.perf_counter() - began
            size += len(event["chunk"].get("contentDelta", {}).get("stdout", ""))
        return started, size

    def socket(self):
        request = AWSRequest("GET", f"{self.url}/{PORT}/ws")
        self.signed(SigV4QueryAuth, request, expires=URL_SECONDS)
        return connect(request.url.replace("http", "ws", 1), max_size=None, compression=None, ping_interval=None)

    def signed(self, kind, request, **more):
        session = self.server.session
        kind(session.get_credentials(), "bedrock-agentcore", session.region_name, **more).add_auth(request)

    def end(self):
        self.server.data.stop_runtime_session(agentRuntimeArn=self.arn, runtimeSessionId=self.id)


def printed(session, size):
    # Text, because that is what the events of a command carry.
    _, received = session.command(f"head -c {size} /dev/zero | tr '\\0' x")
    assert received == size, f"the command printed {size} bytes, of which {received} came"


def measure(session, plan):
    requests, size = plan["requests"], plan["mebibytes"] * 1024 * 1024
    progress(f"invocations, pages and commands: {requests} of each")
    round_trips = {
        "invocation": timed(requests, lambda: session.invoke(SMALL)),
        "page through the session's URL": timed(requests, lambda: session.download(PIECE)),
    }
    begun = []
    round_trips["command"] = timed(requests, lambda: begun.append(session.command("true")[0]))
    round_trips["command, until it has begun"] = begun[WARM_UP:]
    with session.socket() as socket:

        def echo():
            socket.send('{"say": "hello"}')
            socket.recv()

        def frames(count, size):
            socket.send(json.dumps({"frames": count, "bytes": size}))
            for _ in range(count):
                socket.recv()

        progress(f"a WebSocket: {requests} round trips, {plan['frames']} small frames")
        round_trips["WebSocket"] = timed(requests, echo, FRAME_PAUSE)
        frames_per_second = per_second(plan["frames"], lambda: frames(plan["frames"], SMALL))
        progress(f"{plan['mebibytes']} MiB in each way")
        bytes_per_second = {
            "invocation": per_second(size, lambda: session.invoke(size)),
            "session's URL": per_second(size, lambda: session.download(size)),
            "WebSocket, frames of 64 KiB": per_second(size, lambda: frames(size // PIECE, PIECE)),
            "output of a command": per_second(size, lambda: printed(session, size)),
        }
    return {
        "round_trips": [{"name": name, "seconds": times} for name, times in round_trips.items()],
        "frames_per_second": frames_per_second,
        "bytes_per_second": [{"name": name, "rate": rate} for name, rate in bytes_per_second.items()],
    }


def main():
    plan = json.loads(sys.argv[1])
    server = Server(plan["data_dir"])
    progress("deploying the agent")
    arn, _ = server.deploy(plan["agent"], "V2", allowedPorts=[{"port": PORT}])
    session = Session(server, arn)
    print(json.dumps(measure(session, plan)))
    session.end()


if __name__ == "__main__":
    main()
