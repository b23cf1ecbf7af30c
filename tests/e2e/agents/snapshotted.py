"""An agent that is in the middle of many things when its template is made, with NumPy where it is there."""

import json
import os
import random
import secrets
import socket
import ssl
import tempfile
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

try:
    import numpy
except ImportError:
    numpy = None

kept = {}
jumps_back = 0
beats = 0


def watch_the_clock():
    global beats, jumps_back
    last = time.monotonic()
    while True:
        now = time.monotonic()
        jumps_back += now < last
        last = now
        beats += 1
        time.sleep(0.01)


def echo(server):
    connection, _ = server.accept()
    while data := connection.recv(100):
        connection.sendall(data)


def ask_over_the_old_connection():
    text = secrets.token_bytes(8)
    loopback.sendall(text)
    return loopback.recv(100) == text


def read(path):
    return Path(path).read_text().strip()


def unique():
    """What no two sessions may share."""
    return {
        "random": random.getrandbits(64),
        **({"numpy": float(numpy.random.random())} if numpy else {}),
        "system random": random.SystemRandom().getrandbits(64),
        "urandom": os.urandom(8).hex(),
        "secrets": secrets.token_hex(8),
        "openssl": ssl.RAND_bytes(8).hex(),
        "uuid1": str(uuid.uuid1()),
        "uuid4": str(uuid.uuid4()),
        "node": uuid.getnode(),
        "temporary name": Path(tempfile.mktemp()).name,
        "kernel uuid": read("/proc/sys/kernel/random/uuid"),
        "boot id": read("/proc/sys/kernel/random/boot_id"),
        "machine id": read("/etc/machine-id"),
        "host name": socket.gethostname(),
    }


def look():
    before = beats
    time.sleep(0.1)
    log.write("the other half\n")
    log.flush()
    return {
        "unique": unique(),
        "time": time.time(),
        "pid": os.getpid(),
        "token": token,
        "restored": kept.get("restored", 0),
        "restored_at": kept.get("restored_at"),
        "beats": beats > before,
        "jumps_back": jumps_back,
        "loopback": ask_over_the_old_connection(),
        "temporary file": read(temporary.name),
        "log": read(log.name),
        "/etc/hostname": read("/etc/hostname"),
        "hosts": read("/etc/hosts"),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"status": "Healthy", "time_of_last_update": started})

    def do_POST(self):
        if self.path == "/restored":
            kept["restored"] = kept.get("restored", 0) + 1
            kept["restored_at"] = time.time()
        if self.path != "/invocations":
            self.answer({}, 200 if self.path == "/restored" else 404)
            return
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if request.get("do") == "keep":
            kept["secret"] = request["secret"]
            with open("/tmp/kept", "w") as file:
                file.write(request["secret"])
                file.flush()
                os.fsync(file.fileno())
            Path("/dev/shm/kept").write_text(request["secret"])
        self.answer(look())

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


started = int(time.time())
# As libraries do when they are imported or warmed up.
unique()
token = secrets.token_hex(8)
temporary = tempfile.NamedTemporaryFile("w", delete=False)  # noqa: SIM115
temporary.write("from before")
temporary.flush()
log = open("/tmp/log", "w")  # noqa: SIM115
log.write("one half, ")
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=echo, args=(listener,), daemon=True).start()
loopback = socket.create_connection(listener.getsockname())
threading.Thread(target=watch_the_clock, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
