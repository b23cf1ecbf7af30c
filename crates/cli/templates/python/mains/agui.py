"""Answers AG-UI clients: `POST /invocations` with server-sent events and `/ws`, on port 8080."""

import uuid

import agent
from ag_ui.core import (
    RunFinishedEvent,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from bedrock_agentcore.runtime.ag_ui import AGUIApp

app = AGUIApp()


@app.entrypoint
async def run(input_data):
    """Answers the last message; clients send those before it along."""
    messages = [
        {"role": message.role, "content": str(message.content)}
        for message in input_data.messages
        if message.role in ("user", "assistant") and message.content
    ]
    yield RunStartedEvent(thread_id=input_data.thread_id, run_id=input_data.run_id)
    if messages:
        message_id = str(uuid.uuid4())
        yield TextMessageStartEvent(message_id=message_id, role="assistant")
        async for piece in agent.answer(messages[-1]["content"], messages[:-1]):
            yield TextMessageContentEvent(message_id=message_id, delta=piece)
        yield TextMessageEndEvent(message_id=message_id)
    yield RunFinishedEvent(thread_id=input_data.thread_id, run_id=input_data.run_id)


if __name__ == "__main__":
    app.run()
