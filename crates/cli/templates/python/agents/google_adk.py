"""The agent, made with Google's Agent Development Kit."""

from collections.abc import AsyncIterator

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.events import Event
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.genai.types import Content, Part
from model import model
from settings import PROMPT
from tools import TOOLS

NAME = "assistant"
USER = "user"

agent = LlmAgent(name=NAME, model=model, instruction=PROMPT, tools=list(TOOLS))


def message(role: str, text: str) -> Content:
    return Content(role=USER if role == "user" else "model", parts=[Part(text=text)])


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    sessions = InMemorySessionService()
    session = await sessions.create_session(app_name=NAME, user_id=USER)
    for said in history:
        author = USER if said["role"] == "user" else NAME
        await sessions.append_event(session, Event(author=author, content=message(said["role"], said["content"])))
    runner = Runner(app_name=NAME, agent=agent, session_service=sessions)
    events = runner.run_async(
        user_id=USER,
        session_id=session.id,
        new_message=message("user", prompt),
        run_config=RunConfig(streaming_mode=StreamingMode.SSE),
    )
    async for event in events:
        # The whole text comes once more at the end.
        if event.partial and event.content:
            for part in event.content.parts or []:
                if part.text and not part.thought:
                    yield part.text
