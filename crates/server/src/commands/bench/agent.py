"""The agent that `coracle bench` measures with. Standard library only, and as little of it as possible.

POST /invocations with JSON    answers the same JSON
... with {"measure": {…}}      calls itself over its own loopback and answers with the times
... with anything else         answers the number of bytes it received

Started as `agent.py PORT` it listens on that port of the loopback device (0 takes any) and prints which.
"""

import asyncio
import json
import selectors
import socket
import sys
import time

MAX_JSON = 64 * 1024


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with Content-Length, one request after the other."""

    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
        self.tasks = set()
        self.expect_head()

    def expect_head(self):
        self.head = b""
        self.kept = None
        self.received = self.left = 0

    def data_received(self, data):
        if self.left:
            return self.body(data)
        self.head += data
        head, end, rest = self.head.partition(b"\r\n\r\n")
        if not end:
            return None
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if request_line.startswith("GET /ping"):
            return self.answer(b'{"status": "Healthy"}')
        self.left = int(headers.get("content-length", "0"))
        is_json = "json" in headers.get("content-type", "") and self.left <= MAX_JSON
        self.kept = bytearray() if is_json else None
        return self.body(rest)

    def body(self, data):
        self.left -= len(data)
        self.received += len(data)
        if self.kept is not None:
            self.kept += data
        if self.left > 0:
            return
        if self.kept is None:
            self.answer(b'{"size": %d}' % self.received)
        elif self.kept.startswith(b'{"measure"'):
            port = self.transport.get_extra_info("sockname")[1]
            task = asyncio.create_task(self.measure(port, bytes(self.kept)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.answer(bytes(self.kept))

    async def measure(self, port, command):
        # In a process of its own, so that the two share no interpreter lock.
        arguments = [__file__, "measure", str(port), command]
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        times, _ = await child.communicate()
        self.answer(times)

    def answer(self, body):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)
        self.expect_head()


class Caller:
    """A connection that sends the same request again and again, and knows how long its answer is."""

    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self.socket.recv(65536)
        self.length = len(head) + 4 + length

    def send(self):
        self.left = self.length
        self.began = time.perf_counter_ns()
        self.socket.sendall(self.request)

    def receive(self):
        """Whether the whole answer is there."""
        self.left -= len(self.socket.recv(65536))
        return self.left <= 0

    def microseconds(self):
        return (time.perf_counter_ns() - self.began) / 1000


def measure(port, requests, concurrency, payload):
    """Times of `requests` calls, so many at once, in microseconds; and of all of them together, in seconds."""
    body = json.dumps(payload).encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    callers = [Caller(port, head % len(body) + body) for _ in range(concurrency)]
    times = []
    began = time.perf_counter()
    if concurrency == 1:
        [caller] = callers
        for _ in range(requests):
            caller.send()
            while not caller.receive():
                pass
            times.append(caller.microseconds())
    else:
        ready = selectors.DefaultSelector()
        for caller in callers:
            ready.register(caller.socket, selectors.EVENT_READ, caller)
            caller.send()
        to_send = requests - concurrency
        while len(times) < requests:
            for key, _ in ready.select():
                caller = key.data
                if caller.receive():
                    times.append(caller.microseconds())
                    if to_send > 0:
                        to_send -= 1
                        caller.send()
    return {"seconds": time.perf_counter() - began, "microseconds": times}


async def serve(host, port):
    server = await asyncio.get_running_loop().create_server(Connection, host, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[1:2] == ["measure"]:
    print(json.dumps(measure(int(sys.argv[2]), **json.loads(sys.argv[3])["measure"])))
elif len(sys.argv) > 1:
    asyncio.run(serve("127.0.0.1", int(sys.argv[1])))
else:
    asyncio.run(serve("0.0.0.0", 8080))
