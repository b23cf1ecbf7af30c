// Answers `POST /invocations` and `GET /ping` on port 8080.

import { BedrockAgentCoreApp } from "bedrock-agentcore/runtime";
import { z } from "zod";

import { answer } from "./agent";
import { recall, remember } from "./memory";

const app = new BedrockAgentCoreApp({
  invocationHandler: {
    requestSchema: z.object({ prompt: z.string().min(1) }),
    // Answers `{"prompt": "…"}` piece by piece.
    process: async function* ({ prompt }, { sessionId }) {
      let whole = "";
      for await (const piece of answer(prompt, recall(sessionId))) {
        whole += piece;
        yield { data: piece };
      }
      remember(sessionId, prompt, whole);
    },
  },
});

app.run();
