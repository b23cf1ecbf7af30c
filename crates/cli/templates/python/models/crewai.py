"""The model that the agent asks."""

import os

# It is read at import.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")

from crewai import LLM
from settings import API_KEY, MODEL_ID, MODEL_URL

model = LLM(model=MODEL_ID, provider="openai", api_key=API_KEY, base_url=MODEL_URL)
