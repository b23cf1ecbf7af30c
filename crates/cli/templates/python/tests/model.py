"""Tries the agent with the stub model: no key, no network."""

import asyncio
import os

os.environ["MODEL_URL"] = "stub"

import agent


def ask(prompt: str, history: list[dict[str, str]] | None = None) -> str:
    async def collect() -> str:
        return "".join([piece async for piece in agent.answer(prompt, history or [])])

    return asyncio.run(collect())


def test_it_answers() -> None:
    assert "Good morning" in ask("Good morning")


def test_it_knows_what_was_said_before() -> None:
    said = [{"role": "user", "content": "I like tea."}, {"role": "assistant", "content": "Good."}]
    assert "I like tea." in ask("What did I say?", said)
