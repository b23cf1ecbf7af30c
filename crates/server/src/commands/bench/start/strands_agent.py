"""An agent on Strands and the SDK that does everything but ask a model."""

import json
import urllib.request

from bedrock_agentcore import BedrockAgentCoreApp
from starlette.requests import Request
from starlette.responses import Response
from strands import Agent, tool

app = BedrockAgentCoreApp()


@tool
def add(left: int, right: int) -> int:
    """Adds two numbers."""
    return left + right


agent = Agent(tools=[add], system_prompt="You are a helpful assistant.")
rehearsals = 0


@app.entrypoint
def invoke(payload: dict) -> dict:
    return {"prompt": payload["prompt"], "tools": agent.tool_names, "rehearsals": rehearsals}


def rehearse(_request: Request) -> Response:
    """Asks this agent itself, so that its sandbox has run all of an answer's code before a session takes it."""
    global rehearsals
    payload = json.dumps({"prompt": "rehearsal"}).encode()
    headers = {"Content-Type": "application/json"}
    question = urllib.request.Request("http://127.0.0.1:8080/invocations", payload, headers)
    with urllib.request.urlopen(question) as answer:
        answer.read()
    rehearsals += 1
    return Response()


app.add_route("/rehearse", rehearse, methods=["POST"])

if __name__ == "__main__":
    app.run()
