"""The model that the agent asks, through LiteLLM."""

import os

# Prices are not worth a request to elsewhere at every start. It is read at import.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

# They would be imported at the first request of each session; now they are in the snapshot it begins from.
import litellm.main  # noqa: F401
import openai.resources.chat  # noqa: F401
from google.adk.models.lite_llm import LiteLlm
from settings import API_KEY, MODEL_ID, MODEL_URL

model = LiteLlm(model=f"openai/{MODEL_ID}", api_key=API_KEY, api_base=MODEL_URL)
