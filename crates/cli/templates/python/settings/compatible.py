"""Which model answers. Variables win over what is written here; agentcore/.env.local is the place for yours."""

import os

import stub_model

PROMPT = "You are a helpful assistant. Use your tools when they help, and keep your answers short."

MODEL_ID = os.environ.get("MODEL_ID", "{{model_id}}")
# `stub` is a stand-in inside this process that needs neither a key nor a network.
MODEL_URL = os.environ.get("MODEL_URL", "{{model_url}}")
API_KEY = os.environ.get("{{key_variable}}", "none")

if MODEL_URL == "stub":
    MODEL_URL = f"{stub_model.start()}/v1"
