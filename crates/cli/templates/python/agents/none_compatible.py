"""The agent: a model and nothing else. Put your framework, or your own loop around the model, here."""

from collections.abc import AsyncIterator

# The client would import it at the first request of each session; now it is in the snapshot it begins from.
import openai.resources.chat  # noqa: F401
from openai import AsyncOpenAI
from settings import API_KEY, MODEL_ID, MODEL_URL, PROMPT

client = AsyncOpenAI(api_key=API_KEY, base_url=MODEL_URL)


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    messages = [{"role": "system", "content": PROMPT}, *history, {"role": "user", "content": prompt}]
    stream = await client.chat.completions.create(model=MODEL_ID, messages=messages, stream=True)
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield text
