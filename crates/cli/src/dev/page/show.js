// Shows what the journal tells: state, sessions, conversation, traces, output. All text is put in as text, never as
// markup.

const at = (id) => document.getElementById(id);
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const took = (milliseconds) =>
  milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(milliseconds < 10000 ? 2 : 1)} s`;

const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

const known = { protocol: "HTTP", traces: new Map(), lines: 0, session: fresh(), chosen: undefined, card: undefined };
const tracesOf = (session) => [...known.traces.values()].filter((trace) => trace.session === session);
const isQuestion = (trace) => trace.request.startsWith("POST");
const chosenTrace = () => known.traces.get(known.chosen) ?? tracesOf(known.session).at(-1);

// Many events may come at once; the page is drawn once for all of them.
let drawn = false;
function draw() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    drawSessions();
    drawMessages();
    drawTrace();
    drawEvents();
  });
}

function drawSessions() {
  const first = new Map();
  const asked = [...known.traces.values()].filter(isQuestion);
  for (const trace of asked) if (!first.has(trace.session)) first.set(trace.session, trace);
  if (!first.has(known.session)) first.set(known.session, undefined);
  const items = [...first].reverse().map(([session, trace]) => {
    const title = trace ? askedIn(trace) : "new session";
    const button = element("button", { type: "button", title: session },
      element("span", { className: "first", textContent: title }), element("small", { textContent: session.slice(0, 8) }));
    button.setAttribute("aria-current", String(session === known.session));
    button.onclick = () => { known.session = session; known.chosen = undefined; draw(); };
    return element("li", {}, button);
  });
  at("sessions").replaceChildren(...items);
}

function pieceShown(piece) {
  if (piece.text !== undefined) return document.createTextNode(piece.text);
  if (piece.chip !== undefined) return element("span", { className: "chip", textContent: `⚙ ${piece.chip}` });
  if (piece.failed !== undefined) return element("span", { className: "failed", textContent: piece.failed });
  return element("pre", { textContent: JSON.stringify(piece.data, undefined, 2) });
}

function drawMessages() {
  const list = at("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const chosen = chosenTrace();
  const shown = tracesOf(known.session).filter(isQuestion).flatMap((trace) => {
    const open = trace.took === null;
    const facts = open ? "…" : `${trace.status ?? "–"} · ${took(trace.took)}`;
    const agent = element("div", { className: `said agent${open ? " open" : ""}${trace === chosen ? " chosen" : ""}` },
      ...saidIn(trace, known.protocol).map(pieceShown), element("footer", { textContent: facts }));
    agent.onclick = () => { known.chosen = trace.id; draw(); };
    return [element("div", { className: "said user", textContent: askedIn(trace) }), agent];
  });
  const hint = "Nothing has been said in this session. What you say here, and what others send to this agent, appears here.";
  list.replaceChildren(...(shown.length ? shown : [element("p", { className: "empty", textContent: hint })]));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

// Steps as stretches of time: waiting, streaming, what AG-UI events open and close, and points for output.
function spansOf(trace) {
  const end = trace.took ?? trace.steps.at(-1)?.at ?? 0;
  const spans = [];
  const open = new Map();
  let run;
  const push = (name, from, to, kind = "") => { const span = { name, from, to, kind }; spans.push(span); return span; };
  for (const step of trace.steps) {
    if (step.kind === "answer") push("until the answer began", 0, step.at, Number(trace.status) >= 400 ? "failed" : "wait");
    if (step.kind === "output") push(step.text, step.at, step.at, "output");
    if (step.kind !== "event" && step.kind !== "data") continue;
    const event = json(step.text);
    const [, name, edge] = /^(\w+)_(START|STARTED|END|FINISHED|ERROR)$/.exec(event?.type ?? "") ?? [];
    const key = `${name} ${event?.toolCallId ?? event?.messageId ?? event?.stepName ?? ""}`;
    if (edge?.startsWith("START")) {
      const what = event.toolCallName ?? event.stepName ?? "";
      open.set(key, push(`${name.toLowerCase().replaceAll("_", " ")} ${what}`, step.at, end));
      run = undefined;
    } else if (edge && open.has(key)) {
      Object.assign(open.get(key), { to: step.at, kind: edge === "ERROR" ? "failed" : "" });
      run = undefined;
    } else if (run) {
      run.to = step.at;
      run.count += 1;
      run.name = `${run.count} ${step.kind === "event" ? "events" : "pieces"}`;
    } else {
      run = push(step.kind === "event" ? "1 event" : "1 piece", step.at, step.at);
      run.count = 1;
    }
  }
  return { spans, end: Math.max(end, 1) };
}

function facts(pairs) {
  return element("dl", { className: "facts" }, ...pairs.map(([name, value]) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
}

function drawTrace() {
  const trace = chosenTrace();
  if (!trace) return at("trace").replaceChildren(element("p", { className: "empty", textContent: "No request yet." }));
  const { spans, end: answered } = spansOf(trace);
  const own = ownSpansOf(trace);
  const end = Math.max(answered, ...own.map(({ to }) => to));
  const head = facts([
    ["request", trace.request], ["status", trace.status ?? "…"], ["took", trace.took === null ? "…" : took(trace.took)],
    ["began", clock(trace.started)], ["session", trace.session],
  ]);
  const rows = spans.map((span) => spanShown(span, end));
  if (own.length) rows.push(element("h2", { textContent: "What the agent tells of itself" }));
  rows.push(...own.flatMap((span) => ownSpanShown(span, end)));
  at("trace").replaceChildren(head, ...rows);
}

function spanShown(span, end) {
  const bar = element("div", { className: `bar ${span.kind}` });
  bar.style.left = `${(100 * span.from) / end}%`;
  bar.style.width = `${(100 * (span.to - span.from)) / end}%`;
  const when = span.to > span.from ? took(span.to - span.from) : `+${took(span.from)}`;
  return element("div", { className: "span", title: span.name },
    element("span", { className: "what", textContent: span.name }),
    element("div", { className: "track" }, bar), element("span", { className: "when", textContent: when }));
}

// The agent's own spans, each below the one it is part of.
function ownSpansOf(trace) {
  const spans = [...trace.spans].sort((one, other) => one.from - other.from);
  const ids = new Set(spans.map(({ id }) => id));
  const below = new Map();
  for (const span of spans) {
    const parent = ids.has(span.parent) && span.parent !== span.id ? span.parent : "";
    below.set(parent, [...(below.get(parent) ?? []), span]);
  }
  const ordered = [];
  const visit = (parent, depth) => {
    const children = below.get(parent) ?? [];
    below.delete(parent);
    for (const span of children) {
      ordered.push({ ...span, depth, kind: span.failed ? "failed" : "own" });
      visit(span.id, depth + 1);
    }
  };
  visit("", 0);
  return ordered;
}

function ownSpanShown(span, end) {
  const row = spanShown(span, end);
  row.classList.add("own");
  row.querySelector(".what").style.paddingLeft = `${Math.min(span.depth, 8) * 0.7}rem`;
  row.onclick = () => { known.unfolded = known.unfolded === span.id ? undefined : span.id; draw(); };
  const unfolded = known.unfolded === span.id && span.attributes.length > 0;
  return unfolded ? [row, facts(span.attributes)] : [row];
}

function drawEvents() {
  const trace = chosenTrace();
  const rows = (trace?.steps ?? []).map((step) => element("div", { className: "row" },
    element("time", { textContent: `+${took(step.at)}` }),
    element("span", {}, element("b", { textContent: step.kind }), step.text)));
  if (trace?.more) rows.push(element("p", { className: "empty", textContent: `${trace.more} more were not kept` }));
  at("events").replaceChildren(...rows);
}

function addLine(line) {
  const list = at("output");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const serious = /^(ERROR|CRITICAL|FATAL|Traceback)/.test(line.text) ? "error" : /^WARN/.test(line.text) ? "warn" : "";
  list.append(element("div", { className: `row ${serious}`, title: line.line },
    element("time", { textContent: clock(line.time) }), element("span", { textContent: line.text })));
  if (++known.lines > 2000) { list.firstChild.remove(); known.lines -= 1; }
  if (atEnd) list.scrollTop = list.scrollHeight;
}

let before;
function drawState({ phase, detail }) {
  const words = { preparing: "preparing", starting: "starting", ready: "ready", busy: "busy", failed: "failed" };
  at("state").textContent = words[phase];
  at("state").className = `pill ${phase}`;
  at("detail").textContent = phase === "failed" ? detail : "";
  if (phase === "ready" && before !== "ready") becameReady();
  before = phase;
}

async function becameReady() {
  if (known.protocol === "A2A") {
    const response = await fetch("/.well-known/agent-card.json");
    known.card = await response.json();
    const { name = "", description = "", version = "", skills = [] } = known.card;
    at("card").replaceChildren(facts([["name", name], ["version", version], ["skills", skills.map((skill) => skill.name).join(", ")]]),
      element("p", { textContent: description }), element("pre", { textContent: JSON.stringify(known.card, undefined, 2) }));
  }
  if (known.protocol === "MCP") {
    try {
      const server = await new McpServer(known.session).open();
      at("tools").replaceChildren(...(await server.tools()).map((tool) => toolShown(server, tool)));
    } catch (error) {
      at("tools").replaceChildren(element("p", { className: "empty", textContent: String(error.message) }));
    }
  }
}

function toolShown(server, tool) {
  const properties = Object.entries(tool.inputSchema?.properties ?? {});
  const inputs = properties.map(([name, { type = "any" }]) => {
    const required = tool.inputSchema.required?.includes(name) ?? false;
    return [name, type, element("input", { name, required, placeholder: type })];
  });
  const result = element("pre", { hidden: true });
  const form = element("form", { className: "tool" }, element("h2", { textContent: tool.name }),
    element("p", { textContent: tool.description ?? "" }),
    ...inputs.map(([name, , input]) => element("label", {}, element("span", { textContent: name }), input)),
    element("button", { className: "call", textContent: "Call" }), result);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const given = inputs.filter(([, , input]) => input.value !== "")
      .map(([name, type, { value }]) => [name, type === "string" ? value : json(value) ?? value]);
    result.hidden = false;
    result.textContent = "…";
    try {
      const answer = await server.call(tool.name, Object.fromEntries(given));
      const texts = answer.content?.map((part) => part.text);
      result.textContent = texts?.every((text) => text !== undefined) ? texts.join("\n") : JSON.stringify(answer, undefined, 2);
    } catch (error) {
      result.textContent = error.message;
    }
  };
  return form;
}

const EVENTS = {
  state: drawState,
  line: addLine,
  trace(trace) { known.traces.set(trace.id, trace); draw(); },
  step({ trace, step }) {
    const told = known.traces.get(trace);
    if (!told) return;
    told.steps.push(step);
    if (step.kind === "answer") told.status = parseInt(step.text, 10);
    draw();
  },
  span({ trace, span }) {
    known.traces.get(trace)?.spans.push(span);
    draw();
  },
};

function listen() {
  const source = new EventSource("/_dev/events");
  source.onopen = () => { at("output").replaceChildren(); known.lines = 0; known.traces.clear(); };
  source.onmessage = ({ data }) => { const event = JSON.parse(data); EVENTS[event.type]?.(event); };
  source.onerror = () => { at("state").textContent = "agentcore dev has ended"; at("state").className = "pill failed"; };
}

async function begin() {
  const status = await (await fetch("/_dev/status")).json();
  known.protocol = status.protocol;
  document.title = `${status.runtime} · agentcore dev`;
  at("name").textContent = status.runtime;
  at("protocol").textContent = status.protocol;
  at("address").textContent = location.host;
  at("messages").hidden = at("composer").hidden = status.protocol === "MCP";
  at("tools").hidden = status.protocol !== "MCP";
  document.querySelector("[data-tab=card]").hidden = status.protocol !== "A2A";
  listen();
  draw();
}

at("new").onclick = () => { known.session = fresh(); known.chosen = undefined; draw(); at("prompt").focus(); };
at("composer").onsubmit = async (event) => {
  event.preventDefault();
  const text = at("prompt").value.trim();
  if (!text) return;
  at("prompt").value = "";
  known.chosen = undefined;
  at("send").disabled = true;
  try {
    await ask(known.protocol, text, known.session, tracesOf(known.session), known.card);
  } catch (error) {
    at("detail").textContent = error.message;
  } finally {
    at("send").disabled = false;
    at("prompt").focus();
  }
};
at("prompt").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); at("composer").requestSubmit(); }
};
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.onclick = () => {
    for (const other of document.querySelectorAll("[role=tab]")) {
      other.setAttribute("aria-selected", String(other === tab));
      at(other.dataset.tab).hidden = other !== tab;
    }
  };
}
begin();
