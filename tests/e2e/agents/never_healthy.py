"""An agent that listens, but never answers a ping with 200."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)

    def log_message(self, *_arguments):
        pass


print("still loading", flush=True)
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
