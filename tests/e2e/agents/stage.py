"""An AG-UI agent on the `bedrock-agentcore` SDK: it says a message word by word, over both transports."""

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
    said = input_data.messages[-1].content
    yield RunStartedEvent(thread_id=input_data.thread_id, run_id=input_data.run_id)
    yield TextMessageStartEvent(message_id="m1", role="assistant")
    for word in said.split():
        if word == "fall":
            raise RuntimeError("the stage is too small")
        yield TextMessageContentEvent(message_id="m1", delta=f"{word} ")
    yield TextMessageEndEvent(message_id="m1")
    yield RunFinishedEvent(thread_id=input_data.thread_id, run_id=input_data.run_id)


app.run()
