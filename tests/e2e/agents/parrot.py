"""An agent without any package: it says back, word by word, what it is asked, and logs it as a warning."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Parrot(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.begin("application/json")
        self.wfile.write(json.dumps({"status": "Healthy", "time_of_last_update": int(time.time())}).encode())

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        print(f"WARNING: asked {prompt}", flush=True)
        self.begin("text/event-stream")
        for word in f"You said: {prompt}".split():
            self.wfile.write(f"data: {json.dumps(word + ' ')}\n\n".encode())

    def begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()


ThreadingHTTPServer(("0.0.0.0", 8080), Parrot).serve_forever()
