"""InvokeAgentRuntimeCommand: commands beside an agent."""

from typing import Any

from harness.aws import AgentSession


def start(session: AgentSession, command: str, **body: Any) -> Any:
    """The events of a command as they come."""
    answer = session.runtime.aws.data.invoke_agent_runtime_command(
        agentRuntimeArn=session.runtime.arn, runtimeSessionId=session.id, body={"command": command, **body}
    )
    assert answer["contentType"] == "application/vnd.amazon.eventstream"
    assert answer["runtimeSessionId"] == session.id
    return answer["stream"]


def run(session: AgentSession, command: str, **body: Any) -> tuple[str, str, dict[str, Any]]:
    """Standard output, standard error and the end."""
    chunks = [event["chunk"] for event in start(session, command, **body)]
    assert chunks[0] == {"contentStart": {}}
    said = {"stdout": "", "stderr": ""}
    for chunk in chunks[1:-1]:
        for name, text in chunk["contentDelta"].items():
            said[name] += text
    return said["stdout"], said["stderr"], chunks[-1]["contentStop"]
