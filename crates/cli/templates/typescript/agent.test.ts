// Tries the agent with the stub model: no key, no network.

import assert from "node:assert/strict";
import { test } from "node:test";

process.env.MODEL_URL = "stub";

import { answer } from "../agent";
import type { Message } from "../memory";

async function ask(prompt: string, history: Message[] = []): Promise<string> {
  let whole = "";
  for await (const piece of answer(prompt, history)) whole += piece;
  return whole;
}

test("it answers", async () => {
  assert.match(await ask("Good morning"), /Good morning/);
});

test("it knows what was said before", async () => {
  const said: Message[] = [
    { role: "user", content: "I like tea." },
    { role: "assistant", content: "Good." },
  ];
  assert.match(await ask("What did I say?", said), /I like tea\./);
});
