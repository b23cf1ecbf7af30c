"""The agent, made with the OpenAI Agents SDK."""

from collections.abc import AsyncIterator

from agents import Agent, Runner, function_tool, set_tracing_disabled
from model import model
from openai.types.responses import ResponseTextDeltaEvent
from settings import PROMPT
from tools import TOOLS

# Traces would be sent to OpenAI.
set_tracing_disabled(True)
agent = Agent(name="assistant", instructions=PROMPT, model=model, tools=[function_tool(tool) for tool in TOOLS])


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    run = Runner.run_streamed(agent, [*history, {"role": "user", "content": prompt}])
    async for event in run.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            yield event.data.delta
