"""The MCP client of the SDK's first major version, through everything it can do: `mcp_previous.py URL`."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CreateMessageResult, ElicitResult, TextContent
from signing import signed


async def elicited(context, params):
    return ElicitResult(action="accept", content={"destination": "the other side"})


async def sampled(context, params):
    said = params.messages[0].content.text
    content = TextContent(type="text", text=f"a thought about {said}")
    return CreateMessageResult(role="assistant", content=content, model="none", stopReason="endTurn")


async def main(url):
    async with (
        streamablehttp_client(url, auth=signed, timeout=120) as (read, write, _),
        ClientSession(read, write, sampling_callback=sampled, elicitation_callback=elicited) as session,
    ):
        begun = await session.initialize()
        strokes = []

        async def progress(done, total, message):
            strokes.append([done, total])

        async def call(tool, **arguments):
            answer = await session.call_tool(tool, arguments, progress_callback=progress)
            return [answer.isError, answer.content[0].text]

        tools = await session.list_tools()
        print(
            json.dumps(
                {
                    "protocol": begun.protocolVersion,
                    "tools": sorted(tool.name for tool in tools.tools),
                    "remember": await call("remember", word="tea"),
                    "recall": await call("recall"),
                    "row": await call("row", strokes=3),
                    "strokes": strokes,
                    "cross": await call("cross"),
                    "think": await call("think", about="tea"),
                    "sink": await call("sink"),
                }
            )
        )


asyncio.run(main(sys.argv[1]))
