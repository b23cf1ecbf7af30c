"""The MCP client of the SDK's second major version, through everything it can do: `mcp_current.py URL MODE SESSION`.

`MODE` is `legacy` or a version of the protocol without sessions, in which case `SESSION` keeps the server's.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CreateMessageResult, ElicitResult, TextContent
from signing import signed


async def elicited(context, params):
    return ElicitResult(action="accept", content={"destination": "the other side"})


async def sampled(context, params):
    said = params.messages[0].content.text
    content = TextContent(type="text", text=f"a thought about {said}")
    return CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")


async def main(url, mode, session):
    headers = {} if mode == "legacy" else {"Mcp-Session-Id": session}
    http = httpx2.AsyncClient(auth=signed, timeout=120, headers=headers)
    callbacks = {"sampling_callback": sampled, "elicitation_callback": elicited}
    async with http, Client(streamable_http_client(url, http_client=http), mode=mode, **callbacks) as client:
        strokes = []

        async def progress(done, total, message):
            strokes.append([done, total])

        async def call(tool, **arguments):
            answer = await client.call_tool(tool, arguments, progress_callback=progress)
            return [bool(answer.is_error), answer.content[0].text]

        tools = await client.list_tools()
        print(
            json.dumps(
                {
                    "protocol": client.protocol_version,
                    "tools": sorted(tool.name for tool in tools.tools),
                    "remember": await call("remember", word="tea"),
                    "recall": await call("recall"),
                    "row": await call("row", strokes=3),
                    "strokes": strokes,
                    "cross": await call("cross") if mode == "legacy" else None,
                    "think": await call("think", about="tea") if mode == "legacy" else None,
                    "sink": await call("sink"),
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
