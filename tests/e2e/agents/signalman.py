"""An A2A agent without any package: it has a card and says everything back."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CARD = {
    "name": "signalman",
    "description": "Repeats what is signalled.",
    "version": "1",
    "protocolVersion": "0.3.0",
    "capabilities": {"streaming": False},
    "skills": [{"id": "repeat", "name": "Repeat"}],
}


class Signalman(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(CARD if self.path.startswith("/.well-known") else {"status": "Healthy"})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = [{"kind": "text", "text": part["text"].upper()} for part in request["params"]["message"]["parts"]]
        message = {"kind": "message", "role": "agent", "messageId": "1", "parts": parts}
        self._answer({"jsonrpc": "2.0", "id": request["id"], "result": message})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 9000), Signalman).serve_forever()
