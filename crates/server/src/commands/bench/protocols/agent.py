"""The agent that `coracle bench protocols` talks to: as many bytes as it is asked for, and an echo."""

from bedrock_agentcore import BedrockAgentCoreApp
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

PIECE = bytes(64 * 1024)

app = BedrockAgentCoreApp()


@app.entrypoint
def invoke(payload):
    return "x" * payload["bytes"]


def download(request):
    """So many bytes, in pieces as large as the frames of the WebSocket."""
    pieces = int(request.query_params["bytes"]) // len(PIECE)
    return StreamingResponse((PIECE for _ in range(pieces)), media_type="application/octet-stream")


@app.websocket
async def talk(websocket, context):
    """Echoes; `{"frames": N, "bytes": M}` asks for N frames of M bytes instead."""
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive_json()
            if "frames" not in message:
                await websocket.send_json(message)
            for _ in range(message.get("frames", 0)):
                await websocket.send_bytes(PIECE[: message["bytes"]])
    except WebSocketDisconnect:
        pass


app.add_route("/download", download)

if __name__ == "__main__":
    app.run()
