"""The agent, made with LangChain and LangGraph."""

from collections.abc import AsyncIterator

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from model import model
from settings import PROMPT
from tools import TOOLS

agent = create_agent(model, TOOLS, system_prompt=PROMPT)


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    messages = [*history, {"role": "user", "content": prompt}]
    async for message, _ in agent.astream({"messages": messages}, stream_mode="messages"):
        if isinstance(message, AIMessage) and message.text:
            yield str(message.text)
