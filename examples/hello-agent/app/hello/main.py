"""An agent that shows what a session is: it streams, remembers, and keeps files, all without a model.

Everything it knows lives in this process and in its working folder, so two sessions that saw each other's
notes or files would not be isolated.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

from bedrock_agentcore import BedrockAgentCoreApp

TOKEN_DELAY = float(os.environ.get("HELLO_TOKEN_DELAY", "0.05"))
NOTES = Path(os.environ.get("HELLO_NOTES", "notes"))
HELP = (
    "Try: 'What did I say?', 'write <name>: <text>', 'read <name>', 'list files', "
    "or anything else to have it remembered."
)

app = BedrockAgentCoreApp()
log = app.logger  # JSON lines that carry the request and session ids
prompts: list[str] = []


def recall() -> str:
    """What was said earlier in this session."""
    if not prompts:
        return "You have not said anything to me yet."
    said = "\n".join(f"{number}. {prompt}" for number, prompt in enumerate(prompts, start=1))
    return f"So far you said:\n{said}"


def note_path(name: str) -> Path:
    """Where the note of this name is kept; names cannot leave the folder."""
    return NOTES / re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:64]


def write_note(name: str, text: str) -> str:
    path = note_path(name)
    NOTES.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    log.info("wrote %s (%d bytes)", path, path.stat().st_size)
    return f"I wrote {len(text)} characters to {path}."


def read_note(name: str) -> str:
    path = note_path(name)
    if not path.is_file():
        return f"There is no {path} here."
    return f"{path} says: {path.read_text(encoding='utf-8').strip()}"


def list_notes() -> str:
    names = sorted(path.name for path in NOTES.iterdir()) if NOTES.is_dir() else []
    return f"My files: {', '.join(names)}." if names else "I have no files."


def answer(prompt: str) -> str:
    """The whole answer to one prompt."""
    if re.search(r"\bwhat did i say\b|\bremember\?", prompt, re.IGNORECASE):
        return recall()
    if match := re.match(r"write\s+(\S+?):?\s+(.+)", prompt, re.IGNORECASE | re.DOTALL):
        return write_note(match[1], match[2])
    if match := re.match(r"read\s+(\S+)", prompt, re.IGNORECASE):
        return read_note(match[1])
    if re.match(r"list\b.*\bfiles?\b|ls$", prompt, re.IGNORECASE):
        return list_notes()
    return f"Hello! You said: {prompt}\n{HELP}"


@app.entrypoint
async def invoke(payload: dict) -> AsyncIterator[str]:
    """Answers `{"prompt": "…"}` one token at a time."""
    prompt = str(payload.get("prompt", "")).strip() if isinstance(payload, dict) else ""
    if not prompt:
        yield 'Send me {"prompt": "…"}. ' + HELP
        return
    number = len(prompts) + 1
    log.info("invocation %d: %s", number, prompt)
    text = f"[{number}] {answer(prompt)}"
    prompts.append(prompt)
    for token in re.findall(r"\S+\s*", text):
        yield token
        await asyncio.sleep(TOKEN_DELAY)
    log.info("invocation %d answered", number)


if __name__ == "__main__":
    app.run()
