"""The A2A client of the SDK's first major version: `a2a_previous.py URL SESSION`."""

import asyncio
import json
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.helpers import create_text_message_object
from a2a.types import TaskArtifactUpdateEvent, TaskIdParams, TaskQueryParams
from signing import signed

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def message(text):
    return create_text_message_object(content=text)


def texts(artifacts):
    return [part.root.text for artifact in artifacts or [] for part in artifact.parts]


def words(events):
    updates = [update for _, update in events if isinstance(update, TaskArtifactUpdateEvent)]
    return texts(update.artifact for update in updates)


async def main(url, session):
    async with httpx.AsyncClient(auth=signed, headers={SESSION: session}, timeout=240) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        streaming = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        blocking = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)

        sent = [event async for event in blocking.send_message(message("one two"))][-1][0]
        streamed = [event async for event in streaming.send_message(message("three four"))]

        # A client that went away comes back to its task.
        task, _ = await anext(streaming.send_message(message("five six seven eight nine ten")))
        rest = [event async for event in streaming.resubscribe(TaskIdParams(id=task.id))]
        finished = await streaming.get_task(TaskQueryParams(id=task.id))
        print(
            json.dumps(
                {
                    "name": card.name,
                    "urls": [card.url],
                    "sent": texts(sent.artifacts),
                    "streamed": words(streamed),
                    "rest": words(rest),
                    "finished": finished.status.state.value,
                    "all": texts(finished.artifacts),
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
