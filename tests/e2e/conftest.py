"""Fixtures of the end-to-end tests.

Every test runs against a real `coracle serve`. What needs no running agent uses one server with the `simulated`
driver; what needs one uses one server with the driver of `--driver`, shared by all tests of a process, because
every machine that boots in emulation costs seconds. Tests that kill or starve a server start their own.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from authority import Authority
from harness.aws import FRONT_ROLE, AgentSession, Aws, Runtime, agent_zip, host_python
from harness.internet import Internet
from harness.raw import Signer
from harness.registry import DebianRegistry
from harness.server import Server, run

DRIVERS = ("microvm", "process")
# The images that `scripts/test` prepares.
IMAGES = ("PYTHON_3_11", "PYTHON_3_13")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--driver", choices=DRIVERS, default="microvm", help="how sandboxes are made")
    parser.addoption("--slow", action="store_true", help="also run what takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    driver = config.getoption("--driver")
    for item in items:
        if item.get_closest_marker("microvm") and driver != "microvm":
            item.add_marker(pytest.mark.skip(reason="needs --driver microvm"))
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="needs --slow"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Shows the end of each server's log with a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            server = value if isinstance(value, Server) else getattr(value, "server", None)
            if isinstance(server, Server) and server.log.exists():
                report.sections.append((f"log of the server ({server.log})", server.log_tail()))
    return report


@pytest.fixture(scope="session")
def driver(request: pytest.FixtureRequest) -> str:
    """The driver that runs agents."""
    return request.config.getoption("--driver")


@pytest.fixture(scope="session")
def python(driver: str) -> str:
    """The managed runtime for agents."""
    return "PYTHON_3_13" if driver == "microvm" else host_python()


@pytest.fixture(scope="session")
def simulated() -> Iterator[Server]:
    """A server that runs no agents, for everything above the driver."""
    yield from run(Server("simulated", "simulated"))


@pytest.fixture(scope="session")
def internet(driver: str) -> Iterator[Internet | None]:
    """The network outside, if the driver lets agents reach one and it can be made."""
    if driver != "microvm" or not Internet.possible():
        yield None
        return
    internet = Internet()
    yield internet
    internet.close()


@pytest.fixture(scope="session")
def server(driver: str, internet: Internet | None) -> Iterator[Server]:
    """The server that runs agents."""
    invoke = {
        "actions": ["bedrock-agentcore:InvokeAgentRuntime"],
        "resources": ["arn:aws:bedrock-agentcore:*:*:runtime/agent_*"],
    }
    config: dict[str, Any] = {f'roles."{FRONT_ROLE}"': {"allow": [invoke]}}
    if internet:
        config["egress"] = {"nameservers": [internet.name_server]}
    yield from run(Server(driver, driver, config))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom clients trust that speak TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def protocol_server(driver: str, authority: Authority) -> Iterator[Server]:
    """The server for agents that speak to each protocol's own clients; they import much and start slowly."""
    config = {
        "limits": {"init_timeout_secs": 180},
        "websocket": {"client_stall_secs": 4},
        "tls": authority.settings(),
    }
    yield from run(Server(driver, f"{driver}-protocols", config))


@pytest.fixture(scope="session")
def protocols(protocol_server: Server, python: str) -> Aws:
    """Clients of that server. The tests' own Python compiles for its agents, if there is an image of it."""
    compiled = host_python() if host_python() in IMAGES else python
    return Aws(protocol_server, compiled, read_timeout=240)


@pytest.fixture(scope="module")
def registry() -> Iterator[DebianRegistry]:
    """Debian's registry, which everybody may push to and pull from."""
    registry = DebianRegistry()
    yield registry
    registry.stop()


@pytest.fixture
def own_server() -> Iterator[Callable[..., Server]]:
    """Makes servers that one test may kill, starve or stop."""
    servers: list[Server] = []

    def make(driver: str, name: str, environment: dict[str, str] | None = None, **config: Any) -> Server:
        server = Server(driver, name, config, environment or {})
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.clean_up()


@pytest.fixture(scope="session")
def cloud(simulated: Server) -> Aws:
    """Clients of the simulated server."""
    return Aws(simulated, "PYTHON_3_13")


@pytest.fixture(scope="session")
def aws(server: Server, python: str) -> Aws:
    """Clients of the server that runs agents."""
    return Aws(server, python)


@pytest.fixture(scope="session")
def signer(simulated: Server, cloud: Aws) -> Signer:
    """Signs raw requests for the simulated server."""
    return Signer(simulated, cloud.access_key, cloud.secret_key)


@pytest.fixture(scope="session")
def toolbox(aws: Aws, driver: str) -> Runtime:
    """The toolbox agent, deployed once, as clients do by default: its sessions are restored from a template."""
    environment = {"TOOLBOX_MAY_DO_DAMAGE": "1"} if driver == "microvm" else {}
    environment["AGENT_VERSION"] = "1"
    return aws.deploy(agent_zip("toolbox"), platformVersion="V2", environmentVariables=environment)


@pytest.fixture
def session(toolbox: Runtime) -> Iterator[AgentSession]:
    """A session of the toolbox, ended after the test."""
    session = toolbox.session()
    yield session
    session.stop_if_running()


@pytest.fixture(scope="module")
def neighbours(toolbox: Runtime) -> Iterator[tuple[AgentSession, AgentSession]]:
    """Two running sessions of the same version, for a whole file."""
    pair = toolbox.session(), toolbox.session()
    for each in pair:
        each.do("recall")
    yield pair
    for each in pair:
        each.stop_if_running()
