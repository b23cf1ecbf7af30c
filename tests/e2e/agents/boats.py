"""An MCP server on the official SDK. It keeps sessions, unless the environment says `STATELESS`."""

import os

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("boats")
memory = {"word": ""}


class Crossing(BaseModel):
    destination: str


@server.tool()
def remember(word: str) -> str:
    memory["word"] = word
    return word


@server.tool()
def recall() -> str:
    return memory["word"]


@server.tool()
def sink() -> str:
    raise ValueError("there is a hole")


@server.tool()
async def row(strokes: int, context: Context) -> str:
    for stroke in range(strokes):
        await context.report_progress(stroke + 1, strokes)
    return "there"


@server.tool()
async def cross(context: Context) -> str:
    answer = await context.elicit("Where to?", Crossing)
    return f"{answer.action}: {answer.data.destination}"


@server.tool()
async def think(about: str, context: Context) -> str:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=about))
    # Without the id the question would go to a stream that clients open with GET, which is not there.
    related = context.request_id
    answer = await context.session.create_message([message], max_tokens=10, related_request_id=related)
    return answer.content.text


server.run("streamable-http", host="0.0.0.0", port=8000, stateless_http=bool(os.environ.get("STATELESS")))
