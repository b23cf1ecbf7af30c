"""SIGTERM lets what runs finish, and leaves nothing."""

import json
import signal
import subprocess

from harness.aws import Aws, agent_zip
from harness.server import BINARIES, SMALL_SANDBOXES


def test_a_stream_in_flight_finishes(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "drain", **SMALL_SANDBOXES)
    session = Aws(server, python).deploy(agent_zip("toolbox")).session()
    session.do("recall")
    lines = session.start("stream", count=10, delay=0.3)["response"].iter_lines(chunk_size=1)
    first = next(lines)
    server.terminate()
    rest = [line for line in lines if line]
    values = [json.loads(line.removeprefix(b"data: ")) for line in [first, *rest]]
    assert values == list(range(10))
    assert server.wait() == 0
    server.assert_nothing_left()


def test_a_stream_that_does_not_end_is_cut(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "drain-cut", **SMALL_SANDBOXES, limits={"drain_secs": 2})
    session = Aws(server, python).deploy(agent_zip("toolbox")).session()
    stream = session.start("stream_until_disconnected", name="x")["response"]
    assert stream.read(5)
    server.terminate()
    assert server.wait(timeout=30) == 0
    server.assert_nothing_left()


def test_sigint_and_a_second_signal(own_server) -> None:
    server = own_server("simulated", "sigint")
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    assert server.wait(timeout=30) == 0


def test_the_address_and_credentials_stay_after_a_restart(own_server) -> None:
    server = own_server("simulated", "again")
    before = server.credentials_file.read_text()
    server.stop()
    server.start()
    assert server.credentials_file.read_text() == before
    server.stop()


def test_a_second_server_on_the_same_folder_is_refused(own_server) -> None:
    server = own_server("simulated", "double")
    second = subprocess.run(
        [BINARIES / "coracle", "serve", "--listen", "127.0.0.1:0", "--data-dir", server.data,
         "--driver", "simulated"],
        capture_output=True, timeout=30, text=True, check=False,
    )  # fmt: skip
    assert second.returncode != 0
    assert str(server.data) in second.stderr
    assert server.healthy()
    server.stop()
