"""What answers outside: web servers on ports 80 and 8443, datagrams on port 7, names on port 53.

The arguments are the first address of the network and the name server's. Names end in `.example`; what stands before
says what they are: `host-3.example` is the third address, `at-10-0-0-1.example` is 10.0.0.1, and of
`turns-3.example` the first answer is the third address and every later one 127.0.0.1.
"""

import hashlib
import ipaddress
import json
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NETWORK = ipaddress.IPv4Address(sys.argv[1])
NAME_SERVER = sys.argv[2]
TIME_TO_LIVE = 1
asked: dict[str, int] = {}


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/bytes/"):
            body = bytes(int(self.path.rsplit("/", 1)[1]))
        else:
            own, peer = self.request.getsockname(), self.client_address
            body = json.dumps({"host": own[0], "port": own[1], "peer": peer[0], "path": self.path}).encode()
        self.answer(body)

    def do_POST(self) -> None:
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            left -= len(piece)
            digest.update(piece)
        self.answer(digest.hexdigest().encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


def addresses(name: str) -> list[str]:
    asked[name] = asked.get(name, 0) + 1
    kind, _, rest = name.removesuffix(".example").partition("-")
    match kind:
        case "host":
            return [str(NETWORK + int(rest))]
        case "at":
            return [rest.replace("-", ".")]
        case "turns":
            return [str(NETWORK + int(rest)) if asked[name] == 1 else "127.0.0.1"]
    return []


def names() -> None:
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind((NAME_SERVER, 53))
    while True:
        query, peer = service.recvfrom(2000)
        at, labels = 12, []
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = query[12 : at + 5]
        is_address = question[-4:-2] == b"\0\1"
        found = addresses(".".join(labels).lower()) if is_address else []
        answer = query[:2] + struct.pack("!5H", 0x8180, 1, len(found), 0, 0) + question
        for address in found:
            answer += struct.pack("!HHHIH", 0xC00C, 1, 1, TIME_TO_LIVE, 4) + ipaddress.IPv4Address(address).packed
        service.sendto(answer, peer)


def echo() -> None:
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind((str(NETWORK + 1), 7))
    while True:
        data, peer = service.recvfrom(1 << 16)
        service.sendto(data, peer)


if __name__ == "__main__":
    for service in (names, echo, Server(("0.0.0.0", 8443), Web).serve_forever):
        threading.Thread(target=service, daemon=True).start()
    Server(("0.0.0.0", 80), Web).serve_forever()
