"""An agent with a Python process beside it that stands still, so that it cannot renew anything after a restore."""

import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

helper = subprocess.Popen([sys.executable, "-c", "print('up', flush=True); input()"], stdout=subprocess.PIPE)
helper.stdout.readline()
helper.send_signal(signal.SIGSTOP)


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        body = b'{"status": "Healthy"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer


HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
