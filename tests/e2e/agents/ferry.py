"""An A2A agent on the `bedrock-agentcore` SDK: it answers word by word, for clients of both versions of A2A."""

import asyncio
import os

from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.tasks import TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from bedrock_agentcore.runtime.a2a import serve_a2a

PAUSE = 0.4


class Ferry(AgentExecutor):
    async def execute(self, context, event_queue):
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        for word in context.get_user_input().split():
            await asyncio.sleep(PAUSE)
            await updater.add_artifact([Part(text=word)], name="word")
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


# Where clients find the agent, which the platform knows.
url = os.environ.get("AGENTCORE_RUNTIME_URL", "http://localhost:9000/")
interfaces = [
    AgentInterface(protocol_binding="JSONRPC", protocol_version=version, url=url) for version in ("1.0", "0.3")
]
card = AgentCard(
    name="ferry",
    description="Brings words across",
    version="1.0.0",
    capabilities=AgentCapabilities(streaming=True),
    skills=[AgentSkill(id="cross", name="cross", description="Brings words across", tags=["words"])],
    default_input_modes=["text"],
    default_output_modes=["text"],
    supported_interfaces=interfaces,
)
serve_a2a(Ferry(), card)
