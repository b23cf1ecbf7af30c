"""Loaded by every Python that `agentcore dev` starts, before the agent: moves the port the agent listens on.

The agent believes to listen where the platform wants it. A socket bound there is bound to another port of the loopback
device instead, so that several agents fit on one machine and none can be reached from outside.
"""

import importlib.machinery
import importlib.util
import os
import socket
import sys


def move_port(wanted, given):
    original = socket.socket.bind

    def bind(self, address):
        if (
            self.family in (socket.AF_INET, socket.AF_INET6)
            and self.type == socket.SOCK_STREAM
            and isinstance(address, tuple)
            and address[1] == wanted
        ):
            host = "127.0.0.1" if self.family == socket.AF_INET else "::1"
            address = (host, given, *address[2:])
        return original(self, address)

    socket.socket.bind = bind
    # Binds in C, where it cannot be moved; servers fall back to asyncio.
    sys.modules["uvloop"] = None


def load_the_one_behind():
    """Runs the sitecustomize that this one hides, if there is any."""
    here = os.path.dirname(os.path.abspath(__file__))
    elsewhere = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


move_port(*map(int, os.environ["AGENTCORE_DEV_MOVED_PORT"].split(":")))
load_the_one_behind()
