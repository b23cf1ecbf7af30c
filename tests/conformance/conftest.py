"""One server for all tests that do not need a configuration of their own."""

from collections.abc import Callable, Iterator

import pytest

from suite.raw import Raw
from suite.server import REGION, Aws, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def aws(server: Server) -> Aws:
    return server.aws()


@pytest.fixture(scope="session")
def raw(server: Server) -> Raw:
    return Raw(server.url, server.keys(), REGION)


@pytest.fixture
def own_server() -> Iterator[Callable[[str], Server]]:
    """Starts servers with a configuration of their own."""
    started: list[Server] = []

    def start(config: str = "") -> Server:
        started.append(Server(config))
        return started[-1]

    yield start
    for server in started:
        server.remove()
