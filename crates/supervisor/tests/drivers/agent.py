"""An agent for the drivers' tests: an HTTP server that can also misbehave."""
import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

memory = []
visits = 0


def eat_memory():
    while True:
        memory.append(bytearray(os.urandom(1 << 20)) * 8)


def fork_without_end():
    children = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(600)
            children += 1
    except OSError as error:
        return f"{children} {error}"


def fill_disk():
    written = 0
    try:
        with open("/tmp/fill", "wb", buffering=0) as file:
            while True:
                written += file.write(b"x" * (1 << 20))
    except OSError as error:
        os.remove("/tmp/fill")
        return f"{written} {error}"


def describe():
    user = f"uid={os.getuid()} gid={os.getgid()} groups={os.getgroups()}"
    status = open("/proc/self/status").read()
    wanted = [line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "NoNewPrivs"))]
    return " ".join([user, f"cwd={os.getcwd()}", f"year={time.gmtime().tm_year}", *wanted]).replace("\t", "")


def identity():
    """What must differ between two sessions, and what must be right."""
    read = lambda path: open(path).read().strip()
    return json.dumps({
        "unique": {
            "random": random.getrandbits(64),
            "urandom": os.urandom(8).hex(),
            "uuid1": str(uuid.uuid1()),
            "uuid4": str(uuid.uuid4()),
            "node": uuid.getnode(),
            "temporary": os.path.basename(tempfile.mktemp()),
            "hostname": socket.gethostname(),
            "machine_id": read("/etc/machine-id"),
            "boot_id": read("/proc/sys/kernel/random/boot_id"),
        },
        "clock_source": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "hosts": read("/etc/hosts"),
        "etc_hostname": read("/etc/hostname"),
        "time": time.time(),
        "monotonic": time.monotonic(),
        "imported_at_monotonic": imported_at,
        "ticks_backwards": backwards,
        "threads": threading.active_count(),
        "kept": kept,
        "written": read(written.name),
        "pid": os.getpid(),
    })


def watch_the_clock():
    """A thread from before the snapshot that would see monotonic time go back."""
    global backwards
    last = time.monotonic()
    while True:
        now = time.monotonic()
        backwards += now < last
        last = now
        time.sleep(0.005)


def keep():
    kept.append("kept")
    return "ok"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def do_GET(self):
        global visits
        visits += 1
        if self.path == "/exit":
            print("leaving")
            os._exit(7)
        actions = {
            "/ping": lambda: '{"status":"Healthy"}',
            "/identity": identity,
            "/keep": keep,
            "/visits": lambda: str(visits),
            "/describe": describe,
            "/memory": eat_memory,
            "/fork": fork_without_end,
            "/disk": fill_disk,
        }
        self.answer(str(actions[self.path]()).encode())

    def do_POST(self):
        if self.path == "/warm-up":
            keep()
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_):
        pass


imported_at = time.monotonic()
backwards = 0
kept = []
written = open("/tmp/half-written", "w")
written.write("before")
written.flush()
uuid.uuid1()
random.random()
tempfile.mktemp()
threading.Thread(target=watch_the_clock, daemon=True).start()
if os.environ.get("FAIL"):
    sys.exit("cannot go on: " + os.environ["FAIL"])
print("started")
print("complaint", file=sys.stderr)
server = ThreadingHTTPServer(("0.0.0.0", 8080), Handler)
server.request_queue_size = 128
server.socket.listen(128)
server.serve_forever()
