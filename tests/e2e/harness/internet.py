"""A network outside: a namespace behind a pair of virtual devices, with web servers and a name server in it.

Several may exist at once on one machine; each takes a number of its own and with it addresses of its own, from the
ranges that are reserved for documentation. Needs root.
"""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from harness.waiting import wait_until

SERVICES = Path(__file__).with_name("internet_services.py")
MOST = 16


class Internet:
    """Addresses `.host(1)` to `.host(13)` answer on every port the services listen on."""

    def __init__(self) -> None:
        self.number, self._lock = _claim()
        self.namespace = f"coracle-e2e-{self.number}"
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self._remove()
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def possible() -> bool:
        return os.geteuid() == 0 and shutil.which("ip") is not None

    def host(self, number: int) -> str:
        return f"203.0.113.{16 * self.number + number}"

    @property
    def name_server(self) -> str:
        return self.host(14)

    @property
    def gateway(self) -> str:
        """This machine's own address on the way."""
        return f"198.51.100.{4 * self.number + 1}"

    def close(self) -> None:
        if services := getattr(self, "_services", None):
            services.kill()
            services.wait()
        self._remove()
        self._lock.close()

    def _make(self) -> None:
        near, far = f"cor-e2e-{self.number}", f"cor-far-{self.number}"
        ip("netns", "add", self.namespace)
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.namespace)
        ip("addr", "add", f"{self.gateway}/30", "dev", near)
        ip("link", "set", near, "up")
        inside = ("-n", self.namespace)
        ip(*inside, "addr", "add", f"198.51.100.{4 * self.number + 2}/30", "dev", far)
        ip(*inside, "link", "set", far, "up")
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "route", "add", "local", f"203.0.113.{16 * self.number}/28", "dev", "lo")
        ip("route", "add", f"203.0.113.{16 * self.number}/28", "via", f"198.51.100.{4 * self.number + 2}")
        command = ["ip", "netns", "exec", self.namespace, sys.executable, str(SERVICES), self.host(0), self.name_server]
        self._services = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_until("the services outside to listen", lambda: _listens(self.host(1)), 60)

    def _remove(self) -> None:
        # Its end of the pair goes with the namespace, and the route with the other end.
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", f"cor-e2e-{self.number}"], check=False, stderr=subprocess.DEVNULL)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _claim() -> tuple[int, IO[str]]:
    for number in range(MOST):
        lock = open(Path(tempfile.gettempdir()) / f"coracle-e2e-internet-{number}", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return number, lock
    raise AssertionError(f"{MOST} networks are in use on this machine")


def _listens(address: str) -> bool:
    try:
        socket.create_connection((address, 80), timeout=1).close()
    except OSError:
        return False
    return True
