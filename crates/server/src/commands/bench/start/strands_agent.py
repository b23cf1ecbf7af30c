"""An agent on Strands and the SDK that does everything but ask a model."""

from bedrock_agentcore import BedrockAgentCoreApp
from strands import Agent, tool

app = BedrockAgentCoreApp()


@tool
def add(left: int, right: int) -> int:
    """Adds two numbers."""
    return left + right


agent = Agent(tools=[add], system_prompt="You are a helpful assistant.")


@app.entrypoint
def invoke(payload: dict) -> dict:
    return {"prompt": payload["prompt"], "tools": agent.tool_names}


if __name__ == "__main__":
    app.run()
