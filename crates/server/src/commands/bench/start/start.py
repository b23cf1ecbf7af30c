"""Starts sessions through boto3 in every way there is, and prints how long each took to its first byte, as JSON.

Run by `coracle bench start` beside `client.py`, with what to measure as its only argument (JSON).
"""

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from client import AT_ONCE, PAYLOAD, WAIT_SECONDS, Runtime, Server, new_session, progress, wait

CALLERS = 4
# An iterator, which threads share.
AGENT_PORTS = iter(range(12_000, 32_000))


class Measured(Runtime):
    """A runtime, in every way its sessions start."""

    def tag(self, key, value):
        if value is None:
            self.server.control.untag_resource(resourceArn=self.arn, tagKeys=[key])
        else:
            self.server.control.tag_resource(resourceArn=self.arn, tags={key: value})

    def way(self, count, before=lambda: None):
        """New sessions: one by one, and ten at once."""
        one_by_one, ten_at_once = [], []
        for _ in range(count):
            before()
            session = new_session()
            one_by_one.append(self.first_byte(session))
            self.end([session])
            self.none_left()
        while len(ten_at_once) < count:
            before()
            sessions = [new_session() for _ in range(AT_ONCE)]
            ten_at_once += at_once(self.first_byte, sessions)
            self.end(sessions)
            self.none_left()
        return {"one_by_one": one_by_one, "ten_at_once": ten_at_once}

    def from_warm_pool(self, count, rehearsed=False):
        self.tag("coracle:warm", str(AT_ONCE))
        if rehearsed:
            self.pool_is_full()
            self.assert_rehearsed()
        seconds = self.way(count, self.pool_is_full)
        self.tag("coracle:warm", None)
        wait("the warm pool to be gone", lambda: not self.server.operator("/_coracle/pools")["pools"])
        return seconds

    def assert_rehearsed(self):
        """Sandboxes whose agents fail at their rehearsal are booted in its place, which no figure would show."""
        session = new_session()
        said = json.load(self.ask(session))
        if said["rehearsals"] != 1:
            sys.exit(f"the agent has not rehearsed once: it says {said}")
        self.end([session])
        self.none_left()

    def pool_is_full(self):
        def full():
            pools = self.server.operator("/_coracle/pools")["pools"]
            return any(pool["ready"] == AT_ONCE and pool["starting"] == 0 for pool in pools)

        wait("the warm pool to be full", full)

    def wakes(self, count):
        """What waking takes, and what a hibernated session takes on disk, in bytes."""
        sessions = [new_session() for _ in range(AT_ONCE)]
        at_once(self.first_byte, sessions)
        one_by_one, ten_at_once, bytes_on_disk = [], [], 0
        while len(ten_at_once) < count:
            self.asleep()
            bytes_on_disk = mean_bytes(self.server.data_dir / "hibernated")
            ten_at_once += at_once(self.first_byte, sessions)
        while len(one_by_one) < count:
            self.asleep()
            one_by_one += [self.first_byte(session) for session in sessions]
        self.asleep()
        self.end(sessions)
        return {"one_by_one": one_by_one, "ten_at_once": ten_at_once}, bytes_on_disk

    def asleep(self):
        wait("the sessions to hibernate", lambda: not self.server.running_sessions())

    def rate(self, seconds):
        """Sessions started per second, by callers who each start the next when theirs has answered."""
        ends = time.monotonic() + seconds

        def start_one_after_the_other(_):
            started = 0
            while time.monotonic() < ends:
                session = new_session()
                self.first_byte(session)
                self.end([session])
                started += 1
            return started

        began = time.monotonic()
        started = sum(at_once(start_one_after_the_other, range(CALLERS)))
        rate = started / (time.monotonic() - began)
        self.none_left()
        return rate

    def idle_memory(self, settle_seconds):
        """Private and shared memory of ten idle sessions on average, in bytes, as the server measures it."""
        sessions = [new_session() for _ in range(AT_ONCE)]
        for session in sessions:
            self.first_byte(session)
        time.sleep(settle_seconds)
        listed = self.server.running_sessions()
        self.end(sessions)
        self.none_left()
        kinds = ("privateMemoryBytes", "sharedMemoryBytes")
        return [round(statistics.mean(session[kind] for session in listed)) for kind in kinds]


