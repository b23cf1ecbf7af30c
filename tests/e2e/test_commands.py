"""InvokeAgentRuntimeCommand: commands beside an agent, through boto3."""

import time

import pytest
from botocore.exceptions import ClientError, EventStreamError

from harness.aws import AgentSession
from harness.commands import run, start
from harness.waiting import wait_until


@pytest.fixture
def session(neighbours) -> AgentSession:
    return neighbours[0]


def test_output_error_and_exit_code(session: AgentSession) -> None:
    out, err, end = run(session, "echo hello; echo 'oh, no: ünïcode' >&2; exit 3")
    assert (out, err) == ("hello\n", "oh, no: ünïcode\n")
    assert end == {"exitCode": 3, "status": "COMPLETED"}


def test_the_agents_files_folder_and_environment_are_the_commands(session: AgentSession) -> None:
    path = session.do("write", name="/tmp/of-the-agent", text="from the agent")
    assert run(session, f"cat {path}")[0] == "from the agent"
    run(session, "echo from a command > /tmp/of-a-command; chmod 644 /tmp/of-a-command")
    assert session.do("read", name="/tmp/of-a-command") == "from a command\n"
    region, folder = run(session, "echo $AWS_REGION; pwd")[0].splitlines()
    assert region
    assert folder == session.do("whoami")["folder"]


def test_a_command_starts_its_session(toolbox) -> None:
    session = toolbox.session()
    assert run(session, "echo first")[0] == "first\n"
    session.stop()


def test_output_comes_as_it_is_written(session: AgentSession) -> None:
    stream = iter(start(session, "echo one; while [ ! -e /tmp/go-on ]; do sleep 0.1; done; echo two"))
    assert next(stream)["chunk"] == {"contentStart": {}}
    assert next(stream)["chunk"]["contentDelta"] == {"stdout": "one\n"}
    run(session, "touch /tmp/go-on")
    assert next(stream)["chunk"]["contentDelta"] == {"stdout": "two\n"}
    assert next(stream)["chunk"]["contentStop"]["exitCode"] == 0
    run(session, "rm /tmp/go-on")


def test_its_time_is_bounded_and_what_it_started_ends(session: AgentSession) -> None:
    begun = time.monotonic()
    out, _, end = run(session, "echo begun; sleep 1000 & sleep 1000", timeout=2)
    assert (out, end["status"]) == ("begun\n", "TIMED_OUT")
    assert time.monotonic() - begun < 60
    left = "ps -e -o args= 2>/dev/null || cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    wait_until("its processes to end", lambda: "sleep 1000" not in run(session, left)[0].replace(left, ""), 20)


def test_a_client_that_goes_away_ends_it(session: AgentSession) -> None:
    stream = start(session, "echo $$ > /tmp/pid; sleep 1000")
    next(iter(stream))
    wait_until("it to begin", lambda: run(session, "cat /tmp/pid")[0].strip(), 20)
    stream.close()
    wait_until("it to end", lambda: run(session, "kill -0 $(cat /tmp/pid)")[2]["exitCode"] != 0, 20)


def test_much_output_comes_whole(session: AgentSession) -> None:
    out, _, end = run(session, "head -c 3000000 /dev/zero | tr '\\0' x")
    assert (len(out), end["exitCode"]) == (3_000_000, 0)


def test_it_is_root_in_the_machine(session: AgentSession, driver: str) -> None:
    if driver == "microvm":
        assert run(session, "id -u; touch /root/it && echo written")[0] == "0\nwritten\n"
        assert run(session, "mount -t tmpfs none /mnt")[2]["exitCode"] != 0


def test_the_end_of_the_session_is_told(toolbox) -> None:
    session = toolbox.session()
    stream = iter(start(session, "echo begun; sleep 1000"))
    assert [next(stream)["chunk"] for _ in range(2)][1]["contentDelta"] == {"stdout": "begun\n"}
    session.stop()
    with pytest.raises(EventStreamError, match="session ended") as caught:
        next(stream)
    assert caught.value.response["Error"]["Code"] == "runtimeClientError"


@pytest.mark.parametrize("body", [{"timeout": 0}, {"timeout": 3601}])
def test_a_timeout_out_of_bounds_is_refused(session: AgentSession, body: dict[str, int]) -> None:
    with pytest.raises(ClientError, match=r"body\.timeout") as caught:
        start(session, "true", **body)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
