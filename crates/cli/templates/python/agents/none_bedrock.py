"""The agent: a model and nothing else. Put your framework, or your own loop around the model, here."""

import asyncio
from collections.abc import AsyncIterator

import boto3
from settings import MODEL_ID, PROMPT, REGION

client = boto3.client("bedrock-runtime", region_name=REGION)


async def answer(prompt: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to a prompt, piece by piece."""
    said = [*history, {"role": "user", "content": prompt}]
    messages = [{"role": message["role"], "content": [{"text": message["content"]}]} for message in said]
    request = {"modelId": MODEL_ID, "system": [{"text": PROMPT}], "messages": messages}
    response = await asyncio.to_thread(client.converse_stream, **request)
    # boto3 blocks while it waits for the next event, so that happens in a thread.
    events = iter(response["stream"])
    while (event := await asyncio.to_thread(next, events, None)) is not None:
        if text := event.get("contentBlockDelta", {}).get("delta", {}).get("text"):
            yield text
