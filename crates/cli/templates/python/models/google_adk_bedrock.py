"""The model that the agent asks, through LiteLLM, which has variables of its own."""

import os

from settings import MODEL_ID, REGION

os.environ["AWS_REGION_NAME"] = REGION
if address := os.environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
    os.environ["AWS_BEDROCK_RUNTIME_ENDPOINT"] = address
# Prices are not worth a request to elsewhere at every start. It is read at import.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# It would be imported at the first request of each session; now it is in the snapshot it begins from.
import litellm.main  # noqa: F401
from google.adk.models.lite_llm import LiteLlm

model = LiteLlm(model=f"bedrock/converse/{MODEL_ID}")
