"use strict";
// Talks to the agent: one way of asking and of understanding for each protocol. What comes back is not shown from
// here but from the journal, like the requests of everybody else.

const SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id";
const json = (text) => { try { return JSON.parse(text); } catch { return undefined; } };
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const fresh = () => crypto.randomUUID();

const TEXT = (text) => ({ text });
const CHIP = (chip) => ({ chip });
const FAILED = (failed) => ({ failed });

// What one event or body means: pieces of text, of data, or a failure.
const MEANING = {
  HTTP(value) {
    if (typeof value === "string") return [TEXT(value)];
    if (!isObject(value)) return [{ data: value }];
    if (value.error_type) return [FAILED(`${value.error_type}: ${value.error}`)];
    const block = isObject(value.event) ? value.event : value;
    const delta = block.contentBlockDelta?.delta?.text;
    if (delta !== undefined) return [TEXT(delta)];
    const tool = block.contentBlockStart?.start?.toolUse?.name;
    if (tool !== undefined) return [CHIP(tool)];
    const known = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];
    return known.some((name) => name in block) ? [] : [{ data: value }];
  },
  AGUI(value) {
    switch (value?.type) {
      case "TEXT_MESSAGE_CONTENT": case "TEXT_MESSAGE_CHUNK": return [TEXT(value.delta ?? "")];
      case "TEXT_MESSAGE_END": return [TEXT("\n")];
      case "TOOL_CALL_START": return [CHIP(value.toolCallName)];
      case "RUN_ERROR": return [FAILED(value.message)];
      default: return [];
    }
  },
  A2A(value) {
    if (value?.error) return [FAILED(`${value.error.message} (code ${value.error.code})`)];
    const texts = [];
    const collect = (part) => {
      if (!part || typeof part !== "object") return;
      for (const [name, member] of Object.entries(part)) {
        if (name === "parts") texts.push(member.flatMap?.(({ text }) => text ?? []).join(part.artifactId ? "" : "\n") ?? "");
        else if (name !== "history" && name !== "metadata") collect(member);
      }
    };
    collect(value?.result);
    // Further pieces of an artifact go on where the one before them ended.
    const goesOn = (value?.result?.artifactUpdate ?? value?.result)?.append === true;
    return texts.filter((text) => text !== "").map((text) => (goesOn ? TEXT(text) : { text, ownLine: true }));
  },
  MCP(value) { return [{ data: value }]; },
};

// The pieces that the agent said in a trace, in order.
function saidIn(trace, protocol) {
  const status = Number(trace.status);
  const meaning = MEANING[protocol];
  const pieces = [];
  let body = "";
  for (const step of trace.steps) {
    if (step.kind === "event") {
      const value = json(step.text);
      pieces.push(...(value === undefined ? [TEXT(step.text)] : meaning(value)));
    } else if (step.kind === "data") {
      body += step.text;
    }
  }
  if (body) {
    const value = json(body);
    pieces.push(...(value === undefined ? [TEXT(body)] : meaning(value)));
  }
  for (const [number, piece] of pieces.entries()) {
    const before = pieces[number - 1]?.text;
    if (piece.ownLine && before !== undefined && !before.endsWith("\n")) piece.text = `\n${piece.text}`;
  }
  if (status >= 400) {
    const reason = trace.steps.findLast((step) => step.kind === "answer" || step.kind === "end");
    const ended = trace.steps.findLast((step) => step.kind === "end" && step.text !== "failed");
    pieces.push(FAILED((ended ?? reason)?.text ?? `HTTP ${status}`));
  }
  return pieces;
}

// What somebody asked in a trace.
function askedIn(trace) {
  const text = trace.steps[0]?.text ?? "";
  const body = json(text);
  const message = body?.params?.message ?? body?.messages?.at(-1);
  const parts = message?.parts?.map((part) => part.text).filter(Boolean).join("\n");
  return parts || message?.content || body?.prompt || (body?.method && `${body.method} ${body.params?.name ?? ""}`) || text;
}

function bodyFor(protocol, text, session, earlier, card) {
  const given = json(text);
  if (isObject(given)) return given;
  if (protocol === "AGUI") {
    const message = (role, content) => ({ id: fresh(), role, content });
    const messages = [];
    for (const trace of earlier) {
      messages.push(message("user", askedIn(trace)));
      const answer = saidIn(trace, protocol).map((piece) => piece.text ?? "").join("");
      if (answer) messages.push(message("assistant", answer));
    }
    messages.push(message("user", text));
    return { threadId: session, runId: fresh(), messages, state: {}, tools: [], context: [], forwardedProps: {} };
  }
  if (protocol === "A2A") {
    const streams = card?.capabilities?.streaming === true;
    const message = isV1(card)
      ? { messageId: fresh(), role: "ROLE_USER", parts: [{ text }] }
      : { kind: "message", messageId: fresh(), role: "user", parts: [{ kind: "text", text }] };
    const methods = isV1(card) ? ["SendMessage", "SendStreamingMessage"] : ["message/send", "message/stream"];
    return { jsonrpc: "2.0", id: "1", method: methods[Number(streams)], params: { message } };
  }
  return { prompt: text };
}

const isV1 = (card) => (card?.supportedInterfaces ?? []).some((each) => each.protocolVersion?.startsWith("1"));

// Sends a prompt; resolves when the answer is complete.
async function ask(protocol, text, session, earlier, card) {
  const headers = { "Content-Type": "application/json", Accept: "application/json, text/event-stream", [SESSION]: session };
  if (protocol === "A2A" && isV1(card)) headers["A2A-Version"] = "1.0";
  const body = JSON.stringify(bodyFor(protocol, text, session, earlier, card));
  const response = await fetch("/invocations", { method: "POST", headers, body });
  await response.text();
}

// An MCP server, initialized once.
class McpServer {
  #headers = { "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
  #requests = 0;

  constructor(session) {
    this.#headers[SESSION] = session;
  }

  async open() {
    const clientInfo = { name: "agentcore dev", version: "1" };
    const parameters = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
    const { result, session } = await this.#send("initialize", parameters, 0);
    if (session) this.#headers["Mcp-Session-Id"] = session;
    this.#headers["MCP-Protocol-Version"] = result.protocolVersion;
    await this.#send("notifications/initialized");
    return this;
  }

  async tools() {
    const tools = [];
    let cursor;
    do {
      const { result } = await this.#send("tools/list", cursor ? { cursor } : {}, ++this.#requests);
      tools.push(...result.tools);
      cursor = result.nextCursor;
    } while (cursor);
    return tools;
  }

  async call(name, input) {
    return (await this.#send("tools/call", { name, arguments: input }, ++this.#requests)).result;
  }

  async #send(method, params, id) {
    const body = JSON.stringify({ jsonrpc: "2.0", method, params, id });
    const response = await fetch("/mcp", { method: "POST", headers: this.#headers, body });
    const text = await response.text();
    if (id === undefined) return {};
    const events = text.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => json(line.slice(5)));
    const answer = [json(text), ...events].find((message) => message?.id === id);
    if (!answer) throw new Error(json(text)?.message ?? `${response.status} ${text}`);
    if (answer.error) throw new Error(answer.error.message);
    return { result: answer.result, session: response.headers.get("Mcp-Session-Id") };
  }
}
