// A stand-in for a model, to try and test the agent without a key or a network. It speaks as much of OpenAI's chat
// completions as the agent needs, on this machine's loopback only, inside the agent's own process. It understands
// nothing: it lists what the user said before, asked "What did I say?", and repeats the prompt otherwise.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const MILLISECONDS_BETWEEN_WORDS = 20;

interface Request {
  messages: { role: string; content: string }[];
}

/** What the model answers. */
export function decide(request: Request): string {
  const prompts = request.messages.filter(({ role }) => role === "user").map(({ content }) => content);
  const prompt = prompts.pop() ?? "";
  if (/what did i say/i.test(prompt)) {
    return prompts.length > 0 ? `You said: ${prompts.join(" / ")}` : "Nothing yet.";
  }
  return `I am a stub without a model. You said: ${prompt}`;
}

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const words = decide(JSON.parse(Buffer.concat(pieces).toString()) as Request).split(" ");
  response.writeHead(200, { "content-type": "text/event-stream" });
  const event = (delta: object, finish_reason: string | null = null): void => {
    const choices = [{ index: 0, delta, finish_reason }];
    const chunk = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model: "stub", choices };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  for (const [number, word] of words.entries()) {
    event({ content: number > 0 ? ` ${word}` : word });
    await sleep(MILLISECONDS_BETWEEN_WORDS);
  }
  event({}, "stop");
  response.end("data: [DONE]\n\n");
}

/** Starts the stub and returns its address. */
export function startStub(): Promise<string> {
  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      server.unref();
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}
