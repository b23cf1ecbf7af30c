"""A stand-in for a model, to try and test the agent without a key or a network.

It speaks as much of two wire formats as agents need: OpenAI's chat completions and Amazon Bedrock's Converse, whole
and streamed. It listens on this machine's loopback only, inside the agent's own process, so it works in a sandbox
without a network as well. It understands nothing. It

- calls a tool to add two numbers, if it is offered one and asked to "add 2 and 3", and tells what the tool answered;
- lists what the user said before, asked "What did I say?";
- repeats the prompt otherwise.

`python stub_model.py 9000` runs it on a port of its own.
"""

import json
import re
import struct
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL_ID = "stub"
SECONDS_BETWEEN_WORDS = 0.02


@dataclass
class Conversation:
    """What a request says, whichever format it came in."""

    prompts: list[str] = field(default_factory=list)
    tool_result: str | None = None
    tools: list[str] = field(default_factory=list)


@dataclass
class Answer:
    """Either words, or a tool to call."""

    words: list[str] = field(default_factory=list)
    tool: str = ""
    arguments: dict[str, int] = field(default_factory=dict)


def decide(conversation: Conversation) -> Answer:
    """What the model answers."""
    if conversation.tool_result is not None:
        return Answer(words=["The", "tool", "answered:", conversation.tool_result])
    prompt = conversation.prompts[-1] if conversation.prompts else ""
    adding = re.search(r"\badd (-?\d+) and (-?\d+)", prompt, re.IGNORECASE)
    adder = next((tool for tool in conversation.tools if "add" in tool), None)
    if adding and adder:
        return Answer(tool=adder, arguments={"a": int(adding[1]), "b": int(adding[2])})
    if re.search(r"what did i say", prompt, re.IGNORECASE):
        earlier = conversation.prompts[:-1]
        return Answer(words=f"You said: {' / '.join(earlier)}".split() if earlier else ["Nothing", "yet."])
    return Answer(words=f"I am a stub without a model. You said: {prompt}".split())


def text_of(content: object) -> str:
    """The text of a message, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)


# --- OpenAI's chat completions ------------------------------------------------------------------------------------


def read_chat(request: dict) -> Conversation:
    conversation = Conversation(tools=[tool["function"]["name"] for tool in request.get("tools") or []])
    for message in request["messages"]:
        if message["role"] == "user":
            conversation.prompts.append(text_of(message["content"]))
        answered = message["role"] == "tool"
        conversation.tool_result = text_of(message["content"]) if answered else None
    return conversation


def tool_call(answer: Answer) -> dict:
    function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
    return {"index": 0, "id": "call_1", "type": "function", "function": function}


def chat_answer(answer: Answer) -> dict:
    message: dict = {"role": "assistant", "content": " ".join(answer.words) or None}
    if answer.tool:
        message["tool_calls"] = [tool_call(answer)]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if answer.tool else "stop"}
    return chat_object("chat.completion", [choice]) | {"usage": chat_usage(answer)}


def chat_object(kind: str, choices: list) -> dict:
    return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": MODEL_ID, "choices": choices}


def chat_usage(answer: Answer) -> dict:
    return {"prompt_tokens": 1, "completion_tokens": len(answer.words), "total_tokens": 1 + len(answer.words)}


def chat_events(answer: Answer):
    """The same answer as server-sent events."""

    def event(delta: dict, reason: str | None = None) -> bytes:
        chunk = chat_object("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": reason}])
        return f"data: {json.dumps(chunk)}\n\n".encode()

    yield event({"role": "assistant", "content": ""})
    for word in spaced(answer.words):
        yield event({"content": word})
    if answer.tool:
        yield event({"tool_calls": [tool_call(answer)]})
    yield event({}, "tool_calls" if answer.tool else "stop")
    last = chat_object("chat.completion.chunk", []) | {"usage": chat_usage(answer)}
    yield f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode()


def spaced(words: list[str]):
    """The words one after the other, with the spaces between them, as a model would think of them."""
    for number, word in enumerate(words):
        if number:
            time.sleep(SECONDS_BETWEEN_WORDS)
        yield f" {word}" if number else word


# --- Amazon Bedrock's Converse ------------------------------------------------------------------------------------


def read_converse(request: dict) -> Conversation:
    offered = request.get("toolConfig", {}).get("tools", [])
    conversation = Conversation(tools=[tool["toolSpec"]["name"] for tool in offered if "toolSpec" in tool])
    for message in request["messages"]:
        results = [part["toolResult"] for part in message["content"] if "toolResult" in part]
        prompt = text_of(message["content"])
        if message["role"] == "user" and prompt:
            conversation.prompts.append(prompt)
        conversation.tool_result = text_of(results[-1]["content"]) if results else None
    return conversation


def stop_reason(answer: Answer) -> str:
    return "tool_use" if answer.tool else "end_turn"


def converse_usage(answer: Answer) -> dict:
    usage = {"inputTokens": 1, "outputTokens": len(answer.words), "totalTokens": 1 + len(answer.words)}
    return {"usage": usage, "metrics": {"latencyMs": 1}}


def converse_answer(answer: Answer) -> dict:
    content: list[dict] = [{"text": " ".join(answer.words)}]
    if answer.tool:
        content = [{"toolUse": {"toolUseId": "call_1", "name": answer.tool, "input": answer.arguments}}]
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": stop_reason(answer)} | converse_usage(answer)


def converse_events(answer: Answer):
    """The same answer as an event stream of AWS."""
    yield frame("messageStart", {"role": "assistant"})
    if answer.tool:
        start = {"toolUse": {"toolUseId": "call_1", "name": answer.tool}}
        yield frame("contentBlockStart", {"contentBlockIndex": 0, "start": start})
        delta: dict = {"toolUse": {"input": json.dumps(answer.arguments)}}
        yield frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})
    for word in spaced(answer.words):
        yield frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
    yield frame("contentBlockStop", {"contentBlockIndex": 0})
    yield frame("messageStop", {"stopReason": stop_reason(answer)})
    yield frame("metadata", converse_usage(answer))


def frame(event: str, payload: dict) -> bytes:
    """One message of an event stream: lengths, headers, payload, each part with its checksum."""
    text_header = 7
    headers = b""
    for name, value in (
        (":message-type", "event"),
        (":event-type", event),
        (":content-type", "application/json"),
    ):
        headers += struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), text_header, len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 12 + len(headers) + len(body) + 4, len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


# --- The server ---------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        path = self.path.split("?")[0]
        if path.endswith("/chat/completions"):
            answer = decide(read_chat(request))
            if request.get("stream"):
                self.stream("text/event-stream", chat_events(answer))
            else:
                self.reply(200, chat_answer(answer))
        elif path.endswith("/converse"):
            self.reply(200, converse_answer(decide(read_converse(request))))
        elif path.endswith("/converse-stream"):
            self.stream("application/vnd.amazon.eventstream", converse_events(decide(read_converse(request))))
        else:
            self.reply(404, {"error": {"message": f"the stub model has no {self.path}", "type": "not_found"}})

    def reply(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, content_type: str, pieces) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Says nothing: the agent's log is the agent's."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def start(port: int = 0) -> str:
    """Starts the stub in a thread and returns its address."""
    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="stub-model", daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


if __name__ == "__main__":
    print(start(int(sys.argv[1]) if len(sys.argv) > 1 else 0), flush=True)
    threading.Event().wait()
