"""A failure reaches the caller as what it was, and the next invocation starts afresh."""

import pytest

from harness.aws import AgentSession, Aws, agent_zip
from harness.server import SMALL_SANDBOXES
from harness.waiting import wait_until


@pytest.mark.parametrize("code", [400, 404, 422, 500, 503])
def test_an_agents_error_status(neighbours, code: int) -> None:
    said = neighbours[0].fails("status", code=code)
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    expected = f"Received error ({code}) from runtime. Please check your CloudWatch logs for more information"
    assert said["message"].startswith(expected)


def test_an_error_status_is_not_repeated_and_does_not_end_the_session(neighbours) -> None:
    one, _ = neighbours
    one.do("remember", value="before")
    one.fails("status", code=500)
    assert one.do("recall") == "before"


def test_exit_in_the_middle_of_a_request(session: AgentSession) -> None:
    session.do("remember", value="lost")
    said = session.fails("exit", code=3, say="the database went away")
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert "exited with code 3" in said["message"]
    assert "the database went away" in said["message"]
    assert session.do("recall") is None, "the next invocation starts afresh"


def test_killed_by_a_signal(session: AgentSession) -> None:
    said = session.fails("signal", number=11)
    assert said["status"] == 424
    assert "killed by signal 11" in said["message"]
    assert session.do("recall") is None


def test_exit_between_the_head_and_the_body_of_an_answer(session: AgentSession) -> None:
    said = session.fails("exit_after_head", code=5)
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert "exited with code 5" in said["message"]


def test_exit_while_streaming_breaks_the_stream(session: AgentSession) -> None:
    stream = session.start("exit_while_streaming", code=1)["response"]
    assert stream.read(5)
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|ended|protocol"):
        while stream.read(64):
            pass

    def afresh() -> bool:
        """A request that overtakes the news of the exit is told of it; the next one finds a new agent."""
        try:
            return session.do("recall") is None
        except session.runtime.aws.data.exceptions.RuntimeClientError as error:
            assert "exited with code 1" in str(error)
            return False

    wait_until("the session to start afresh", afresh, 30)


def test_exit_between_two_requests(session: AgentSession) -> None:
    session.do("remember", value="lost")
    session.fails("exit", code=0)
    assert session.do("recall") is None


def test_exit_at_start(aws: Aws) -> None:
    runtime = aws.deploy(agent_zip("exits_at_start"))
    said = runtime.session().fails("recall")
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert said["message"].startswith(
        "An error occurred when starting the runtime. Please check your CloudWatch logs for more information."
    )
    assert "exited with code 7" in said["message"]
    assert "the model file is missing" in said["message"]
    runtime.delete()


@pytest.mark.microvm
def test_a_version_whose_agent_exits_at_start_is_not_created(aws: Aws) -> None:
    runtime = aws.create(agent_zip("exits_at_start"), platformVersion="V2").wait_for("CREATE_FAILED")
    reason = runtime.get()["failureReason"]
    for part in ("Phase start", "exited with code 7", "the model file is missing"):
        assert part in reason
    runtime.delete()


def test_never_healthy(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "never-healthy", **SMALL_SANDBOXES, limits={"init_timeout_secs": 20})
    runtime = Aws(server, python).deploy(agent_zip("never_healthy"))
    said = runtime.session().fails("recall")
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert said["message"].startswith("Runtime initialization time exceeded.")
    assert "still loading" in said["message"]
    server.stop()


def test_silent_past_the_request_limit(own_server, driver: str, python: str) -> None:
    server = own_server(driver, "silent", **SMALL_SANDBOXES, limits={"request_timeout_secs": 2})
    session = Aws(server, python).deploy(agent_zip("toolbox")).session()
    session.do("remember", value="kept")
    said = session.fails("sleep", seconds=60)
    assert (said["status"], said["code"]) == (424, "RuntimeClientError")
    assert session.do("recall") == "kept"
    server.stop()


def test_a_session_whose_health_check_fails_is_ended(session: AgentSession) -> None:
    session.do("remember", value="lost")
    session.do("ping", status="broken")

    def afresh() -> bool:
        try:
            return session.do("recall") is None
        except session.runtime.aws.data.exceptions.RuntimeClientError as error:
            assert "Runtime health check failed or timed out" in str(error)
            return False

    wait_until("the unhealthy session to be replaced", afresh, 60)
