"""How sessions live and end, as a caller sees it."""

import threading

import pytest

from harness.aws import AgentSession, Aws, Runtime, agent_zip
from harness.server import Server
from harness.waiting import consistently, wait_until


def test_a_client_that_leaves_is_noticed_by_the_agent(session: AgentSession) -> None:
    stream = session.start("stream_until_disconnected", name="leaver")["response"]
    assert stream.read(10)
    stream.close()
    assert session.do("wait_for_disconnect", name="leaver", seconds=30) is True


def test_invocations_that_arrive_while_a_session_starts(toolbox: Runtime) -> None:
    """All reach the one sandbox, or are told to try again; none starts a second one."""
    session = toolbox.session()
    answers: list[object] = []

    def invoke() -> None:
        try:
            answers.append(session.do("whoami")["hostname"])
        except session.runtime.aws.data.exceptions.RetryableConflictException as error:
            answers.append(error)

    threads = [threading.Thread(target=invoke) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {answer for answer in answers if isinstance(answer, str)}
    assert len(answers) == 4
    assert len(names) == 1, answers
    session.stop()


def test_the_same_id_at_another_runtime_is_another_session(toolbox: Runtime, aws: Aws) -> None:
    other = aws.deploy(agent_zip("toolbox"))
    one = toolbox.session()
    two = other.session(one.id)
    one.do("remember", value="here")
    assert two.do("recall") is None
    assert one.do("recall") == "here"
    two.stop()
    assert one.do("recall") == "here"
    one.stop()
    other.delete()


@pytest.mark.slow
def test_an_idle_session_ends_and_a_busy_one_stays(aws: Aws, server: Server) -> None:
    """60 s is the shortest idle time of the service."""
    runtime = aws.deploy(
        agent_zip("toolbox"),
        lifecycleConfiguration={"idleRuntimeSessionTimeout": 60, "maxLifetime": 28800},
    )
    idle, busy = runtime.session(), runtime.session()
    busy.do("ping", status="HealthyBusy")
    busy.do("remember", value="kept")
    idle.do("remember", value="lost")
    running = len(server.left_processes())
    consistently("the idle session's machine", lambda: len(server.left_processes()) == running, 50)
    wait_until("the idle session to end", lambda: len(server.left_processes()) < running, 40)
    assert idle.do("recall") is None
    assert busy.do("recall") == "kept"
    for session in (idle, busy):
        session.stop()
    runtime.delete()


@pytest.mark.slow
def test_a_session_ends_at_its_lifetime_even_when_busy(aws: Aws) -> None:
    runtime = aws.deploy(
        agent_zip("toolbox"),
        lifecycleConfiguration={"idleRuntimeSessionTimeout": 60, "maxLifetime": 60},
    )
    session = runtime.session()
    session.do("ping", status="HealthyBusy")
    session.do("remember", value="lost")
    wait_until("the session's life to end", lambda: session.do("recall") is None, 90)
    session.stop_if_running()
    runtime.delete()
