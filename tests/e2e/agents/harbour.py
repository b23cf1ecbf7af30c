"""An agent with servers of its own beside it: a mirror of requests on port 9001, a WebSocket on 9002."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.sync.server import serve

MIRROR, SOCKET, PRIVATE = 9001, 9002, 9003
gate = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Harbour", "open")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class Agent(Handler):
    def do_GET(self):
        self.answer({"status": "Healthy"})

    def do_POST(self):
        self.body()
        gate.set()
        self.answer("the gate is open")


class Mirror(Handler):
    def reflect(self):
        if self.path == "/events":
            return self.stream()
        status = int(self.path.removeprefix("/status/")) if self.path.startswith("/status/") else 200
        seen = {"method": self.command, "path": self.path, "body": self.body().decode()}
        return self.answer(seen | {"headers": {name.lower(): text for name, text in self.headers.items()}}, status)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PROPFIND = reflect

    def stream(self):
        """The second event only once the agent has been invoked."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (b"data: first\n\n", b"data: second\n\n" if gate.wait(60) else b"data: shut\n\n", b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()


def echo(connection):
    for message in connection:
        connection.send(message)


def web(port, handler):
    server = ThreadingHTTPServer(("0.0.0.0", port), handler)
    server.daemon_threads = True
    return server


sockets = serve(echo, "0.0.0.0", SOCKET, subprotocols=["boat"])
for server in (web(MIRROR, Mirror), web(PRIVATE, Mirror), sockets):
    threading.Thread(target=server.serve_forever, daemon=True).start()
web(8080, Agent).serve_forever()
