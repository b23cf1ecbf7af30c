"""Answers A2A clients: JSON-RPC at `/` and a card at `/.well-known/agent-card.json`, on port 9000."""

import os

import agent
from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.tasks import TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from bedrock_agentcore.runtime.a2a import serve_a2a
from memory import recall, remember


class Executor(AgentExecutor):
    """Gives each task to the agent."""

    async def execute(self, context, event_queue):
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        prompt, pieces = context.get_user_input(), []
        async for piece in agent.answer(prompt, recall(context.context_id)):
            first = not pieces
            pieces.append(piece)
            await updater.add_artifact([Part(text=piece)], artifact_id="answer", name="answer", append=not first)
        remember(context.context_id, prompt, "".join(pieces))
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card() -> AgentCard:
    """How clients find the agent; where, the platform knows."""
    url = os.environ.get("AGENTCORE_RUNTIME_URL", "http://localhost:9000/")
    skill = AgentSkill(id="answer", name="Answer", description="Answers questions", tags=["chat"])
    return AgentCard(
        name="{{name}}",
        description="Answers questions",
        version="1.0.0",
        capabilities=AgentCapabilities(streaming=True),
        skills=[skill],
        default_input_modes=["text"],
        default_output_modes=["text"],
        supported_interfaces=[
            AgentInterface(protocol_binding="JSONRPC", protocol_version=version, url=url) for version in ("1.0", "0.3")
        ],
    )


if __name__ == "__main__":
    serve_a2a(Executor(), card())
