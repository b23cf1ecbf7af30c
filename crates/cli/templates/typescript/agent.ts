// The agent: a model and nothing else. Put your framework, or your own loop around the model, here.

import OpenAI from "openai";

import type { Message } from "./memory";
import { model, PROMPT } from "./settings";

/** The answer to a prompt, piece by piece. */
export async function* answer(prompt: string, history: Message[]): AsyncGenerator<string> {
  const { id, url, key } = await model();
  const client = new OpenAI({ apiKey: key, baseURL: url });
  const stream = await client.chat.completions.create({
    model: id,
    messages: [{ role: "system", content: PROMPT }, ...history, { role: "user", content: prompt }],
    stream: true,
  });
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta?.content;
    if (text) yield text;
  }
}
