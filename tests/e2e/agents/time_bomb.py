"""An agent that waits in its template for the moment of a restore, and strikes before the session's first request."""

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attacks

FLOOD_LINES = 20_000
template = socket.gethostname()
struck = threading.Event()
outcome = {}


def strike():
    while socket.gethostname() == template:
        time.sleep(0.0005)
    outcome["began"] = time.monotonic()
    for attack in (attacks.devices, attacks.kernel, attacks.network):
        outcome.setdefault("tried", {}).update(attack())
    for number in range(FLOOD_LINES):
        sys.stdout.write(f"line {number} of a flood\n")
    struck.set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"status": "Healthy"})

    def do_POST(self):
        asked = time.monotonic()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer({"struck": struck.wait(60), "was_first": outcome.get("began", asked) < asked, **outcome})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


threading.Thread(target=strike, daemon=True).start()
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
