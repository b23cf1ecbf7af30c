"""The agent that `coracle bench neighbours` has next to the one it measures. Standard library only.

POST /invocations with {"load": NAME}    does NAME until its session is stopped, and answers at once
... with {"answer": BYTES}               answers so many bytes
"""

import json
import mmap
import os
import signal
import socket
import sys
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MIB = 1 << 20
# What a machine of 2 GiB has left for its agent without being out of memory.
MEMORY = 1024 * MIB
DISK = 64 * MIB
LOADS = {}


def load(times):
    """Such a load is so many processes at once."""

    def register(work):
        LOADS[work.__name__] = (times, work)
        return work

    return register


@load(8)
def processors():
    while True:
        pass


@load(1)
def processes():
    # In an interpreter with nothing loaded, of which many fit in the memory.
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", bomb])


@load(1)
def memory():
    pages = mmap.mmap(-1, MEMORY)
    turn = 0
    while True:
        turn += 1
        for at in range(0, MEMORY, mmap.PAGESIZE):
            pages[at] = turn % 256


@load(4)
def disk():
    piece = os.urandom(MIB)
    name = f"/tmp/load-{os.getpid()}"
    while True:
        with open(name, "wb", buffering=0) as file:
            for _ in range(DISK // MIB):
                file.write(piece)
            os.fsync(file.fileno())


@load(4)
def output():
    line = "x" * 1000
    while True:
        print(line, flush=True)


@load(4)
def network():
    datagram = bytes(1200)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            # Documentation's own addresses (RFC 5737), which nobody has.
            sender.sendto(datagram, ("192.0.2.1", 9))
        except OSError:
            time.sleep(0.001)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b'{"status": "Healthy"}')

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "answer" in request:
            return self.answer(bytes(request["answer"]))
        times, work = LOADS[request["load"]]
        for _ in range(times):
            if os.fork() == 0:
                try:
                    # The answer first.
                    time.sleep(1)
                    work()
                finally:
                    # A load that ends would be measured as if it lasted, so the session ends, too.
                    traceback.print_exc()
                    os.kill(os.getppid(), signal.SIGKILL)
        return self.answer(b"{}")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


sys.stdout.reconfigure(line_buffering=True)
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
