"""The agent, made with Strands."""

from collections.abc import AsyncIterator

from model import model
from settings import PROMPT
from strands import Agent, tool
from tools import TOOLS


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    agent = Agent(
        model=model,
        system_prompt=PROMPT,
        tools=[tool(function) for function in TOOLS],
        messages=[{"role": message["role"], "content": [{"text": message["content"]}]} for message in history],
        callback_handler=None,
    )
    async for event in agent.stream_async(prompt):
        if "data" in event:
            yield event["data"]
