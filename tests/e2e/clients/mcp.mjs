// The MCP client of the TypeScript SDK, through everything it can do: `node mcp.mjs URL`, with credentials in
// the environment.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { signedFetch } from "./signing.mjs";

const capabilities = { sampling: {}, elicitation: {} };
const client = new Client({ name: "tests", version: "1" }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, () => ({
  action: "accept",
  content: { destination: "the other side" },
}));
client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
  const { content } = params.messages[0];
  const text = `a thought about ${(Array.isArray(content) ? content[0] : content).text}`;
  return { role: "assistant", model: "none", content: { type: "text", text } };
});
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]), { fetch: signedFetch });
await client.connect(transport);

const strokes = [];
async function call(name, args = {}) {
  const onprogress = ({ progress, total }) => strokes.push([progress, total]);
  const answer = await client.callTool({ name, arguments: args }, undefined, { onprogress });
  return [answer.isError ?? false, answer.content[0].text];
}

const { tools } = await client.listTools();
console.log(
  JSON.stringify({
    protocol: transport.protocolVersion,
    tools: tools.map(({ name }) => name).sort(),
    remember: await call("remember", { word: "tea" }),
    recall: await call("recall"),
    row: await call("row", { strokes: 3 }),
    strokes,
    cross: await call("cross"),
    think: await call("think", { about: "tea" }),
    sink: await call("sink"),
  }),
);
await transport.terminateSession();
await client.close();
