"""The agent, made with CrewAI. It answers in one piece: a crew's thoughts are not for the reader."""

from collections.abc import AsyncIterator

from crewai import Agent
from crewai.tools import tool
from model import model
from settings import PROMPT
from tools import TOOLS

agent = Agent(
    role="Assistant",
    goal=PROMPT,
    backstory="You work for one person at a time and remember what they said.",
    llm=model,
    tools=[tool(function.__name__)(function) for function in TOOLS],
)


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt."""
    result = await agent.kickoff_async([*history, {"role": "user", "content": prompt}])
    yield result.raw
