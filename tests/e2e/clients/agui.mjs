// The AG-UI client: `node agui.mjs URL SESSION TEXT`. Prints the events of a run, and what the client made of them.

import { HttpAgent } from "@ag-ui/client";
import { signedFetch } from "./signing.mjs";

const [url, session, text] = process.argv.slice(2);
const agent = new HttpAgent({
  url,
  fetch: signedFetch,
  headers: { "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session },
  threadId: "thread",
  initialMessages: [{ id: "u1", role: "user", content: text }],
});
const events = [];
let failure = null;
const subscriber = {
  onEvent: ({ event }) => void events.push(event.type),
  onRunErrorEvent: ({ event }) => void (failure = event.message),
};
try {
  await agent.runAgent({}, subscriber);
} catch (error) {
  failure ??= error.message;
}
console.log(JSON.stringify({ events, failure, messages: agent.messages.map(({ content }) => content) }));
