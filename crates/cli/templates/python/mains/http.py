"""Answers `POST /invocations` and `GET /ping` on port 8080."""

from collections.abc import AsyncIterator

import agent
from bedrock_agentcore import BedrockAgentCoreApp
from memory import recall, remember

app = BedrockAgentCoreApp()


@app.entrypoint
async def invoke(payload: dict, context) -> AsyncIterator[str]:
    """Answers `{"prompt": "…"}` piece by piece."""
    prompt = str(payload.get("prompt", "")).strip()
    if not prompt:
        yield 'Send {"prompt": "…"}.'
        return
    pieces = []
    async for piece in agent.answer(prompt, recall(context.session_id)):
        pieces.append(piece)
        yield piece
    remember(context.session_id, prompt, "".join(pieces))


if __name__ == "__main__":
    app.run()
