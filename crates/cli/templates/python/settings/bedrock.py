"""Which model answers. Variables win over what is written here; agentcore/.env.local is the place for yours."""

import os

import stub_model

PROMPT = "You are a helpful assistant. Use your tools when they help, and keep your answers short."

MODEL_ID = os.environ.get("MODEL_ID", "{{model_id}}")
REGION = os.environ.get("BEDROCK_REGION") or os.environ.get("AWS_REGION") or "us-east-1"

# `stub` is a stand-in inside this process that needs neither credentials nor a network.
if os.environ.get("MODEL_URL") == "stub":
    os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = stub_model.start()
    os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
