"""An agent with a WebSocket, on the `bedrock-agentcore` SDK: it echoes unless a message is `{"do": "<command>", …}`."""

import asyncio
import json
import os

from bedrock_agentcore import BedrockAgentCoreApp
from starlette.websockets import WebSocketDisconnect

app = BedrockAgentCoreApp()
closings = []


@app.entrypoint
def invoke(payload):
    """How clients' connections have ended, as the agent saw it."""
    return {"closings": closings}


async def obey(websocket, do, **arguments):
    if do == "headers":
        await websocket.send_json(dict(websocket.headers))
    elif do == "close":
        await websocket.close(arguments["code"], arguments["reason"])
    elif do == "send":
        await websocket.send_bytes(bytes(arguments["bytes"]))
    elif do == "flood":
        sent = 0
        while sent < arguments["bytes"]:
            await websocket.send_bytes(bytes(60_000))
            sent += 60_000
        await websocket.send_text("done")
    elif do == "sleep":
        await asyncio.sleep(arguments["seconds"])
    elif do == "exit":
        os._exit(arguments["code"])


@app.websocket
async def talk(websocket, context):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
            text = message.get("text")
            if text is None:
                await websocket.send_bytes(message["bytes"])
            elif text.startswith('{"do"'):
                await obey(websocket, **json.loads(text))
            else:
                await websocket.send_text(text)
    except WebSocketDisconnect as end:
        closings.append({"code": end.code, "reason": end.reason or ""})


app.run()
