"""The model that the agent asks, through LiteLLM, which has variables of its own."""

import os

from settings import MODEL_ID, REGION

os.environ["AWS_REGION_NAME"] = REGION
if address := os.environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
    os.environ["AWS_BEDROCK_RUNTIME_ENDPOINT"] = address
# Prices are not worth a request to elsewhere at every start. It is read at import.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from google.adk.models.lite_llm import LiteLlm

model = LiteLlm(model=f"bedrock/converse/{MODEL_ID}")