def at_once(work, items):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


def mean_bytes(folder):
    """What the folders in this one take on disk, on average; files that have another name are not theirs."""
    sizes = []
    for entry in folder.iterdir():
        kept = [path.stat() for path in entry.iterdir()]
        sizes.append(sum(stat.st_blocks * 512 for stat in kept if stat.st_nlink == 1))
    return round(statistics.mean(sizes)) if sizes else 0


def free_port():
    """One that no other agent gets, and below those that connections come from: a caller who tries a port of these
    until somebody listens may in the end be connected to itself. Bound, but never listened at: a process that another
    thread starts meanwhile has this socket, too, until it runs its program, and would cut off whoever connected to it.
    """
    for port in AGENT_PORTS:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no port is left for an agent")


def bare_process(agent):
    """From the start of the agent as a process of this machine to the first byte of its answer."""
    port = free_port()
    began = time.perf_counter()
    command = [sys.executable, "-c", f"from main import app; app.run(port={port})"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=agent["folder"], **silent)
    try:
        while process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
            try:
                connection.request("POST", "/invocations", PAYLOAD, {"Content-Type": "application/json"})
                connection.getresponse().read(1)
                return time.perf_counter() - began
            except ConnectionRefusedError:
                time.sleep(0.001)
            finally:
                connection.close()
        sys.exit(f"the agent {agent['name']} ended as a process of this machine, with code {process.returncode}")
    finally:
        process.kill()
        process.wait()


def measure(server, agent, plan):
    sessions, name = plan["sessions"], agent["name"]
    progress(f"{name}: {sessions} bare processes, one by one and {AT_ONCE} at once")
    bare = {
        "one_by_one": [bare_process(agent) for _ in range(sessions)],
        "ten_at_once": [
            taken for _ in range(0, sessions, AT_ONCE) for taken in at_once(bare_process, [agent] * AT_ONCE)
        ],
    }
    progress(f"{name}: {plan['boots']} sessions that boot")
    arn, _ = server.deploy(agent, "V1")
    boot = Measured(server, arn).way(plan["boots"])
    progress(f"{name}: making the template")
    arn, create_to_ready = server.deploy(agent, "V2")
    runtime = Measured(server, arn)
    # The first one finds files that no page cache has yet.
    runtime.way(1)
    progress(f"{name}: {sessions} sessions restored")
    restore = runtime.way(sessions)
    progress(f"{name}: {sessions} sessions from the warm pool")
    pooled = {"warm pool": runtime.from_warm_pool(sessions)}
    if agent["rehearsal"]:
        progress(f"{name}: {sessions} sessions from the warm pool, rehearsed")
        runtime.tag("coracle:restore-hook", agent["rehearsal"])
        pooled["warm pool, rehearsed"] = runtime.from_warm_pool(sessions, rehearsed=True)
        runtime.tag("coracle:restore-hook", None)
    progress(f"{name}: memory of idle sessions")
    private, shared = runtime.idle_memory(plan["settle_seconds"])
    progress(f"{name}: new sessions for {plan['rate_seconds']} s")
    rate = runtime.rate(plan["rate_seconds"])
    progress(f"{name}: {sessions} sessions woken")
    runtime.tag("coracle:hibernate", "1")
    wake, hibernated = runtime.wakes(sessions)
    runtime.tag("coracle:hibernate", None)
    ways = {"bare process": bare, "boot (V1)": boot, "restore": restore} | pooled | {"wake": wake}
    return {
        "agent": name,
        "ways": [{"name": way} | seconds for way, seconds in ways.items()],
        "create_to_ready_seconds": create_to_ready,
        "sessions_per_second": rate,
        "idle_private_bytes": private,
        "idle_shared_bytes": shared,
        "template_bytes": mean_bytes(server.data_dir / "templates"),
        "hibernated_bytes": hibernated,
    }


def main():
    plan = json.loads(sys.argv[1])
    server = Server(plan["data_dir"])
    print(json.dumps([measure(server, agent, plan) for agent in plan["agents"]]))


if __name__ == "__main__":
    main()
