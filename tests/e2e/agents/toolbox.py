"""An agent that does what a test tells it to: `{"do": "<command>", …}`. Standard library only.

A body that is not JSON is answered with its size and SHA-256.
"""

import hashlib
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 1 << 20
# Only a deployment into a microVM sets this: elsewhere these commands would harm the machine of the tests.
MAY_DO_DAMAGE = os.environ.get("TOOLBOX_MAY_DO_DAMAGE") == "1"

memory = {}
gates = {}
disconnected = {}
lock = threading.Lock()
ping = {"status": "Healthy"}


def gate(name):
    with lock:
        return gates.setdefault(name, threading.Event())


def gone(name):
    with lock:
        return disconnected.setdefault(name, threading.Event())


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/ping":
            self.send_error(404)
        elif ping["status"] == "broken":
            self.answer({}, status=500)
        else:
            self.answer({"status": ping["status"]})

    def do_POST(self):
        if "json" not in self.headers.get("Content-Type", ""):
            return self.measure_body()
        request = json.loads(b"".join(self.body()))
        command = getattr(self, "do_" + request.pop("do", "echo"), None)
        if command is None:
            return self.answer({"error": "no such command"}, status=404)
        return command(**request)

    # How bodies come and go.

    def body(self):
        """The request body in pieces, with or without a declared length."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers.get("Content-Length", 0))
            while left:
                piece = self.rfile.read(min(left, CHUNK))
                if not piece:
                    raise ConnectionError("the request ended early")
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            while size:
                piece = self.rfile.read(min(size, CHUNK))
                size -= len(piece)
                yield piece
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def answer(self, value, status=200, headers=None):
        body = b"" if status == 204 else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, content_type="text/event-stream"):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def end_stream(self):
        self.chunk(b"")

    def measure_body(self):
        digest, size = hashlib.sha256(), 0
        for piece in self.body():
            digest.update(piece)
            size += len(piece)
        self.answer({"size": size, "sha256": digest.hexdigest()})

    # Memory, files, processes: what sessions must not share.

    def do_echo(self, **said):
        self.answer(said)

    def do_remember(self, value):
        memory["value"] = value
        self.answer("ok")

    def do_recall(self):
        self.answer(memory.get("value"))

    def do_write(self, name, text, sync=False):
        path = Path(name)
        with path.open("w") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        self.answer(str(path.resolve()))

    def do_read(self, name):
        path = Path(name)
        self.answer(path.read_text() if path.exists() else None)

    def do_files(self, folder="."):
        self.answer(sorted(entry.name for entry in Path(folder).iterdir()))

    def do_spawn(self, marker):
        code = "import sys, time; time.sleep(3600)"
        child = subprocess.Popen([sys.executable, "-c", code, marker])
        self.answer(child.pid)

    def do_processes(self):
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        self.answer({pid: command_line(pid) for pid in pids})

    def do_whoami(self):
        self.answer(
            {
                "uid": os.getuid(),
                "user": pwd.getpwuid(os.getuid()).pw_name,
                "hostname": socket.gethostname(),
                "folder": os.getcwd(),
                "pid": os.getpid(),
                "python": sys.version_info[:2],
                "machine": os.uname().machine,
                "time": time.time(),
                "random": os.urandom(16).hex(),
            }
        )

    def do_environment(self):
        self.answer(dict(os.environ))

    def do_headers(self):
        self.answer(dict(self.headers.items()))

    def do_begin_mcp(self, session):
        """As an MCP server that makes its own ids."""
        self.answer("ok", headers={"Mcp-Session-Id": session})

    # Answers of every kind.

    def do_stream(self, count, delay=0.0):
        self.begin_stream()
        for number in range(count):
            self.event(number)
            time.sleep(delay)
        self.end_stream()

    def do_gated_stream(self, name):
        """Two events, the second only once another invocation has opened the gate."""
        self.begin_stream()
        self.event("first")
        self.event("second" if gate(name).wait(60) else "the gate stayed shut")
        self.end_stream()

    def do_open(self, name):
        gate(name).set()
        self.answer("ok")

    def do_big(self, size):
        self.begin_stream("application/octet-stream")
        piece = bytes(CHUNK)
        while size:
            part = piece[: min(size, CHUNK)]
            self.chunk(part)
            size -= len(part)
        self.end_stream()

    def do_status(self, code):
        self.answer({"code": code}, status=code)

    def do_sleep(self, seconds):
        gate("asleep").set()
        time.sleep(seconds)
        self.answer("ok")

    def do_wait_for_sleep(self, seconds):
        self.answer(gate("asleep").wait(seconds))

    def do_stream_until_disconnected(self, name):
        """Streams until the client is gone, and remembers that it went."""
        self.begin_stream()
        try:
            for number in range(600):
                self.event(number)
                time.sleep(0.1)
        except OSError:
            gone(name).set()
            self.close_connection = True

    def do_wait_for_disconnect(self, name, seconds):
        self.answer(gone(name).wait(seconds))

    # Health and ends.

    def do_print(self, lines, stream="stdout"):
        for line in lines:
            print(line, file=getattr(sys, stream), flush=True)
        self.answer("ok")

    def do_ping(self, status):
        ping["status"] = status
        self.answer("ok")

    def do_exit(self, code, say="leaving"):
        print(say, flush=True)
        os._exit(code)

    def do_exit_after_head(self, code):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.flush()
        time.sleep(0.2)  # the head is on its way
        os._exit(code)

    def do_exit_while_streaming(self, code):
        self.begin_stream()
        self.event("first")
        time.sleep(0.5)
        os._exit(code)

    def do_signal(self, number):
        os.kill(os.getpid(), number)

    # Harm.

    def do_flood_logs(self, mib):
        self.damage()
        line = b"x" * 1023 + b"\n"
        block = line * 1024
        for _ in range(mib):
            os.write(1, block)
        self.answer("ok")

    def do_fork_bomb(self):
        self.damage()
        bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
        subprocess.Popen([sys.executable, "-c", bomb])
        self.answer("ok")

    def do_fill_disk(self):
        self.damage()
        written = 0
        try:
            with open("filler", "wb", buffering=0) as file:
                while True:
                    written += file.write(bytes(CHUNK))
        except OSError as error:
            self.answer({"written": written, "errno": error.errno})

    def do_eat_memory(self):
        self.damage()
        eaten = []
        while True:
            eaten.append(b"x" * CHUNK * 8)

    def do_python(self, code):
        """Runs code that sets `result`."""
        self.damage()
        names = {}
        exec(code, names)
        self.answer(names["result"])

    def damage(self):
        if not MAY_DO_DAMAGE:
            raise PermissionError("this deployment may do no damage")

    def log_message(self, *_arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    print("toolbox starts", flush=True)
    Server(("0.0.0.0", 8080), Handler).serve_forever()
