"""The A2A client of the SDK's second major version: `a2a_current.py URL SESSION`."""

import asyncio
import json
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageRequest, SubscribeToTaskRequest, TaskState
from signing import signed

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def message(text):
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))


def words(events):
    return [part.text for event in events for part in event.artifact_update.artifact.parts]


async def main(url, session):
    async with httpx.AsyncClient(auth=signed, headers={SESSION: session}, timeout=240) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        streaming = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        blocking = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)

        sent = [event async for event in blocking.send_message(message("one two"))][-1].task
        streamed = [event async for event in streaming.send_message(message("three four"))]

        # A client that went away comes back to its task.
        async for event in streaming.send_message(message("five six seven eight nine ten")):
            task = event.task.id
            break
        rest = [event async for event in streaming.subscribe(SubscribeToTaskRequest(id=task))]
        finished = await streaming.get_task(GetTaskRequest(id=task))
        print(
            json.dumps(
                {
                    "name": card.name,
                    "urls": [interface.url for interface in card.supported_interfaces],
                    "sent": [part.text for artifact in sent.artifacts for part in artifact.parts],
                    "streamed": words(streamed),
                    "rest": words(rest),
                    "finished": TaskState.Name(finished.status.state),
                    "all": [part.text for artifact in finished.artifacts for part in artifact.parts],
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
